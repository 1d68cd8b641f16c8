"""One launcher at a time sets up and starts; a second one waits for it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from launcher.sentences import say


class Lock:
    """A lock on a file that the system gives back even when its holder is killed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._handle: Any = None

    def __enter__(self) -> Lock:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._handle = open(str(self._file), "a+")
        told = False
        while not self._try():
            if not told:
                say("Another start is in progress; waiting for it.")
                told = True
            time.sleep(0.3)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let the next one in."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _try(self) -> bool:
        try:
            if os.name == "nt":
                import msvcrt

                self._handle.seek(0)
                msvcrt.locking(self._handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            else:
                import fcntl

                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

"""One process a data folder. Two would corrupt the vector index silently (each keeps its own copy in memory)."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from memory_store.errors import StoreError, StoreLocked

_FAR = 1 << 30  # Windows forbids reading a locked range: lock a byte far behind the process id


class FolderLock:
    """Held from construction until `release`, or until the process ends, however it ends.

    Raises StoreLocked when another process holds it, StoreError when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "store.lock"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(
                f"The data folder {folder} cannot be written ({error.strerror}). Check its permissions, or choose "
                "another folder with --data."
            ) from error
        try:
            _lock(self._file)
        except OSError:
            owner = os.read(self._file, 32).decode("ascii", "replace").strip()
            os.close(self._file)
            raise StoreLocked(
                f"The data folder {folder} is already open in another process{f' (number {owner})' if owner else ''}. "
                "Close the other LocalRLM, or choose another folder with --data."
            ) from None
        with suppress(
            OSError
        ):  # on a full disk what is stored can still be read; nobody hears then who reads it
            os.ftruncate(self._file, 0)
            os.write(self._file, str(os.getpid()).encode("ascii"))

    def release(self) -> None:
        """Let another process in. Calling it twice is harmless."""
        if self._file >= 0:
            os.close(self._file)  # closing gives up the lock on every system
            self._file = -1


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

"""Deleted text becomes unreadable on the disk: at once in a small file. A large one is written anew when nobody writes into
it, once for all that was deleted until then; a process that ends before leaves that to the next one.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

from memory_store.database import Database
from memory_store.errors import StorageError

log = logging.getLogger(__name__)

_SMALL = 32e6  # bytes: written anew in a fifth of a second
_QUIET, _QUIET_AT_MOST = (
    2.0,
    120.0,
)  # seconds without a commit before it is done, seconds after which it is done anyway


class Scrubber:
    """Starts its thread when there is first something to do."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted = self._closing = False

    def deleted(self) -> None:
        """Something was deleted."""
        if self._db.path.stat().st_size < _SMALL:
            self.now()
        else:
            self._soon()

    def now(self) -> None:
        """Do it at once, or when a reader is in the way as soon as it is out of it."""
        if not self._scrub():
            self._soon()

    def resume(self) -> None:
        """Do in the background what the last process left."""
        if self._db.unscrubbed:
            self._soon()

    def close(self) -> None:
        """Finish what is to be done."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join()
        if not self._scrub():
            log.warning("deleted text may stay in %s-wal until the next start", self._db.path)

    def _soon(self) -> None:
        with self._change:
            if self._closing:
                return
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="memory-scrubber", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def _run(self) -> None:
        while self._wait_for_quiet():
            if not self._scrub():
                self._soon()

    def _scrub(self) -> bool:
        """False when it has to be tried again."""
        try:
            return not self._db.unscrubbed or self._db.scrub()
        except (StorageError, sqlite3.Error) as error:  # the next deletion, or the next start, tries again
            log.warning("deleted text may stay in %s for now: %s", self._db.path, error)
            return True

    def _wait_for_quiet(self) -> bool:
        """False when it is time to end."""
        with self._change:
            self._change.wait_for(lambda: self._wanted or self._closing)
            latest = time.monotonic() + _QUIET_AT_MOST
            while not self._closing:
                left = min(self._db.written_at + _QUIET, latest) - time.monotonic()
                if left <= 0:
                    break
                self._change.wait(left)
            self._wanted = False
            return not self._closing

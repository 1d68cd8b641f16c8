"""What SQLite says when the disk, another program or the file itself is in the way, in words that a person can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_store.errors import StorageError

_FULL = "The disk is full: {folder} takes nothing more. What was stored before is safe. Make room on that disk, then try again."
_READ_ONLY = "{path} cannot be written ({error}). Look at the permissions of the file and of its folder, then try again."
_LOCKED = "Another program keeps {path} locked ({error}). Close it, or wait until it is done, then try again."
_DAMAGED = (
    "The database {path} is damaged ({error}). Keep the file: it is the only copy of your conversations. Export what can still"
    " be read, or import an earlier export into an empty folder (--data)."
)
_DISK = "{path} cannot be read or written ({error}). The disk may be full or fail, or was taken out."

_SENTENCES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CANTOPEN: _DISK,
}


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Whatever keeps the database `path` from reading or writing leaves the block as StorageError. A fault of the program,
    such as a wrong statement, stays the error it is."""
    try:
        yield
    except sqlite3.Error as error:
        code, what = getattr(error, "sqlite_errorcode", 0), str(error)
        if not code and what.startswith("Could not decode"):  # said by Python, with the whole text
            code, what = sqlite3.SQLITE_CORRUPT, "a text in it cannot be read"
        sentence = _SENTENCES.get(code & 0xFF)  # above these bits it says more closely what failed
        if sentence is None:
            raise
        raise StorageError(sentence.format(path=path, folder=path.parent, error=what)) from error

"""The SQLite file: opening, migrating, one writer, many readers. It knows SQL, not what the tables mean.

Durability: WAL with `synchronous=FULL`, so a committed transaction has been fsynced and survives kill -9 and a power cut.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_store.errors import StoreError
from memory_store.schema import MIGRATIONS
from memory_store.trouble import in_words

log = logging.getLogger(__name__)

_BUSY_SECONDS = 30
_TRIES = 20  # to empty the log, 50 ms apart


class Database:
    """One write connection behind a lock, and read connections handed out as needed. Safe from any thread."""

    def __init__(self, path: Path) -> None:
        """Open or create `path` and bring its schema up to date. Raises StorageError when it is damaged or cannot be written,
        StoreError when it is too new."""
        self.path = path
        self._lock = threading.RLock()
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._closed = False
        self._rewritten_for: int | None = (
            None  # the last of the deletions for which the file was written anew
        )
        self.written_at = time.monotonic()  # the last time that something was committed
        with in_words(path):
            self._writer = self._connect()
            self._migrate()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, not only unlinked
        connection.execute("PRAGMA cache_size=-32000")
        return connection

    def _migrate(self) -> None:
        version = int(self._writer.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self.path} was written by a newer LocalRLM (schema {version}, this one knows {len(MIGRATIONS)}). "
                "Update LocalRLM, or choose another folder with --data."
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            log.info("bringing %s to schema %d", self.path, number)
            self._writer.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version={number}; COMMIT;")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed and fsynced when the block ends, rolled back when it raises. Re-entrant. Raises StorageError
        when it cannot be committed."""
        with self._lock:
            self.check_open()
            if self._writer.in_transaction:  # an inner block joins the outer one
                yield self._writer
                return
            with in_words(self.path):
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:  # on a full disk SQLite has rolled back by itself
                        self._writer.execute("ROLLBACK")
                    raise
            self.written_at = time.monotonic()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for queries; sees everything committed so far and never waits for the writer. Raises StorageError."""
        with self._idle_lock:
            self.check_open()
            connection = self._idle.pop() if self._idle else None
        with in_words(self.path):
            connection = connection or self._connect()
            try:
                yield connection
            finally:
                with self._idle_lock:
                    if self._closed:
                        connection.close()
                    else:
                        self._idle.append(connection)

    @contextmanager
    def deletion(self) -> Iterator[sqlite3.Connection]:
        """A transaction that deletes text; it is remembered that a :meth:`scrub` has to follow."""
        with self.write() as sql:
            sql.execute("INSERT INTO unscrubbed DEFAULT VALUES")
            yield sql

    @property
    def unscrubbed(self) -> bool:
        """Whether deleted text may still be readable on the disk."""
        with self.read() as sql:
            return sql.execute("SELECT 1 FROM unscrubbed").fetchone() is not None

    def scrub(self) -> bool:
        """Make deleted text unreadable on the disk: fold the keyword indexes, write the file anew and empty the write-ahead
        log. (`secure_delete` zeroes what is deleted, but not what SQLite left behind in the gaps of pages when it had moved
        rows to other pages: about one deletion in 300 leaves something there.)

        False when a long reader, such as an export, was in the way: call it again, it then does what is left. When there is
        no room to write the file anew, the log says so and `unscrubbed` stays. Raises StorageError.
        """
        with self._lock, in_words(self.path):
            self.check_open()
            (last,) = self._writer.execute("SELECT max(id) FROM unscrubbed").fetchone()
            if last != self._rewritten_for:
                self._rewritten_for = last if self._rewrite() else None
            done = self._rewritten_for
        if not self._empty_log():
            return False
        with self.write() as sql:
            sql.execute("DELETE FROM unscrubbed WHERE id <= ?", (done,))
            if self._rewritten_for == done:
                self._rewritten_for = None
        return True

    def _rewrite(self) -> bool:
        try:
            for table in ("message_words", "chunk_words"):
                self._writer.execute(f"INSERT INTO {table}({table}) VALUES('optimize')")
            self._writer.execute("VACUUM")
        except sqlite3.OperationalError as error:  # no room for the copy
            log.warning("%s could not be written anew (%s): deleted text may stay in it", self.path, error)
            return False
        return True

    def _empty_log(self) -> bool:
        """Move the write-ahead log into the database file and empty it. Nobody waits meanwhile for readers in the way."""
        for _ in range(_TRIES):
            with self._lock, in_words(self.path):
                self.check_open()
                self._writer.execute("PRAGMA busy_timeout = 0")
                try:
                    busy = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                finally:
                    self._writer.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
            if not busy:
                return True
            time.sleep(0.05)
        return False

    def erase(self) -> None:
        """Delete every row. A :meth:`scrub` has to follow."""
        with self.deletion() as sql:
            for table in ("message_words", "message_vectors", "message_pending", "messages", "conversations"):
                sql.execute(f"DELETE FROM {table}")
            sql.execute("DELETE FROM documents")  # with texts, tables, passages and what hangs on them

    def close(self) -> None:
        """Close every connection. Calling it twice is harmless."""
        with self._lock, self._idle_lock:
            if self._closed:
                return
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._writer.close()

    def check_open(self) -> None:
        """Raises StoreError when it is closed."""
        if self._closed:
            raise StoreError("The memory store is closed.")

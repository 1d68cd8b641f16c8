"""Real trouble with the disk, made to order: SQLite itself says that there is no room, that it may not write, or that somebody
else has the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from memory_store import MemoryStore

LONG = "the walrus sleeps on the ice. " * 20_000
"""Too long for what is left of a full disk: pages of the file that are free already."""


@contextmanager
def full_disk(store: MemoryStore) -> Iterator[None]:
    """The database file cannot grow."""
    writer = store._db._writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    (before,) = writer.execute("PRAGMA max_page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        writer.execute(f"PRAGMA max_page_count = {before}")


@contextmanager
def read_only(store: MemoryStore) -> Iterator[None]:
    """Nothing may be written into the database."""
    store._db._writer.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        store._db._writer.execute("PRAGMA query_only = OFF")


@contextmanager
def locked_by_another_program(store: MemoryStore) -> Iterator[None]:
    """Somebody writes into the database for longer than the store waits, which it does not do at all here."""
    (patience,) = store._db._writer.execute("PRAGMA busy_timeout").fetchone()
    store._db._writer.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(store._db.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            store._db._writer.execute(f"PRAGMA busy_timeout = {patience}")

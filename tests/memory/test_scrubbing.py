"""In a large file deleted text becomes unreadable a little later: once for a burst of deletions, and whatever happens."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from memory_store import MemoryStore, database, scrubbing
from memory_store.database import Database
from tests.memory.test_forgetting import on_disk

OpenStore = Callable[..., MemoryStore]
TALKS = [f"talk{number}" for number in range(5)]
DELETED_AND_HELD = """
import sys
from memory_store import MemoryStore, scrubbing
scrubbing._SMALL, scrubbing._QUIET, scrubbing._QUIET_AT_MOST = 0, 3600.0, 3600.0
store = MemoryStore(sys.argv[1], embedder=None)
store.delete_conversation("talk0")
print("deleted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def scrubs(monkeypatch: pytest.MonkeyPatch) -> list[threading.Event]:
    """Every file counts as large. Returns an event, set when a file was written anew, and set again for each time."""
    monkeypatch.setattr(scrubbing, "_SMALL", 0)
    done = [threading.Event()]
    scrub = Database.scrub

    def noted(of: Database) -> bool:
        complete = scrub(of)
        if complete:
            done[-1].set()
            done.append(threading.Event())
        return complete

    monkeypatch.setattr(Database, "scrub", noted)
    return done


def filled(store: MemoryStore) -> MemoryStore:
    with store._db.write():
        for talk in TALKS:
            for number in range(20):
                store.add_message(talk, "user", f"xylophone lesson {number} with zanzibar")
        store.add_message("keep", "user", "gardening")
    return store


def test_a_burst_of_deletions_writes_a_large_file_anew_once_when_it_is_quiet(
    open_store: OpenStore, scrubs: list[threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_QUIET", 3600.0)
    monkeypatch.setattr(scrubbing, "_QUIET_AT_MOST", 3600.0)
    store = filled(open_store())
    for talk in TALKS:
        store.delete_conversation(talk)
        assert store.messages(talk) == []
    store.add_message("keep", "user", "nobody waits for the file")
    assert not scrubs[0].is_set()
    assert store._db.unscrubbed
    monkeypatch.setattr(scrubbing, "_QUIET", 0.0)
    store._scrubber.resume()  # so that it looks at the clock again
    assert scrubs[0].wait(60)
    assert on_disk(store, "xylophone", "zanzibar") == []
    assert on_disk(store, "gardening") != []
    store.close()
    assert len(scrubs) - 1 < len(TALKS)


def test_a_store_that_is_closed_before_it_was_quiet_does_it_at_its_end(
    open_store: OpenStore, scrubs: list[threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_QUIET", 3600.0)
    store = filled(open_store())
    for talk in TALKS:
        store.delete_conversation(talk)
    store.close()
    assert on_disk(store, "xylophone", "zanzibar") == []
    assert len(scrubs) == 2


def test_constant_writing_puts_it_off_for_a_while_only(
    open_store: OpenStore, scrubs: list[threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_QUIET", 3600.0)
    monkeypatch.setattr(scrubbing, "_QUIET_AT_MOST", 0.05)
    store = filled(open_store())
    store.delete_conversation(TALKS[0])
    assert scrubs[0].wait(60)


def test_a_process_that_is_killed_before_leaves_it_to_the_next(
    open_store: OpenStore, scrubs: list[threading.Event], tmp_path: Path
) -> None:
    store = filled(open_store())
    for talk in TALKS[1:]:
        store.delete_conversation(talk)
    store.close()
    command = [sys.executable, "-c", DELETED_AND_HELD, str(store.data_dir)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"deleted\n"
        process.kill()
    assert on_disk(store, "xylophone") != []
    done = scrubs[-1]
    next_one = open_store()
    assert done.wait(60)
    assert next_one.messages("talk0") == []
    assert on_disk(next_one, "xylophone", "zanzibar") == []


class FullDisk:
    """A connection for which there is no room to write the file anew."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        if statement == "VACUUM":
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(statement, *values)

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


def test_what_found_no_room_on_the_disk_is_done_when_there_is_some(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = filled(open_store())
    with monkeypatch.context() as full:
        full.setattr(store._db, "_writer", FullDisk(store._db._writer))
        store.delete_conversation(TALKS[0])
    assert "could not be written anew (database or disk is full)" in caplog.text
    assert store.messages(TALKS[0]) == []
    assert store._db.unscrubbed
    for talk in TALKS[1:]:
        store.delete_conversation(talk)
    assert not store._db.unscrubbed
    assert on_disk(store, "xylophone") == []


def test_a_long_reader_in_the_way_holds_up_neither_the_deletion_nor_others(
    open_store: OpenStore, scrubs: list[threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_SMALL", 32e6)
    monkeypatch.setattr(scrubbing, "_QUIET", 0.0)
    monkeypatch.setattr(database, "_TRIES", 1)
    monkeypatch.setattr(database, "_BUSY_SECONDS", 3600)
    store = filled(open_store())
    with store._db.read() as reader:
        reader.execute("BEGIN")  # as an export does
        reader.execute("SELECT count(*) FROM messages").fetchone()
        for talk in TALKS:
            store.delete_conversation(talk)
        store.add_message("keep", "user", "nobody waits for the reader")
        assert store._db.unscrubbed
        assert not scrubs[0].is_set()
        reader.execute("ROLLBACK")
    assert scrubs[0].wait(60)
    assert on_disk(store, "xylophone", "zanzibar") == []
    assert not store._db.unscrubbed

"""A full disk, a read-only one, a file that another program has or that is damaged: each is said in a sentence, nothing that was
stored is lost, and the store works again when the trouble is over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from memory_store import MemoryStore, StorageError
from tests.memory.toy import WordHashes
from tests.memory.trouble import LONG, full_disk, locked_by_another_program, read_only

OpenStore = Callable[..., MemoryStore]
Trouble = Callable[[MemoryStore], AbstractContextManager[None]]

TROUBLES = [
    (full_disk, "disk is full"),
    (read_only, "permissions"),
    (locked_by_another_program, "Another program"),
]


@pytest.mark.parametrize(("trouble", "says"), TROUBLES)
def test_nothing_is_lost_or_half_done_and_the_store_works_again_afterwards(
    trouble: Trouble, says: str, open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    question, answer = store.add_question("talk", "What sleeps?")
    exported = tmp_path / "export.zip"
    with MemoryStore(tmp_path / "elsewhere", embedder=None) as other:
        other.add_message("brought", "user", LONG)
        other.export_all(exported)
    attempts: list[Callable[[], object]] = [
        lambda: store.add_message("talk", "user", LONG),
        lambda: store.update_message(answer, text=LONG, status="complete"),
        lambda: store.add_document("walrus.txt", LONG.encode()),
        lambda: store.import_all(exported),
    ]
    with trouble(store):
        for attempt in attempts:
            with pytest.raises(StorageError, match=says) as refused:
                attempt()
            assert str(store.data_dir) in str(refused.value)
        assert [(message.id, message.text) for message in store.messages("talk")] == [
            (question, "What sleeps?"),
            (answer, ""),
        ]
        assert (store.documents(), store.messages("brought")) == ([], [])
    for attempt in attempts:
        attempt()
    store.close()
    again = open_store()
    assert [message.text for message in again.messages("talk")] == ["What sleeps?", LONG, LONG]
    assert [document.text for document in again.documents()] == [LONG]
    assert [message.text for message in again.messages("brought")] == [LONG]


@pytest.mark.parametrize("trouble", [read_only, locked_by_another_program])
def test_what_cannot_be_erased_stays_and_is_found_by_meaning_as_before(
    trouble: Trouble, open_store: OpenStore
) -> None:
    store = open_store(embedder=WordHashes())
    store.add_message("talk", "user", "the walrus sleeps")
    store.flush()
    with trouble(store), pytest.raises(StorageError):
        store.erase_all()
    store.add_message("talk", "user", "the seal swims")
    store.flush()
    assert [message.text for message in store.messages("talk")] == ["the walrus sleeps", "the seal swims"]
    assert (store.status().pending, store.status().problem) == (0, None)


@pytest.mark.parametrize("trouble", [read_only, locked_by_another_program])
def test_a_deletion_counts_though_the_file_cannot_be_written_anew_after_it(
    trouble: Trouble, open_store: OpenStore
) -> None:
    store = open_store()
    store.add_message("talk", "user", "the walrus sleeps")
    with store._db.deletion():
        store._conversations.delete("talk")
    with trouble(store):
        store._scrubber.deleted()
        assert store._db.unscrubbed
    store._scrubber.deleted()
    assert not store._db.unscrubbed
    assert store.messages("talk") == []


def test_a_page_that_is_damaged_while_the_store_is_open_is_named(open_store: OpenStore) -> None:
    store = open_store()
    store.add_message("talk", "user", LONG)
    store.close()
    whole = store._db.path.read_bytes()
    store._db.path.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) - len(whole) // 2))
    again = open_store()
    with pytest.raises(StorageError, match="is damaged"):
        again.messages("talk")


def test_a_file_is_not_blamed_when_there_is_no_place_for_temporary_files(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match="temporary files"):
        store.add_document("walrus.txt", b"the walrus sleeps")
    monkeypatch.undo()
    assert store.add_document("walrus.txt", b"the walrus sleeps").text == "the walrus sleeps"

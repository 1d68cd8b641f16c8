"""What is deleted is gone from the disk: the tests search every byte of the data folder for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from memory_store import MemoryStore, StoreError
from tests.memory import samples
from tests.memory.toy import WordHashes

OpenStore = Callable[..., MemoryStore]


def on_disk(store: MemoryStore, *words: str) -> list[str]:
    """Which of the words stand in any file of the data folder, in any case and encoding used there."""
    found = []
    for path in store.data_dir.rglob("*"):
        if path.is_file():
            data = path.read_bytes().lower()
            found += [word for word in words if word.encode() in data or word.encode("utf-16-le") in data]
    return found


@pytest.fixture
def full(open_store: OpenStore) -> MemoryStore:
    store = open_store(embedder=WordHashes())
    for number in range(40):
        store.add_message("keep", "user", f"ordinary sentence {number} about gardening")
        store.add_message("drop", "user", f"xylophone lesson {number} with zanzibar")
    store.add_document("keep.txt", b"Gardening handbook. " * 200)
    store.flush()
    return store


def test_the_search_for_leftovers_finds_what_is_there(full: MemoryStore) -> None:
    assert set(on_disk(full, "xylophone", "zanzibar", "gardening")) == {"xylophone", "zanzibar", "gardening"}


def test_a_deleted_conversation_leaves_no_trace_on_the_disk(full: MemoryStore) -> None:
    full.delete_conversation("drop")
    assert on_disk(full, "xylophone", "zanzibar") == []
    assert {hit.conversation_id for hit in full.recall("xylophone zanzibar lesson", k=100)} == {"keep"}
    assert full.search_conversations("xylophone") == []
    assert len(full.messages("keep")) == 40
    assert full._indexer.index_holds()[0] == 40


def test_a_deleted_message_leaves_no_trace_not_even_beside_its_neighbours(full: MemoryStore) -> None:
    secret = full.add_message("keep", "user", "my passphrase is quicksilver")
    full.add_message("keep", "user", "noted")
    full.flush()
    assert on_disk(full, "quicksilver") != []
    full.delete_message(secret)
    assert on_disk(full, "quicksilver") == []
    assert full.recall("quicksilver passphrase", k=1)[0].text != "my passphrase is quicksilver"
    assert [message.text for message in full.messages("keep")][-2:] == [
        "ordinary sentence 39 about gardening",
        "noted",
    ]


def test_a_deleted_document_leaves_no_trace_on_the_disk(full: MemoryStore) -> None:
    document = full.add_document("secret-ledger.xlsx", samples.xlsx("quicksilver is in the vault"))
    full.flush()
    assert on_disk(full, "quicksilver") != []
    full.delete_document(document.id)
    assert on_disk(full, "quicksilver", "secret-ledger") == []
    assert {passage.document_name for passage in full.search_documents("quicksilver")} == {"keep.txt"}
    assert full._indexer.index_holds()[1] == full.status().chunks


def test_an_edited_text_leaves_no_trace_once_its_message_is_deleted(full: MemoryStore) -> None:
    message = full.add_message("keep", "user", "quicksilver")
    full.update_message(message, text="harmless")
    full.delete_message(message)
    assert on_disk(full, "quicksilver") == []


@pytest.mark.parametrize("seed", [3, 4, 7])  # without writing the file anew, each of these leaves something
def test_what_the_database_moved_while_answers_grew_is_gone_too(store: MemoryStore, seed: int) -> None:
    luck = random.Random(seed)
    store.add_message("keep", "user", "gardening")
    with store._db.write():
        for number in range(150):
            text = f"xylophone{number} "
            answer = store.add_message("drop", "assistant", text, status="streaming")
            for _ in range(luck.randint(1, 4)):
                text += "zanzibar " * luck.randint(1, 60)
                store.update_message(answer, text=text)
            store.update_message(answer, status="complete")
            store.add_message("keep", "user", "gardening " * luck.randint(1, 60))
    store.delete_conversation("drop")
    assert on_disk(store, "xylophone", "zanzibar") == []


def test_erasing_everything_leaves_an_empty_store_that_works(full: MemoryStore) -> None:
    full.erase_all()
    assert on_disk(full, "xylophone", "zanzibar", "gardening", "handbook") == []
    status = full.status()
    assert (status.conversations, status.messages, status.documents, status.chunks, status.pending) == (
        0,
        0,
        0,
        0,
        0,
    )
    full.add_message("new", "user", "a fresh start")
    full.flush()
    assert full.recall("fresh start")[0].text == "a fresh start"
    assert full.status().index == "ready (Chroma)"


def test_an_export_brings_everything_into_another_store(
    full: MemoryStore, open_store: OpenStore, tmp_path: Path
) -> None:
    full.create_conversation("Trip", conversation_id="trip", user="ann")
    question = full.add_message("trip", "user", "q \x00 \u2028", metadata={"a": 1}, user="ann")
    first = full.add_message("trip", "assistant", "first", parent_id=question, user="ann")
    full.add_message("trip", "assistant", "second", parent_id=question, user="ann")
    full.select_version(first)
    full.pin_conversation("trip")
    book = full.add_document("book.xlsx", samples.xlsx("walrus"), user="ann")
    full.export_all(tmp_path / "all.zip")

    other = open_store("other", embedder=WordHashes())
    other.add_message("mine", "user", "I was here before")
    imported = other.import_all(tmp_path / "all.zip")
    assert (imported.conversations, imported.messages, imported.documents) == (3, 83, 2)
    assert other.messages("trip") == full.messages("trip")
    assert other.messages("keep") == full.messages("keep")
    assert [m.text for m in other.siblings(first)] == ["first", "second"]
    assert other.conversations(user="ann") == full.conversations(user="ann")
    copy = other.document(book.id)
    assert copy is not None
    assert (copy.text, copy.sections, copy.tables) == (book.text, book.sections, book.tables)
    other.flush()
    assert other.recall("xylophone", k=1)[0].conversation_id == "drop"
    assert other.search_documents("walrus", user="ann")[0].place == "sheet Orders, row 7"
    again = other.import_all(tmp_path / "all.zip")
    assert (again.conversations, again.messages, again.documents) == (0, 0, 0)
    other.add_message("trip", "user", "and on it goes", user="ann")
    assert [m.text for m in other.messages("trip")][1:] == ["first", "and on it goes"]


def test_a_damaged_export_is_refused_and_nothing_is_imported(
    full: MemoryStore, open_store: OpenStore, tmp_path: Path
) -> None:
    path = tmp_path / "all.zip"
    full.export_all(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    other = open_store("other")
    with pytest.raises(StoreError, match="nothing was imported"):
        other.import_all(path)
    assert other.status().conversations == 0
    path.write_bytes(b"no zip")
    with pytest.raises(StoreError, match=r"all\.zip is no complete LocalRLM export"):
        other.import_all(path)


def test_an_export_that_cannot_be_written_leaves_no_half_file(full: MemoryStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        full.export_all(tmp_path / "nowhere" / "all.zip")
    assert not list(tmp_path.glob("*.unfinished"))

"""The store is closed while something of it is being exchanged in another thread: it ends closed, with nothing left open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from memory_store import MemoryStore, StoreError
from memory_store.indexer import Indexer
from tests.memory.toy import WordHashes

OpenStore = Callable[..., MemoryStore]
CHANGES: dict[str, Callable[[MemoryStore], None]] = {
    "the embedder": lambda store: store.use_embedder(WordHashes()),
    "the index": lambda store: store.use_index(None),
    "everything is erased": lambda store: store.erase_all(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_closing_while_something_is_exchanged_leaves_nothing_open(
    change: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(embedder=WordHashes())
    store.add_message("c", "user", "the walrus sleeps")
    store.flush()
    made: list[Indexer] = []
    closing = threading.Thread(target=store.close)
    make = store._new_indexer

    def slowly() -> Indexer:
        closing.start()
        closing.join(0.5)  # the store could be closed by now, if nothing held it
        made.append(make())
        return made[-1]

    monkeypatch.setattr(store, "_new_indexer", slowly)
    CHANGES[change](store)
    closing.join(60)
    assert not closing.is_alive()
    thread = made[0]._thread
    if thread is not None:
        thread.join(60)
        assert not thread.is_alive()
    assert made[0]._index._client is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("change", ["the embedder", "the index"])
def test_a_closed_store_is_not_woken_by_an_exchange(change: str, open_store: OpenStore) -> None:
    store = open_store(embedder=WordHashes())
    store.close()
    before = store._indexer
    CHANGES[change](store)
    assert store._indexer is before


def test_a_closed_store_refuses_to_be_erased_and_keeps_what_it_has(open_store: OpenStore) -> None:
    store = open_store(embedder=WordHashes())
    store.add_message("c", "user", "the walrus sleeps")
    store.flush()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.erase_all()
    assert list((store.data_dir / "index").rglob("chroma.sqlite3")) != []

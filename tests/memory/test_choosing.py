"""Another embedding model is chosen while the store is open; the store is closed while a model is busy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from memory_store import MemoryStore
from memory_store.retrieval import Rankings
from tests.memory.toy import WordHashes

OpenStore = Callable[..., MemoryStore]

BY_WORDS, BY_MEANING = Rankings(1.0, 0.0), Rankings(0.0, 1.0)


class Held(WordHashes):
    """Stops in `load` or at a certain call of `embed` until it is let go."""

    name = "held-word-hashes"

    def __init__(self, *, at_load: bool = False, at_call: int = 0) -> None:
        self.inside, self.go_on = threading.Event(), threading.Event()
        self._at_load, self._at_call, self._calls = at_load, at_call, 0

    def load(self) -> None:
        if self._at_load:
            self._hold()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self._calls += 1
        if self._calls == self._at_call:
            self._hold()
        return super().embed(texts)

    def _hold(self) -> None:
        self.inside.set()
        self.go_on.wait(60)


def filled(store: MemoryStore, count: int = 300) -> None:
    with store._db.write():
        for number in range(count):
            store.add_message("c", "user", f"fact{number} concerning subject{number % 10}")
    store.flush()


def found(store: MemoryStore, rankings: Rankings) -> list[str]:
    return [hit.text for hit in store.recall("fact42 concerning subject2", k=1, rankings=rankings)]


def test_another_model_embeds_everything_again_says_how_far_it_is_and_words_go_on(
    open_store: OpenStore,
) -> None:
    store = open_store(embedder=WordHashes())
    filled(store)
    other = Held(at_call=17)  # 16 texts a call: 256 are done and committed
    store.use_embedder(other)
    assert other.inside.wait(60)
    status = store.status()
    assert status.embedder.startswith("ready (held-word-hashes), embedding again")
    assert status.embedder.endswith(": 256 of 300")
    assert status.pending == 44
    assert found(store, BY_WORDS) == ["fact42 concerning subject2"]
    other.go_on.set()
    store.flush()
    status = store.status()
    assert (status.embedder, status.index) == ("ready (held-word-hashes)", "ready (Chroma)")
    assert (status.pending, status.problem) == (0, None)
    assert found(store, BY_MEANING) == ["fact42 concerning subject2"]
    assert store._indexer.index_holds() == (300, 0)


def test_a_store_that_is_told_to_wait_goes_on_embedding_when_it_is_asked_to(open_store: OpenStore) -> None:
    with open_store() as store:
        store.add_message("c", "user", "fact1 concerning subject1")
    store = open_store(embedder=WordHashes(), resume=False)
    assert store.status().pending == 1
    assert store._indexer._thread is None
    store.resume()
    store.flush()
    assert store.status().pending == 0


def test_off_recalls_by_words_and_the_model_that_comes_back_embeds_only_what_is_new(
    open_store: OpenStore,
) -> None:
    store = open_store(embedder=WordHashes())
    filled(store)
    store.use_embedder("off")
    store.add_message("c", "user", "the walrus sleeps")
    store.flush()
    status = store.status()
    assert (status.embedder, status.problem, status.pending) == ("off: recall by words only", None, 1)
    assert found(store, BY_WORDS) == ["fact42 concerning subject2"]
    assert found(store, BY_MEANING) == []
    again = Held(at_call=2)  # one call is enough for one message
    again.name = WordHashes.name
    store.use_embedder(again)
    store.flush()
    assert not again.inside.is_set()
    assert store.status().pending == 0


def test_a_model_that_is_not_there_is_named_words_go_on_and_nothing_embedded_is_lost(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(embedder=WordHashes())
    filled(store)
    store.use_embedder(str(tmp_path / "nowhere"))
    store.flush()
    status = store.status()
    assert status.embedder == "not available: recall by words only"
    assert status.problem is not None
    assert f"no embedding model in {tmp_path / 'nowhere'}. Choose minilm, ollama:MODEL" in status.problem
    assert found(store, BY_WORDS) == ["fact42 concerning subject2"]
    store.use_embedder(WordHashes())
    store.flush()
    assert store.status().problem is None
    assert found(store, BY_MEANING) == ["fact42 concerning subject2"]


@pytest.mark.parametrize("held", [{"at_load": True}, {"at_call": 1}])
def test_closing_does_not_wait_for_a_busy_model_and_loses_nothing(
    open_store: OpenStore, held: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    model = Held(**held)  # type: ignore[arg-type]
    store = open_store(embedder=model)
    message = store.add_message("c", "user", "the walrus sleeps")
    assert model.inside.wait(60)
    store.close()  # would wait for the model's minute, and fail below
    thread = store._indexer._thread
    assert thread is not None
    assert thread.is_alive()
    model.go_on.set()  # it comes back to a closed store
    thread.join(60)
    assert not thread.is_alive()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    again = open_store(embedder=WordHashes())
    assert [hit.message_id for hit in again.recall("walrus")] == [message]
    again.flush()
    assert again.status().pending == 0

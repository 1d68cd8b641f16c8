"""When the background work is done: together for what comes together, at once for whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from memory_store import MemoryStore, indexer
from tests.memory.toy import WordHashes

OpenStore = Callable[..., MemoryStore]


class Counting(WordHashes):
    def __init__(self) -> None:
        self.calls: list[int] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(len(texts))
        return super().embed(texts)


def test_messages_that_come_one_after_the_other_are_embedded_together_and_at_once_when_somebody_waits(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "_QUIET", 3600.0)
    monkeypatch.setattr(indexer, "_QUIET_AT_MOST", 3600.0)
    model = Counting()
    store = open_store(embedder=model)
    for number in range(20):
        store.add_message("c", "user", f"fact{number} concerning subject{number}")
    store.flush()
    assert model.calls == [16, 4]
    assert store._indexer.index_holds() == (20, 0)
    store.add_message("c", "user", "the walrus sleeps")  # and closing does not wait for the hour to pass


def test_messages_are_embedded_though_nobody_waits_for_it(open_store: OpenStore) -> None:
    embedded = open_store(embedder=WordHashes())
    embedded.add_message("c", "user", "the walrus sleeps")
    with embedded._indexer._change:
        assert embedded._indexer._change.wait_for(lambda: embedded._indexer._idle, 60)
    assert embedded.status().pending == 0

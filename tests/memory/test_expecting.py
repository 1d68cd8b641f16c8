"""A question's vector is made once, and may be made ahead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.memory.conftest import OpenStore
from tests.memory.toy import WordHashes


class Counting(WordHashes):
    """``seen`` holds every text that was embedded."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += texts
        return super().embed(texts)


def test_a_question_that_is_expected_is_embedded_once_however_often_it_is_asked(
    open_store: OpenStore,
) -> None:
    model = Counting()
    store = open_store(embedder=model)
    store.add_message("c", "user", "The walrus sleeps")
    store.flush(30)
    store.expect("Where is the walrus?")
    assert store.recall("Where is the walrus?")[0].text == "The walrus sleeps"
    store.search_documents("Where is the walrus?")
    assert model.seen.count("Where is the walrus?") == 1
    for number in range(40):
        store.recall(f"Question {number}")
    assert store.recall("Where is the walrus?")
    assert model.seen.count("Where is the walrus?") == 2  # not all are kept for ever


def test_nothing_is_embedded_ahead_before_the_model_is_there(open_store: OpenStore) -> None:
    model = Counting()
    store = open_store(embedder=model)
    store.expect("Where is the walrus?")
    assert model.seen == []

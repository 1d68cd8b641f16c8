"""Text → vectors behind one small interface, and what its implementations share: which they are is in `choosing.py`."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from memory_store.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_WORD = re.compile(r"\w+|[^\w\s]")


class EmbedderError(StoreError):
    """The embedding model cannot be loaded or does not answer. Recall by words is not affected."""


class Embedder(Protocol):
    """A model that turns text into vectors. Called from one thread at a time."""

    @property
    def name(self) -> str:
        """Identifies model and weights; stored with every vector. Another name means: embed everything again."""

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text. Must be quick and must not load the model."""

    def load(self) -> None:
        """Get ready; may take long the first time. Raises EmbedderError."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length for each text, float32, whatever the text's length. Raises EmbedderError."""


def unit(rows: Vectors) -> Vectors:
    """The rows scaled to length 1, float32."""
    import numpy as np

    scaled: Vectors = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(
        np.float32
    )
    return scaled


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Tokens without a tokenizer: words and signs, long words counted by quarters."""
    return [sum(1 + len(word) // 8 for word in _WORD.findall(text)) for text in texts]


class Turns:
    """A lock that lets questions pass before the work in the background: a person is waiting for them."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._busy = False
        self._questions = 0

    @contextmanager
    def take(self, *, question: bool) -> Iterator[None]:
        with self._free:
            self._questions += question
            while self._busy or (self._questions and not question):
                self._free.wait()
            self._questions -= question
            self._busy = True
        try:
            yield
        finally:
            with self._free:
                self._busy = False
                self._free.notify_all()

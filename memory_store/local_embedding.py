"""Vectors from a sentence-transformers model on this computer's CPU. Importing this module loads no model and no torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_store.embedding import EmbedderError, estimate_tokens, unit

if TYPE_CHECKING:
    from memory_store.embedding import Vectors

_SMALL = 1_000  # characters that one thread embeds
WINDOWS = 8  # of one text at most; a longer one is represented by its beginning
_loading = (
    threading.Lock()
)  # a model that nobody waits for any more may still be loading when the next is chosen


class Words:
    """The tokenizer of a model's folder, read when first needed; it needs no torch. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "tokenizer.json"
        self._tokenizer: Any = None
        self._lock = threading.Lock()

    def tokenizer(self) -> Any:
        """A `tokenizers.Tokenizer` that neither cuts nor pads, or None when the folder has none."""
        with self._lock:
            if self._tokenizer is None and self._file.is_file():
                from tokenizers import Tokenizer  # 0.1 s; comes with sentence-transformers

                self._tokenizer = Tokenizer.from_file(str(self._file))
                self._tokenizer.no_truncation()
                self._tokenizer.no_padding()
            return self._tokenizer

    def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text."""
        tokenizer = self.tokenizer()
        if tokenizer is None:
            return estimate_tokens(texts)
        return [
            len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ]


class SentenceTransformerModel:
    """Any sentence-transformers model in a local folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._model: Any = None
        self._threads = 1
        self._words = Words(folder)

    @property
    def name(self) -> str:
        return self._name

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        return self._words.count(texts)

    def load(self) -> None:
        with _loading:
            if self._model is None:
                self._load()

    def _load(self) -> None:
        if not (self._folder / "modules.json").is_file():
            raise EmbedderError(
                f"There is no embedding model in {self._folder}. Choose minilm, ollama:MODEL, off, or the folder of a "
                "sentence-transformers model (it holds a file modules.json). Recall works by words only."
            )
        try:
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging as transformers_logging

            transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            self._model = SentenceTransformer(str(self._folder), device="cpu", local_files_only=True)
            self._threads = torch.get_num_threads()
        except Exception as error:  # torch and transformers raise what they like, OSError to RuntimeError
            raise EmbedderError(
                f"The embedding model in {self._folder} could not be loaded ({type(error).__name__}: {error}). "
                "Recall works by words only; installing requirements.txt again usually helps."
            ) from error

    def embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        pieces: list[str] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            for window in self._windows(text):
                pieces.append(window)
                owners.append(owner)
        import torch

        try:
            # A question or a short exchange has nothing to share out, and threads that wait for each other on a busy
            # computer make it ten times slower.
            small = sum(map(len, pieces)) < _SMALL
            torch.set_num_threads(1 if small else self._threads)
            rows = self._model.encode(pieces, batch_size=16, convert_to_numpy=True, show_progress_bar=False)
        except RuntimeError as error:
            raise EmbedderError(f"The embedding model failed: {error}") from error
        vectors = np.zeros((len(texts), rows.shape[1]), dtype=np.float32)
        np.add.at(vectors, owners, unit(rows))
        return unit(vectors)

    def _windows(self, text: str) -> list[str]:
        """The text cut into pieces that the model can see whole."""
        tokenizer, size = self._words.tokenizer(), int(self._model.max_seq_length) - 2
        if tokenizer is None or len(text) <= size:  # a token has at least one character
            return [text]
        spans = tokenizer.encode(text[: WINDOWS * size * 12], add_special_tokens=False).offsets[
            : WINDOWS * size
        ]
        cuts = [spans[position][0] for position in range(0, len(spans), size)]
        ends = [*cuts[1:], spans[-1][1]] if spans else []
        return [text[start:end] for start, end in zip(cuts, ends, strict=True)] or [text[:size]]

"""Vectors from an Ollama model such as nomic-embed-text, for those who prefer a larger model to the bundled one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory_store.embedding import EmbedderError, estimate_tokens, unit

if TYPE_CHECKING:
    from memory_store.embedding import Vectors


class OllamaEmbedder:
    """`POST /api/embed` of a local Ollama; a text longer than the model's window is cut there."""

    def __init__(self, model: str, base_url: str = "http://127.0.0.1:11434") -> None:
        self._model, self._base_url = model, base_url.rstrip("/")

    @property
    def name(self) -> str:
        return f"ollama:{self._model}"

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        return estimate_tokens(texts)

    def load(self) -> None:
        self.embed(["ready?"])

    def embed(self, texts: Sequence[str]) -> Vectors:
        import httpx
        import numpy as np

        try:
            reply = httpx.post(
                f"{self._base_url}/api/embed",
                json={"model": self._model, "input": list(texts), "truncate": True},
                timeout=httpx.Timeout(300, connect=5),
                trust_env=False,
            )
            reply.raise_for_status()
            rows = np.asarray(reply.json()["embeddings"], dtype=np.float32)
        except httpx.HTTPStatusError as error:
            raise EmbedderError(
                f"Ollama cannot embed with {self._model} ({error.response.text[:200]}). `ollama pull {self._model}` "
                "may be missing. Recall works by words only."
            ) from error
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise EmbedderError(
                f"Ollama does not answer at {self._base_url} ({type(error).__name__}). Start it with `ollama serve`, or "
                "choose the bundled model. Recall works by words only."
            ) from error
        if rows.ndim != 2 or len(rows) != len(texts):
            raise EmbedderError(
                f"Ollama sent {rows.shape} numbers for {len(texts)} texts with {self._model}."
            )
        return unit(rows)

"""Which embedding model a setting means."""

from __future__ import annotations

from pathlib import Path

from memory_store.embedding import Embedder
from memory_store.local_embedding import SentenceTransformerModel
from memory_store.minilm import MiniLM
from memory_store.ollama_embedding import OllamaEmbedder


def choose(embedder: Embedder | str | None) -> Embedder | None:
    """`"minilm"`; `"ollama:MODEL"` or `"ollama:MODEL@http://host:port"`; the folder of a sentence-transformers model;
    an Embedder; or None or `"off"` for recall by words only. That a model is not there is said when it is loaded.
    """
    if embedder is None or embedder == "off":
        return None
    if not isinstance(embedder, str):
        return embedder
    if embedder == "minilm":
        return MiniLM()
    if embedder.startswith("ollama:"):
        model, _, base_url = embedder.removeprefix("ollama:").partition("@")
        return OllamaEmbedder(model, base_url or "http://127.0.0.1:11434")
    folder = Path(embedder).expanduser()
    return SentenceTransformerModel(folder, f"local:{folder.resolve()}")

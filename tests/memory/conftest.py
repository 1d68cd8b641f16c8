"""One loaded embedding model for all tests of this folder: loading it takes longer than most of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memory_store import MemoryStore
from memory_store.minilm import MiniLM

OpenStore = Callable[..., MemoryStore]


@pytest.fixture(scope="session")
def minilm() -> MiniLM:
    model = MiniLM()
    model.load()
    return model


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[OpenStore]:
    """Opens stores that are closed after the test; by default in one folder, searching by words only."""
    opened: list[MemoryStore] = []

    def open_(folder: str = "data", **options: object) -> MemoryStore:
        options.setdefault("embedder", None)
        store = MemoryStore(tmp_path / folder, **options)  # type: ignore[arg-type]
        opened.append(store)
        return store

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> MemoryStore:
    return open_store()


@pytest.fixture
def knowing_store(open_store: OpenStore, minilm: MiniLM) -> MemoryStore:
    """A store that also searches by meaning, with the real model."""
    return open_store("knowing", embedder=minilm)

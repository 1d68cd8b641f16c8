"""The bundled embedding model: its 8-bit graph is made from the published weights, and gives nearly their vectors."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from memory_store.local_embedding import SentenceTransformerModel
from memory_store.minilm import GRAPH, MiniLM, package_folder

TEXTS = (
    "",
    "x",
    "Where does Anna live?",
    "My sister Anna lives in Lisbon and works as a nurse.",
    "Quarterly revenue grew by 14 percent to 3.2 million euros.",
    "def f(x): return x ** 2",
    "日本語のテキスト",
    "The committee met on Tuesday and agreed to raise the budget for repairs of the roof. " * 11,
    "word " * 3_000,
)


@pytest.fixture(scope="module")
def published() -> SentenceTransformerModel:
    """The published weights as sentence-transformers runs them."""
    model = SentenceTransformerModel(package_folder(), "published")
    model.load()
    return model


def copy_of_the_model(folder: Path) -> Path:
    shutil.copytree(package_folder(), folder, ignore=shutil.ignore_patterns("onnx"))
    return folder


def test_the_graph_gives_nearly_the_vectors_of_the_published_weights(
    minilm: MiniLM, published: SentenceTransformerModel
) -> None:
    assert minilm._session is not None
    ours, theirs = minilm.embed(TEXTS), published.embed(TEXTS)
    assert ours.shape == theirs.shape == (len(TEXTS), 384)
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).max() < 1e-5
    assert (ours * theirs).sum(axis=1).min() > 0.975


def test_a_vector_does_not_depend_on_the_texts_beside_it(minilm: MiniLM) -> None:
    together = minilm.embed(TEXTS)
    alone = np.concatenate([minilm.embed([text]) for text in TEXTS])
    assert np.array_equal(together, alone)


def test_a_graph_that_is_missing_or_broken_is_made_from_the_weights(minilm: MiniLM, tmp_path: Path) -> None:
    folder = copy_of_the_model(tmp_path / "model")
    graph = folder / GRAPH
    graph.parent.mkdir()
    graph.write_bytes(b"half a graph")
    model = MiniLM(folder)
    model.load()
    assert np.allclose(model.embed(TEXTS), minilm.embed(TEXTS), atol=1e-5)
    assert [file.name for file in graph.parent.iterdir()] == [graph.name]


def test_where_no_graph_can_be_made_the_weights_are_run_as_they_are(
    published: SentenceTransformerModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copy_of_the_model(tmp_path / "model")
    (folder / "onnx").write_text("in the way of the folder")
    with caplog.at_level(logging.INFO, "memory_store.minilm"):
        model = MiniLM(folder)
        model.load()
    assert "The faster form of the embedding model was not made: " in caplog.text
    assert np.allclose(model.embed(TEXTS), published.embed(TEXTS), atol=1e-5)

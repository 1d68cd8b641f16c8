"""Kill -9 at any moment loses nothing that was acknowledged. `CRASH_KILLS=50 pytest tests/memory/test_crash.py` for long."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memory_store import MemoryStore
from tests.memory.toy import WordHashes

OpenStore = Callable[..., MemoryStore]

KILLS = int(os.environ.get("CRASH_KILLS", "6"))


def write_until_killed(folder: Path, run: int, acknowledged: dict[str, tuple[str, str]], lines: int) -> None:
    """Start the writer, read so many of its lines, kill it; what it said until then was acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.memory.writer", str(folder), str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        said += writer.stdout.readlines()
        problems = writer.stderr.read().decode()
        assert writer.wait() == -signal.SIGKILL, f"it did not live until it was killed: {problems}"
    for line in said:
        if line.endswith(b"\n"):
            kind, item, text = line.decode().rstrip("\n").split("\t")
            acknowledged[item] = (kind, text)


@pytest.mark.timeout(120 + 10 * KILLS)
def test_kills_at_random_moments_lose_nothing_and_recall_finds_everything(
    tmp_path: Path, open_store: OpenStore
) -> None:
    luck = random.Random(20260127)
    acknowledged: dict[str, tuple[str, str]] = {}
    for run in range(KILLS):
        write_until_killed(tmp_path / "data", run, acknowledged, luck.randint(1, 120))
    store = open_store(embedder=WordHashes())
    store.mark_interrupted()
    store.flush()
    status = store.status()
    assert (status.pending, status.problem, status.index) == (0, None, "ready (Chroma)")
    assert len(acknowledged) >= KILLS
    for item, (kind, text) in acknowledged.items():
        if kind == "message":
            message = store.message(item)
            assert message is not None
            assert (message.text, message.status) == (text, "complete")
            word = text.split()[0]  # in this message, and quoted by the four around it
            assert item in {hit.message_id for hit in store.recall(word, k=5)}
        else:
            document = store.document(item)
            assert document is not None
            assert document.text == text
            assert store.search_documents(text.split()[1], k=1)[0].document_id == item
    with_text = [
        message for message in store.messages("chat") if message.text
    ]  # the last kill may leave one empty
    assert store._indexer.index_holds() == (len(with_text), status.chunks)


def sentences(store: MemoryStore, count: int = 300) -> None:
    with store._db.write():
        for number in range(count):
            store.add_message("c", "user", f"fact{number} concerning subject{number % 10}")
    store.flush()


def recalled(store: MemoryStore) -> list[str]:
    """What meaning alone finds in the index: no narrowing, so nothing is compared one by one."""
    from memory_store.retrieval import Rankings

    return [hit.text for hit in store.recall("fact42 concerning subject2", k=1, rankings=Rankings(0.0, 1.0))]


def test_a_deleted_index_is_made_again_from_the_database(open_store: OpenStore) -> None:
    store = open_store(embedder=WordHashes())
    sentences(store)
    store.close()
    shutil.rmtree(store.data_dir / "index")
    again = open_store(embedder=WordHashes())
    again.flush()
    assert recalled(again) == ["fact42 concerning subject2"]
    assert again._indexer.index_holds() == (300, 0)


def test_a_torn_index_is_noticed_and_made_again(open_store: OpenStore) -> None:
    store = open_store(embedder=WordHashes())
    sentences(store)
    store.close()
    for path in (store.data_dir / "index").rglob("*"):
        if path.is_file() and path.suffix in (".bin", ".sqlite3"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    again = open_store(embedder=WordHashes())
    assert again.recall("fact42", k=1)[0].text == "fact42 concerning subject2"  # by words, meanwhile
    again.flush()
    assert again.status().index == "ready (Chroma)"
    assert recalled(again) == ["fact42 concerning subject2"]
    assert again._indexer.index_holds() == (300, 0)


def test_many_messages_with_the_same_words_are_no_sign_of_damage(open_store: OpenStore) -> None:
    store = open_store(embedder=WordHashes())
    with store._db.write():
        for _ in range(300):
            store.add_message("c", "user", "Thanks!", created_at=1e9)
    store.flush()
    store.close()
    again = open_store(embedder=WordHashes())
    again.flush()
    assert (again.status().index, again.status().problem) == ("ready (Chroma)", None)


def test_what_the_index_missed_is_added_and_what_it_has_too_much_is_removed(open_store: OpenStore) -> None:
    store = open_store(embedder=WordHashes())
    sentences(store)
    index = store._indexer._index
    index.delete("message", "local", list(range(1, 50)))
    index.add("message", "local", [10_000_001], WordHashes().embed(["fact42 concerning subject2"]))
    store.close()
    again = open_store(embedder=WordHashes())
    again.flush()
    assert recalled(again) == ["fact42 concerning subject2"]
    assert again._indexer.index_holds() == (300, 0)


def test_without_chroma_vectors_are_compared_one_by_one(open_store: OpenStore, monkeypatch: object) -> None:
    assert isinstance(monkeypatch, pytest.MonkeyPatch)
    monkeypatch.setitem(sys.modules, "chromadb", None)  # importing it fails
    store = open_store(embedder=WordHashes())
    sentences(store)
    assert recalled(store) == ["fact42 concerning subject2"]
    status = store.status()
    assert status.index == "not available: comparing vectors one by one"
    assert status.problem is not None
    assert "Chroma" in status.problem

"""How the store behaves with years of messages: storing, start, recall; with many documents and with a large one.

Texts are made of 20,000 words with Zipf's frequencies, seeded. Vectors are random (384 numbers, as MiniLM makes): this
measures the store and its indexes, not the embedding model, whose speed recall.py shows. Every number is wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Table
from memory_store import MemoryStore

WORDS = 20_000
QUESTIONS = 200
ADDED = 1_000
QUICK = {"messages": "800", "documents": 3, "megabytes": 0.1}


class RandomVectors:
    """A vector for each text, the same every time."""

    name = "random-384"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) // 4 + 1 for text in texts]

    def load(self) -> None:
        """Nothing to load."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [
            np.random.default_rng(zlib.crc32(text.encode())).standard_normal(384, np.float32)
            for text in texts
        ]
        matrix = np.stack(rows)
        return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


class Writer:
    """Text with the word frequencies of a language."""

    def __init__(self, seed: int) -> None:
        self._luck = random.Random(seed)
        letters = "aeioubcdfghklmnprstvw"
        self._words = ["".join(self._luck.choices(letters, k=self._luck.randint(2, 9))) for _ in range(WORDS)]
        self._weights = list(np.cumsum([1 / (rank + 2.7) for rank in range(WORDS)]))

    def text(self, words: int) -> str:
        return " ".join(self._luck.choices(self._words, cum_weights=self._weights, k=words)) + "."


def export_file(path: Path, count: int) -> None:
    """An export of conversations with 400 messages each, as if it came from another installation."""
    writer = Writer(1)

    def messages() -> Iterator[dict[str, object]]:
        for number in range(count):
            yield {
                "seq": number + 1,
                "id": f"m{number}",
                "conversation_id": f"c{number // 400}",
                "parent": None if number % 400 == 0 else number,
                "shown": 1,
                "role": ("user", "assistant")[number % 2],
                "text": writer.text(25),
                "created_at": 1.5e9 + number * 600,
                "status": "complete",
                "metadata": "{}",
            }

    def conversations() -> Iterator[dict[str, object]]:
        for number in range(-(-count // 400)):
            tip = min(count, number * 400 + 400)
            yield {
                "id": f"c{number}",
                "user": "local",
                "title": "",
                "created_at": 1.5e9,
                "updated_at": 1.5e9,
                "pinned": 0,
                "tip": tip,
            }

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("export.json", json.dumps({"program": "LocalRLM", "format": 1}))
        for name, rows in (
            ("conversations", conversations()),
            ("messages", messages()),
            ("documents", []),
            ("tables", []),
        ):
            file.writestr(f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def milliseconds(act: Callable[[str], object], questions: Sequence[str]) -> dict[str, float]:
    times = [1000 * seconds(lambda question=question: act(question)) for question in questions]  # type: ignore[misc]
    return {"median": float(np.median(times)), "p95": float(np.percentile(times, 95))}


def with_messages(count: int) -> dict[str, Any]:
    """A store with so many messages: how long storing, starting and finding take. Seconds, except ``…_ms``."""
    found: dict[str, Any] = {"messages": count}
    with tempfile.TemporaryDirectory() as folder:
        data, export = Path(folder) / "data", Path(folder) / "export.zip"
        export_file(export, count)
        store = MemoryStore(data, embedder=RandomVectors())
        found["import_s"] = seconds(lambda: store.import_all(export))
        found["index_s"] = seconds(store.flush)
        writer = Writer(2)
        said = [writer.text(25) for _ in range(ADDED)]
        found["add_s"] = seconds(lambda: [store.add_message("added", "user", text) for text in said])
        found["index_added_s"] = seconds(store.flush)
        store.close()

        questions = [writer.text(8) for _ in range(QUESTIONS)]
        began = time.perf_counter()
        store = MemoryStore(data, embedder=RandomVectors())
        found["start_s"] = time.perf_counter() - began
        found["first_recall_s"] = seconds(lambda: store.recall(questions[0]))
        store.flush()
        found["recall_all_ms"] = milliseconds(store.recall, questions)
        found["recall_conversation_ms"] = milliseconds(
            lambda question: store.recall(question, conversation_id="c0"), questions
        )
        found["search_conversations_ms"] = milliseconds(
            lambda question: store.search_conversations(question.split()[0]), questions
        )
        found["delete_conversation_s"] = seconds(lambda: store.delete_conversation("c1"))
        found["megabytes_on_disk"] = store.status().bytes_on_disk / 1e6
        found["close_s"] = seconds(store.close)
    return found


def with_documents(count: int, megabytes: float) -> dict[str, Any]:
    """Documents of 10,000 characters, then a large one, in an empty store."""
    writer = Writer(3)
    small = [writer.text(1_600).encode() for _ in range(count)]
    large = "\n\n".join(writer.text(2_000) for _ in range(max(1, int(megabytes * 80)))).encode()
    questions = [writer.text(8) for _ in range(QUESTIONS)]
    found: dict[str, Any] = {
        "documents": count,
        "small_mb": sum(map(len, small)) / 1e6 / count,
        "large_mb": len(large) / 1e6,
    }
    with tempfile.TemporaryDirectory() as folder:
        store = MemoryStore(folder, embedder=RandomVectors())
        found["add_small_s"] = seconds(
            lambda: [store.add_document(f"{number}.txt", data) for number, data in enumerate(small)]
        )
        store.flush()
        found["add_large_s"] = seconds(lambda: store.add_document("large.txt", large))
        found["first_search_s"] = seconds(lambda: store.search_documents(questions[0]))
        found["index_s"] = seconds(store.flush)
        found["search_ms"] = milliseconds(store.search_documents, questions)
        found["megabytes_on_disk"] = store.status().bytes_on_disk / 1e6
        store.close()
    return found


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--messages", default="1000,10000,100000", help="sizes of the memory (%(default)s)")
    parser.add_argument("--documents", type=int, default=100, help="small ones (default 100)")
    parser.add_argument("--megabytes", type=float, default=10, help="of the large document (default 10)")


def run(arguments: argparse.Namespace) -> list[Table]:
    memories = [with_messages(int(count)) for count in arguments.messages.split(",")]
    return [of_messages(memories), of_documents(with_documents(arguments.documents, arguments.megabytes))]


def of_messages(memories: Sequence[dict[str, Any]]) -> Table:
    columns = ("what", *(f"{one['messages']:,} messages" for one in memories))
    lines: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
        ("messages a second, one `add_message` each", lambda one: f"{ADDED / one['add_s']:,.0f}"),
        (
            f"the vectors of these {ADDED:,}, s more in the background",
            lambda one: f"{one['index_added_s']:.1f}",
        ),
        ("messages a second, import", lambda one: f"{one['messages'] / one['import_s']:,.0f}"),
        ("the vectors of all of them, s more in the background", lambda one: f"{one['index_s']:.1f}"),
        ("start with them, s", lambda one: f"{one['start_s']:.2f}"),
        ("first recall after the start, s", lambda one: f"{one['first_recall_s']:.2f}"),
        ("recall over everything, ms", lambda one: _median_p95(one["recall_all_ms"])),
        ("recall within one conversation, ms", lambda one: _median_p95(one["recall_conversation_ms"])),
        ("search in the list of conversations, ms", lambda one: _median_p95(one["search_conversations_ms"])),
        ("delete a conversation of 400, s", lambda one: f"{one['delete_conversation_s']:.2f}"),
        ("close after that (a large file is written anew), s", lambda one: f"{one['close_s']:.2f}"),
        ("on disk, MB", lambda one: f"{one['megabytes_on_disk']:,.0f}"),
    )
    rows = tuple((name, *(say(one) for one in memories)) for name, say in lines)
    return Table(columns, rows, (), memories)


def of_documents(one: dict[str, Any]) -> Table:
    rows = (
        (
            f"{one['documents']} documents of {one['small_mb'] * 1000:.0f} KB",
            f"{one['documents'] / one['add_small_s']:,.0f} documents a second",
        ),
        (
            f"a text of {one['large_mb']:.1f} MB until it is searchable by words",
            f"{one['add_large_s']:.2f} s ({one['large_mb'] / one['add_large_s']:.1f} MB a second)",
        ),
        ("first search right after it", f"{one['first_search_s'] * 1000:.0f} ms"),
        ("its vectors, in the background", f"{one['index_s']:.1f} s more"),
        ("search over all of it", f"{_median_p95(one['search_ms'])} ms"),
    )
    return Table(("what", "measured"), rows, (), [one])


def _median_p95(found: dict[str, float]) -> str:
    return f"{found['median']:.1f}, p95 {found['p95']:.1f}"

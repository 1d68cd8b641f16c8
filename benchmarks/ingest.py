"""How the store behaves with years of messages: import, start, recall; and with a large document.

    python benchmarks/ingest.py [--messages 100000] [--megabytes 10] [--json]

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

import numpy as np
from numpy.typing import NDArray

from memory_store import MemoryStore

WORDS = 20_000
QUESTIONS = 200


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


def milliseconds(act: Callable[[str], object], questions: Sequence[str]) -> dict[str, float]:
    times = []
    for question in questions:
        started = time.perf_counter()
        act(question)
        times.append(1000 * (time.perf_counter() - started))
    return {
        "median_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
    }


def measure(messages: int, megabytes: int) -> dict[str, object]:
    results: dict[str, object] = {"messages": messages}

    def timed(name: str, act: Callable[[], object]) -> None:
        started = time.perf_counter()
        act()
        results[name] = round(time.perf_counter() - started, 2)

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        export_file(Path(folder) / "export.zip", messages)
        store = MemoryStore(data, embedder=RandomVectors())
        timed("import_s", lambda: store.import_all(Path(folder) / "export.zip"))
        timed("index_s", store.flush)
        writer = Writer(2)
        said = [writer.text(25) for _ in range(100)]
        timed("add_100_messages_s", lambda: [store.add_message("c0", "user", text) for text in said])
        store.flush()
        store.close()

        questions = [writer.text(8) for _ in range(QUESTIONS)]
        timed("start_s", lambda: results.update(store=MemoryStore(data, embedder=RandomVectors())))
        store = results.pop("store")  # type: ignore[assignment]
        timed("first_recall_s", lambda: store.recall(questions[0]))
        timed("index_ready_s", store.flush)
        results["recall_all"] = milliseconds(lambda question: store.recall(question), questions)
        results["recall_conversation"] = milliseconds(
            lambda q: store.recall(q, conversation_id="c7"), questions
        )
        results["search_conversations"] = milliseconds(
            lambda q: store.search_conversations(q.split()[0]), questions
        )
        timed("delete_conversation_s", lambda: store.delete_conversation("c3"))

        paragraphs = [writer.text(2000) for _ in range(megabytes * 100)]
        text = "\n\n".join(paragraphs).encode()
        results["document_mb"] = round(len(text) / 1e6, 1)
        timed("add_document_s", lambda: store.add_document("large.txt", text))
        timed("first_search_s", lambda: store.search_documents(questions[1]))
        store.flush()
        results["search_document"] = milliseconds(
            lambda question: store.search_documents(question), questions
        )
        results["megabytes_on_disk"] = round(store.status().bytes_on_disk / 1e6)
        results["state"] = store.status().index
        store.close()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    results = measure(arguments.messages, arguments.megabytes)
    if arguments.json:
        print(json.dumps(results))
        return
    print("| measured | value |\n|---|---|")
    for name, value in results.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()

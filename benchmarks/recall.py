"""How well long-term memory finds the message, and the shelf the passage, that answers a question.

    python benchmarks/recall.py CONVERSATIONS.json [--json]

The file is a list of {id, turns: [{id, date, speaker, text}], qa: [{question, evidence: [turn ids], category}]}, as made from
the LoCoMo data set (Maharana et al., 2024; evaluation data, not part of this repository). Each conversation goes into a real
store twice: turn by turn as messages, and as one Markdown document with a heading for each session. Every question of
categories 1 to 4 is asked within its conversation, by words alone, by meaning alone and by the fusion of both. Recall is the
share of a question's gold turns (or of the passages that hold them) among the first k, averaged over questions.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from memory_store import MemoryStore
from memory_store.retrieval import OF_MESSAGES, OF_PASSAGES, Rankings

MESSAGE_KS, PASSAGE_KS = (5, 10, 20), (1, 3, 5, 8)
WAYS = {"words": Rankings(1.0, 0.0), "meaning": Rankings(0.0, 1.0)}

Question = tuple[str, int, list[str]]  # text, category, gold turn ids
Table = dict[str, dict[str, float]]  # way → "all@k" or "category@k" → recall in percent


def questions(conversation: dict[str, Any]) -> Iterator[Question]:
    """The questions that have a gold turn. Some ids of the data set are run together: "D8:6; D9:17"."""
    turns = {turn["id"] for turn in conversation["turns"]}
    for item in conversation["qa"]:
        gold = sorted(turns.intersection(re.findall(r"D\d+:\d+", " ".join(item["evidence"]))))
        if gold and item["category"] in (1, 2, 3, 4):
            yield item["question"], item["category"], gold


class Score:
    """Sums up the shares of gold items found."""

    def __init__(self, ks: Sequence[int]) -> None:
        self._ks = ks
        self._shares: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def count(self, way: str, category: int, gold: set[Any], found: Sequence[set[Any]]) -> None:
        """`found`: for each hit, best first, the gold items it holds."""
        for k in self._ks:
            share = len(set().union(*found[:k])) / len(gold)
            self._shares[way][f"all@{k}"].append(share)
            self._shares[way][f"{category}@{k}"].append(share)

    def table(self) -> Table:
        return {
            way: {key: 100 * sum(values) / len(values) for key, values in sorted(shares.items())}
            for way, shares in self._shares.items()
        }


def messages(
    store: MemoryStore, conversations: Sequence[dict[str, Any]], say: Callable[[str], None]
) -> Table:
    """Turn by turn."""
    started = time.perf_counter()
    ids: dict[tuple[str, str], str] = {}
    for conversation in conversations:
        home = str(conversation["id"])
        for turn in conversation["turns"]:
            text = f"{turn['speaker']}: {turn['text']}"
            ids[home, turn["id"]] = store.add_message(home, "user", text, created_at=turn["date"])
    stored = time.perf_counter()
    store.flush()
    embedded = time.perf_counter()
    say(f"{len(ids)} messages stored in {stored - started:.1f} s, embedded in {embedded - stored:.1f} s more")
    score, asked = Score(MESSAGE_KS), 0
    for conversation in conversations:
        home = str(conversation["id"])
        for question, category, gold in questions(conversation):
            for way, rankings in {**WAYS, "fusion": OF_MESSAGES}.items():
                hits = store.recall(question, max(MESSAGE_KS), conversation_id=home, rankings=rankings)
                score.count(
                    way, category, {ids[home, turn] for turn in gold}, [hit.message_id for hit in hits]
                )
                asked += 1
    say(f"{asked} searches, {1000 * (time.perf_counter() - embedded) / asked:.1f} ms each")
    return score.table()


def passages(
    store: MemoryStore, conversations: Sequence[dict[str, Any]], say: Callable[[str], None]
) -> Table:
    """Each conversation as one document."""
    shelf = []
    for conversation in conversations:
        text, offsets, session = "", {}, None
        for turn in conversation["turns"]:
            if turn["date"] != session:
                session = turn["date"]
                text += f"\n## {session}\n\n"
            offsets[turn["id"]] = len(text)
            text += f"{turn['speaker']}: {turn['text']}\n"
        shelf.append((conversation, store.add_document(f"{conversation['id']}.md", text.encode()), offsets))
    store.flush()
    say(f"{store.status().chunks} passages of {len(shelf)} documents")
    score = Score(PASSAGE_KS)
    for conversation, document, offsets in shelf:
        for question, category, gold in questions(conversation):
            for way, rankings in {**WAYS, "fusion": OF_PASSAGES}.items():
                hits = store.search_documents(question, max(PASSAGE_KS), [document.id], rankings=rankings)
                wanted = {offsets[turn] for turn in gold}
                found = [{offset for offset in wanted if hit.start <= offset < hit.end} for hit in hits]
                score.count(way, category, wanted, found)
    return score.table()


def show(title: str, table: Table, ks: Sequence[int], at: int) -> None:
    """A Markdown table."""
    print(f"\n| {title} | " + " | ".join(f"R@{k}" for k in ks) + f" | R@{at} by category 1 / 2 / 3 / 4 |")
    print("|---|" + "---|" * (len(ks) + 1))
    for way, row in table.items():
        categories = " / ".join(
            f"{row.get(f'{category}@{at}', float('nan')):.1f}" for category in (1, 2, 3, 4)
        )
        print(f"| {way} | " + " | ".join(f"{row[f'all@{k}']:.1f}" for k in ks) + f" | {categories} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    arguments = parser.parse_args()
    conversations = json.loads(arguments.file.read_text("utf-8"))
    say: Callable[[str], None] = (lambda line: None) if arguments.json else print
    with tempfile.TemporaryDirectory() as folder, MemoryStore(folder) as store:
        results = {
            "messages": messages(store, conversations, say),
            "passages": passages(store, conversations, say),
        }
    if arguments.json:
        print(json.dumps(results))
        return
    show("messages", results["messages"], MESSAGE_KS, 10)
    show("passages", results["passages"], PASSAGE_KS, 8)


if __name__ == "__main__":
    main()

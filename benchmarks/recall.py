"""How well long-term memory finds the message that answers a question: words alone, meaning alone, and the fusion.

    python benchmarks/recall.py CONVERSATIONS.json [--json]

The file is a list of {id, turns: [{id, date, speaker, text}], qa: [{question, evidence: [turn ids], category}]}, as made from
the LoCoMo data set (Maharana et al., 2024; evaluation data, not part of this repository). Each conversation goes into a real
store turn by turn; every question of categories 1 to 4 is asked within its conversation. Recall is the share of a question's
gold turns among the first k, averaged over questions.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from memory_store import MemoryStore
from memory_store.retrieval import OF_MESSAGES, Rankings

KS = (5, 10, 20)
METHODS = {"words": Rankings(1.0, 0.0), "meaning": Rankings(0.0, 1.0), "fusion": OF_MESSAGES}


def fill(store: MemoryStore, conversation: dict[str, Any]) -> dict[str, str]:
    """Add the turns; returns turn id → message id."""
    return {
        turn["id"]: store.add_message(
            str(conversation["id"]), "user", f"{turn['speaker']}: {turn['text']}", created_at=turn["date"]
        )
        for turn in conversation["turns"]
    }


def questions(conversation: dict[str, Any], ids: dict[str, str]) -> Iterable[tuple[str, int, set[str]]]:
    """(question, category, gold message ids), leaving out questions without a gold turn."""
    for item in conversation["qa"]:
        turns = re.findall(r"D\d+:\d+", " ".join(item["evidence"]))
        gold = {ids[turn] for turn in turns if turn in ids}
        if gold and item["category"] in (1, 2, 3, 4):
            yield item["question"], item["category"], gold


def measure(path: Path, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Recall in percent: method → "all@k" and "category@k"."""
    conversations = json.loads(path.read_text("utf-8"))
    shares: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in METHODS}
    with tempfile.TemporaryDirectory() as folder, MemoryStore(folder) as store:
        started = time.perf_counter()
        homes = [(conversation, fill(store, conversation)) for conversation in conversations]
        stored = time.perf_counter()
        store.flush()
        embedded = time.perf_counter()
        turns = sum(len(ids) for _, ids in homes)
        say(
            f"{turns} messages stored in {stored - started:.1f} s, embedded in {embedded - stored:.1f} s more"
        )
        asked = 0
        for conversation, ids in homes:
            for question, category, gold in questions(conversation, ids):
                asked += 1
                for name, rankings in METHODS.items():
                    hits = store.recall(
                        question, max(KS), conversation_id=str(conversation["id"]), rankings=rankings
                    )
                    found = [hit.message_id for hit in hits]
                    for k in KS:
                        share = len(gold.intersection(found[:k])) / len(gold)
                        shares[name][f"all@{k}"].append(share)
                        shares[name][f"{category}@{k}"].append(share)
        say(
            f"{asked} questions, {1000 * (time.perf_counter() - embedded) / asked / len(METHODS):.1f} ms each"
        )
    return {
        name: {key: 100 * sum(values) / len(values) for key, values in sorted(table.items())}
        for name, table in shares.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    results = measure(arguments.file, (lambda line: None) if arguments.json else print)
    if arguments.json:
        print(json.dumps(results))
        return
    print("| method | " + " | ".join(f"R@{k}" for k in KS) + " | R@10 by category 1 / 2 / 3 / 4 |")
    print("|---|" + "---|" * (len(KS) + 1))
    for name, table in results.items():
        categories = " / ".join(f"{table[f'{category}@10']:.1f}" for category in (1, 2, 3, 4))
        print(f"| {name} | " + " | ".join(f"{table[f'all@{k}']:.1f}" for k in KS) + f" | {categories} |")


if __name__ == "__main__":
    main()

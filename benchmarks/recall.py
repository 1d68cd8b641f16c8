"""How well long-term memory finds the message, and the shelf the passage, that answers a question.

    python -m benchmarks recall --file CONVERSATIONS.json

The file is a list of {id, turns: [{id, date, speaker, text}], qa: [{question, evidence: [turn ids], category}]}, as made from
the LoCoMo data set (Maharana et al., 2024; evaluation data, not part of this repository). Each conversation goes into a real
store twice: turn by turn as messages, and as one Markdown document with a heading for each session. Every question of
categories 1 to 4 is asked within its conversation, by words alone, by meaning alone and by the fusion of both. Recall is the
share of a question's gold turns (or of the passages that hold them) among the first k, averaged over questions. Without a
file the conversations are made up: lines of a haystack among which stated facts are looked for, far easier than real ones.
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

from benchmarks import haystacks, report
from memory_store import MemoryStore
from memory_store.retrieval import OF_MESSAGES, OF_PASSAGES, Rankings

MESSAGE_KS, PASSAGE_KS = (5, 10, 20), (1, 3, 5, 8)
WAYS = {"words": Rankings(1.0, 0.0), "meaning": Rankings(0.0, 1.0)}
QUICK = {"made_up": 1, "turns": 60}

Question = tuple[str, int, list[str]]  # text, category, gold turn ids
Table = dict[str, dict[str, float]]  # way → "all@k" or "category@k" → recall in percent


def made_up(count: int, turns: int) -> list[dict[str, Any]]:
    """Conversations of so many turns, each with a stated fact for every kind of question of the haystacks that has one."""
    made = []
    for number in range(count):
        lines, asked = [], []
        for task, category in (("needle", 4), ("needles", 1)):
            puzzle = haystacks.make(task, turns * 8, number)
            lines += puzzle.text.replace("\n\n", " ").split(". ")
            asked.append((puzzle.question, category, puzzle.expected))
        said = [
            {"id": f"D{1 + at // 20}:{1 + at % 20}", "date": "1 May 2026", "speaker": "Ann", "text": line}
            for at, line in enumerate(lines)
        ]
        facts = [turn for turn in said if re.search("access code|spare key", str(turn["text"]))]
        qa = [
            {
                "question": question,
                "category": category,
                "evidence": [
                    str(turn["id"]) for turn in facts if any(word in str(turn["text"]) for word in expected)
                ],
            }
            for question, category, expected in asked
        ]
        made.append({"id": f"made-up-{number}", "turns": said, "qa": qa})
    return made


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
        """`found`: for each hit, best first, the items it holds."""
        for k in self._ks:
            share = len(gold & set().union(*found[:k])) / len(gold)
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
                    way, category, {ids[home, turn] for turn in gold}, [{hit.message_id} for hit in hits]
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


def shown(title: str, table: Table, ks: Sequence[int], at: int, notes: tuple[str, ...]) -> report.Table:
    """The table for people."""
    columns = (title, *(f"R@{k}" for k in ks), f"R@{at} by category 1 / 2 / 3 / 4")
    rows = []
    for way, row in table.items():
        categories = [row.get(f"{category}@{at}") for category in (1, 2, 3, 4)]
        by_category = " / ".join("-" if share is None else f"{share:.1f}" for share in categories)
        rows.append((way, *(f"{row[f'all@{k}']:.1f}" for k in ks), by_category))
    figures = [{"way": way, **row} for way, row in table.items()]
    return report.Table(columns, tuple(rows), notes, figures)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, help="conversations with questions and their evidence")
    parser.add_argument(
        "--made-up", type=int, default=5, help="conversations, where there is no file (default 5)"
    )
    parser.add_argument("--turns", type=int, default=400, help="of a made-up conversation (default 400)")


def run(arguments: argparse.Namespace) -> list[report.Table]:
    if arguments.file:
        conversations = json.loads(arguments.file.read_text("utf-8"))
    else:
        conversations = made_up(arguments.made_up, arguments.turns)
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder, MemoryStore(folder) as store:
        of_messages = messages(store, conversations, said.append)
        about_messages = tuple(f"{line}." for line in said)
        of_passages = passages(store, conversations, said.append)
    about_passages = tuple(f"{line}." for line in said[len(about_messages) :])
    return [
        shown("messages", of_messages, MESSAGE_KS, 10, about_messages),
        shown("passages", of_passages, PASSAGE_KS, 8, about_passages),
    ]

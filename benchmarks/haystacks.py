"""Long texts with known answers, of any size, made from a seed: needle, several needles, count, pairs, two hops.

Filler sentences have the same vocabulary as the facts, so that a search for the words of a question also finds what is no answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

CHARS_PER_TOKEN = 4.2
TASKS = ("needle", "needles", "count", "pairs", "hops")

_PLACES = (
    "boathouse", "observatory", "granary", "library", "brewery", "bell tower", "glasshouse", "tannery", "ropewalk", "mint", "armoury", "apothecary",
    "foundry", "chapel", "customs house", "theatre", "stables", "dairy", "printing house", "signal station",
)  # fmt: skip
_PEOPLE = (
    "Alma Reed", "Boris Tan", "Celia Moss", "Dario Finn", "Edda Cole", "Farid Nour", "Greta Holt", "Hugo Prentice", "Ilse Brandt", "Jonas Wick",
    "Kaya Orson", "Leo Marsden", "Mina Alder", "Niels Roth", "Olga Penn", "Paulo Vance", "Rhea Sund", "Simon Yates", "Tessa Lorne", "Uri Blom",
)  # fmt: skip
_COLOURS = ("red", "green", "blue", "white", "yellow", "brown", "grey", "violet", "orange", "black")
_FILLER = (
    "{who} walked to the {place} before breakfast and found the door open.", "Nobody had swept the {place} since the spring.",
    "A letter for {who} was left at the {place} and fetched the same day.", "The roof of the {place} will be looked at when the rain stops.",
    "{who} and {other} spoke for {n} minutes about the price of lamp oil.", "The road past the {place} was closed for {n} hours.",
    "{who} counted {n} swallows over the {place}.", "In the evening there was music near the {place}, and {who} danced.",
    "The clock of the {place} was wrong by {n} minutes again.", "{other} borrowed a ladder from {who} and has not brought it back.",
    "It was said at the {place} that the winter will be mild.", "{who} sold {n} baskets of pears.", "The {place} smells of varnish this week.",
    "A dog without a collar sleeps behind the {place}.", "{who} would like to hear more about the plans of {other}.",
)  # fmt: skip


@dataclass(frozen=True)
class Puzzle:
    """A text of about ``tokens`` tokens, a question, and what an answer must contain (whole words, any order)."""

    task: str
    tokens: int
    seed: int
    text: str
    question: str
    expected: tuple[str, ...]

    def solved_by(self, answer: str) -> bool:
        """Every expected word is there; of a number no other one may follow or precede it."""
        plain = re.sub(r"(?<=\d),(?=\d{3})", "", answer)
        plain = re.sub(r"\[\d+\]", "", plain)
        return all(
            re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", plain, re.IGNORECASE) for word in self.expected
        )


def make(task: str, tokens: int, seed: int) -> Puzzle:
    """The puzzle of this kind, size and seed; always the same for the same arguments."""
    dice = random.Random(f"{task} {tokens} {seed}")
    facts, question, expected = _MAKERS[task](dice, tokens)
    lines = _filler(dice, int(tokens * CHARS_PER_TOKEN) - sum(map(len, facts)))
    for fact in facts:
        lines.insert(dice.randrange(len(lines)), fact)
    paragraphs = [" ".join(lines[at : at + 6]) for at in range(0, len(lines), 6)]
    return Puzzle(task, tokens, seed, "\n\n".join(paragraphs), question, tuple(expected))


def _filler(dice: random.Random, chars: int) -> list[str]:
    lines: list[str] = []
    while chars > 0:
        who, other = dice.sample(_PEOPLE, 2)
        sentence = dice.choice(_FILLER).format(
            who=who, other=other, place=dice.choice(_PLACES), n=dice.randint(2, 60)
        )
        lines.append(sentence)
        chars -= len(sentence) + 1
    return lines


Made = tuple[list[str], str, list[str]]


def _needle(dice: random.Random, tokens: int) -> Made:
    place, code = dice.choice(_PLACES), str(dice.randint(10_000, 99_999))
    return [f"The access code of the {place} is {code}."], f"What is the access code of the {place}?", [code]


def _needles(dice: random.Random, tokens: int) -> Made:
    who, places = dice.choice(_PEOPLE), dice.sample(_PLACES, 4)
    facts = [f"{who} keeps a spare key in the {place}." for place in places]
    return facts, f"List all the places where {who} keeps a spare key.", places


def _count(dice: random.Random, tokens: int) -> Made:
    who, number = dice.choice(_PEOPLE), dice.randint(7, 24)
    others = [name for name in _PEOPLE if name != who]
    facts = [f"{who} paid the ferry toll on day {day}." for day in sorted(dice.sample(range(1, 400), number))]
    facts += [f"{dice.choice(others)} paid the ferry toll on day {dice.randint(1, 400)}." for _ in range(30)]
    return facts, f"How many times did {who} pay the ferry toll?", [str(number)]


def _pairs(dice: random.Random, tokens: int) -> Made:
    first, second = dice.sample(_PEOPLE, 2)
    numbers = dice.sample(range(100, 999), len(_PEOPLE) - 1)
    given = dict(zip([name for name in _PEOPLE if name != second], numbers, strict=True))
    given[second] = given[first]
    facts = [f"The locker of {name} has the number {number}." for name, number in given.items()]
    return facts, "Which two people have lockers with the same number?", [first, second]


def _hops(dice: random.Random, tokens: int) -> Made:
    homes = dict(zip(_PEOPLE, dice.sample(range(1, 99), len(_PEOPLE)), strict=True))
    doors = {house: dice.choice(_COLOURS) for house in homes.values()}
    who = dice.choice(_PEOPLE)
    facts = [f"{name} lives in house number {house}." for name, house in homes.items()]
    facts += [f"The door of house number {house} is {colour}." for house, colour in doors.items()]
    return facts, f"What colour is the door of the house in which {who} lives?", [doors[homes[who]]]


_MAKERS: dict[str, Callable[[random.Random, int], Made]] = {
    "needle": _needle,
    "needles": _needles,
    "count": _count,
    "pairs": _pairs,
    "hops": _hops,
}

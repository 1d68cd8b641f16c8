"""Dice, decks and pages: how a document is drawn at random and still remembers where its facts stand."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

T = TypeVar("T")

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class Dice:
    """Reproducible chance. Only ``random()`` is used: its sequence is promised to stay the same in every Python."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self._random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.between(0, len(choices) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        left = list(items)
        return [left.pop(self.between(0, len(left) - 1)) for _ in items]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different items, in random order."""
        return self.shuffled(items)[:count]


class Deck:
    """Cards that all come up once before any comes up again, so that a long text does not repeat itself at once."""

    def __init__(self, dice: Dice, cards: Sequence[str]) -> None:
        self._dice = dice
        self._cards = cards
        self._left: list[str] = []
        self._last: str | None = None

    def draw(self) -> str:
        if not self._left:
            self._left = self._dice.shuffled(self._cards)
            if self._left[-1] == self._last and len(self._left) > 1:
                self._left.insert(0, self._left.pop())
        self._last = self._left.pop()
        return self._last


def fill(template: str, decks: Mapping[str, Deck], values: Mapping[str, object] | None = None) -> str:
    """Replace each ``{name}`` by the value or the next card of that name; cards may hold further names."""
    known = values or {}

    def card(match: re.Match[str]) -> str:
        name = match.group(1)
        return str(known[name]) if name in known else decks[name].draw()

    while "{" in template:
        template = re.sub(r"\{(\w+)\}", card, template)
    return template


@dataclass(frozen=True)
class Span:
    """Characters ``start`` to ``end`` of a document's text."""

    start: int
    end: int


class Page:
    """A text that grows at its end. ``add`` tells where the new piece stands."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0

    def add(self, piece: str, after: str = "") -> Span:
        """Append ``piece``, then ``after``; the span covers ``piece`` alone."""
        span = Span(self._size, self._size + len(piece))
        self._pieces += [piece, after]
        self._size = span.end + len(after)
        return span

    def paragraph(self, sentences: Sequence[str], after: str = "\n\n") -> list[Span]:
        """Append sentences separated by spaces; one span each."""
        spans = [self.add(sentence, " ") for sentence in sentences[:-1]]
        spans.append(self.add(sentences[-1], after))
        return spans

    @property
    def text(self) -> str:
        return "".join(self._pieces)


def long_date(day: date) -> str:
    """``7 March 2024``, whatever the machine's language."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]

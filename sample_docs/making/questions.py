"""Questions with known answers, and how an answer is judged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .text import Span, listed

Kind = Literal["find_one", "find_several", "count", "compare", "multi_hop", "aggregate"]


@dataclass(frozen=True)
class Question:
    """One question about one document.

    ``accept`` holds regular expressions; ``evidence`` the passages that the answer follows from.
    """

    document: str
    kind: Kind
    question: str
    answer: str
    accept: tuple[str, ...]
    evidence: tuple[Span, ...]

    def as_json(self, number: int) -> dict[str, object]:
        """The object in ``questions.json``; ``number`` counts the questions of one document from 1."""
        stem = self.document.rpartition(".")[0].replace("_", "-")
        return {
            "id": f"{stem}-{number:02}",
            "document": self.document,
            "kind": self.kind,
            "question": self.question,
            "answer": self.answer,
            "accept": list(self.accept),
            "evidence": [{"start": span.start, "end": span.end} for span in self.evidence],
        }


def is_right(question: Mapping[str, object], answer: str) -> bool:
    """Whether one of the question's ``accept`` patterns is found in the answer (any case, across lines)."""
    patterns = question["accept"]
    assert isinstance(patterns, Sequence)
    return any(re.search(str(pattern), answer, re.IGNORECASE | re.DOTALL) for pattern in patterns)


def number(value: int | float) -> str:
    """A pattern for a number as people and models write it: 12345, 12,345, 12 345 or 12345.00."""
    whole, _, decimals = f"{value:.2f}".partition(".")
    head, groups = whole[: len(whole) % 3 or 3], re.findall("...", whole[len(whole) % 3 or 3 :])
    digits = "[, \u202f\u00a0]?".join([head, *groups])
    if decimals == "00":
        tail = r"(?:\.0+)?"
    elif decimals.endswith("0"):
        tail = rf"\.{decimals[0]}0?"
    else:
        tail = rf"\.{decimals}"
    return rf"(?<!\d)(?<!\d[.,]){digits}{tail}(?![\d]|[.,]\d)"


def words(text: str) -> str:
    """A pattern for these words, with any white space between them."""
    return r"(?<!\w)" + r"\s+".join(re.escape(word) for word in text.split()) + r"(?!\w)"


def all_of(patterns: Iterable[str]) -> str:
    """A pattern that is found where all of ``patterns`` are, in any order."""
    return "^" + "".join(f"(?=.*{pattern})" for pattern in patterns)


def names(items: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The answer text and the accept patterns for a list of names."""
    return listed(items), (all_of(words(item) for item in items),)

"""On how many lines the names of a question stand, counted by code for models that cannot write the code.

A count says what was counted, so that it is true even where something else was meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rlm_core.context import Context
from rlm_core.lines import asked_for, in_german

MOST_PLACES = 3
MOST_LINES_LOOKED_AT = 20_000

COUNTS = re.compile(r"\b(?:how (?:many|often)|count|wie ?viele|wie oft|anzahl|z[äa]hle)\b", re.I)
COMPARES = re.compile(
    r"\b(?:not|no|without|except|other than|(?:more|less|fewer|larger|smaller|higher|lower|earlier|later) than|above|below|over|under|"
    r"at (?:least|most)|between|before|after|since|until|difference|each|per|or|nicht|ohne|außer|(?:mehr|weniger|größer|kleiner) als|"
    r"über|unter|mindestens|höchstens|zwischen|vor|nach|seit|bis|jede[rnsm]?|pro|je|oder)\b",
    re.I,
)
_QUOTED = re.compile(r"“([^“”\n]+)”|„([^„“”\n]+)[“”]|«([^«»\n]+)»|\"([^\"\n]+)\"")
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_WORD = re.compile(r"\w(?:[\w./-]*\w)?")


@dataclass(frozen=True)
class Figure:
    """``text`` is one statement; ``places`` are offsets in the context of the first few lines that it rests on."""

    text: str
    places: tuple[tuple[int, int], ...]


def count_of_lines(question: str, context: Context) -> Figure | None:
    """On how many lines the names of the question stand together; None when it does not ask how many, or names nothing."""
    if COMPARES.search(question) or not COUNTS.search(question):
        return None
    quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(question)]
    names = quoted or names_in(question)
    held = [name for name in names if name in context.text]
    understood = len(held) == len(names) or in_german(question)
    if not understood or all(YEAR.search(name) for name in held):
        return None
    longest, *others = sorted(held, key=len, reverse=True)
    lines: list[tuple[int, int]] = []
    at = context.text.find(longest)
    while at >= 0:
        start = context.text.rfind("\n", 0, at) + 1
        end = context.text.find("\n", at + len(longest))
        end = len(context.text) if end < 0 else end
        line = context.text[start:end]
        if stands_in(longest, line) and all(stands_in(other, line) for other in others):
            lines.append((start, end))
        at = context.text.find(longest, end)
    if len(lines) < 2:
        return None
    what = " together with ".join(f"“{name}”" for name in held)
    where = context.parts[0].material.name if len(context.parts) == 1 else "the material"
    said = f"{what} stands on {len(lines):,} lines of {where}{_with_words(question, held, lines, context)}."
    return Figure(said, tuple(lines[:MOST_PLACES]))


def _with_words(
    question: str, held: Sequence[str], lines: Sequence[tuple[int, int]], context: Context
) -> str:
    """On how many of the lines further words of the question stand."""
    if len(lines) > MOST_LINES_LOOKED_AT:
        return ""
    named = asked_for(" ".join(held))
    stems = [asked_for(context.text[start:end]) for start, end in lines]
    said = ""
    for word in dict.fromkeys(_WORD.findall(question)):
        further = asked_for(word) - named
        number = sum(further <= line for line in stems) if further else 0
        if 0 < number < len(lines):
            said += f", on {number:,} of them with “{word}”"
    return said


def names_in(question: str) -> list[str]:
    """Words with a capital or a figure, neighbours together; the first word of the question has a capital anyway."""
    found: list[list[str]] = []
    before = -2
    for match in list(_WORD.finditer(question))[1:]:
        word = match[0]
        if word == "I" or not (word[0].isupper() or any(map(str.isdigit, word))):
            continue
        if match.start() == before + 1:
            found[-1].append(word)
        else:
            found.append([word])
        before = match.end()
    return [" ".join(words) for words in found]


def stands_in(value: str, text: str) -> bool:
    """As a whole word, whatever the capitals."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.I) is not None

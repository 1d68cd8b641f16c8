"""Single lines of passages: which one a question is about, and whether a reply about a line keeps to it.

Words do both, without a model: a line that shares the rare words of a question is very likely the one that answers it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from rlm_core.context import Context, Piece

LINE_CHARS = 240
"""A longer line is a paragraph: its sentences are taken instead."""
STEM_CHARS = 6

_WORD = re.compile(r"[^\W_]+(?:[-.'][^\W_]+|(?<=\d):\d+)*")
_SENTENCE = re.compile(r".+?(?:[.!?](?=\s)|$)\s*", re.DOTALL)
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|en|e|n|s)$")
_ASKING = """a about all an and any are as at by did do document documents does ever file files for from had has have he high how
in is it its long many me much my of often on or say says she tell that the their there they this to was were what when where
which who whom whose why will with"""
_ASKING_IN_GERMAN = """als am an auf aus bei das dem den der des die du ein eine einem einen einer er es für gibt hat haben heißt heute hoch
ich ihr im in ist man mein mit muss nach oder sich sie sind steht über um und viel viele vom von vor wann war was welche welchem
welchen welcher welches wem wen wer werden wessen wie wir wird wo wofür wohin wurde wurden zu zum zur"""
_IN_GERMAN = re.compile(
    r"\b(?:das|der|gibt|heißt|ist|sind|wann|welche[mnrs]?|wem|wen|wer|wessen|wie|wo|wofür|wohin|wurden?)\b",
    re.I,
)
"""Words that no English question has: "die", "hat" and "war" mean something in those."""
_ASKS_NUMBER = re.compile(
    r"\b(?:how (?:many|much|often|long|old|far)|number|when|date|wie ?viele?|wann)\b", re.I
)
_ASKS_NAME = re.compile(r"\b(?:who|whom|whose|wer|wem|wen|wessen)\b", re.I)


@dataclass(frozen=True)
class Line:
    """A line, or a sentence of a long one. ``fit`` (0 to 1) is the share of the question's words that it holds, each word
    weighted by how rare it is."""

    piece: Piece
    fit: float


def best_line(question: str, pieces: Sequence[Piece], context: Context) -> Line | None:
    """The line of the passages that fits the question best, of equal ones the first that has a figure (the head of a table
    has none); None when none has a word of it."""
    lines = [line for piece in pieces for line in _lines(piece, context)]
    wanted = asked_for(question)
    held = [wanted & _stems(f"{line.text} {line.heading}") for line in lines]
    if not any(held):
        return None
    weights = {stem: _rarity(sum(stem in stems for stems in held), len(lines)) for stem in wanted}
    fits = [sum(weights[stem] for stem in stems) / sum(weights.values()) for stems in held]
    best = max(range(len(lines)), key=lambda number: (fits[number], _has_digit(lines[number].text), -number))
    return Line(lines[best], fits[best])


def best_sentence(question: str, text: str) -> str:
    """The sentence of a text that has most words of the question."""
    wanted = asked_for(question)
    sentences = [match[0].strip() for match in _SENTENCE.finditer(text)]
    return max(sentences, key=lambda sentence: len(wanted & _stems(sentence)))


def in_german(question: str) -> bool:
    """Whether a question has one of the words that only a German one has."""
    return _IN_GERMAN.search(question) is not None


def keeps_to(reply: str, line: str, question: str) -> bool:
    """Whether a reply about a line says something that stands in it: no number or name of its own, and beyond the words of
    the question the number or the name that was asked for."""
    said, given, asked = (set(_WORD.findall(text)) for text in (reply, line, question))
    folded = {word.casefold() for word in given | asked}
    invented = {
        word for word in said if (_has_digit(word) or word[0].isupper()) and word.casefold() not in folded
    }
    new = (said & given) - asked
    if _ASKS_NUMBER.search(question) and not any(map(_has_digit, new)):
        return False
    if _ASKS_NAME.search(question) and not any(word[0].isupper() for word in new):
        return False
    return bool(asked_for(" ".join(new))) and all(_begins(reply, word) for word in invented)


def _lines(piece: Piece, context: Context) -> list[Piece]:
    """The lines of a passage, each with its own headings."""
    found: list[Piece] = []
    start = piece.start
    for line in piece.text.splitlines(keepends=True):
        parts = [line] if len(line) <= LINE_CHARS else [match[0] for match in _SENTENCE.finditer(line)]
        for part in parts:
            if part.strip():
                found.append(context.piece(start, start + len(part.rstrip())))
            start += len(part)
    return found


def asked_for(question: str) -> set[str]:
    """The words of a question that can stand in its answer."""
    return _stems(question) - _asking(in_german(question))


@cache
def _asking(german: bool) -> set[str]:
    return _stems(f"{_ASKING} {_ASKING_IN_GERMAN}" if german else _ASKING)


def _stems(text: str) -> set[str]:
    """The words of a text, cut so that most inflections meet; what has a digit in it stays whole."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text.casefold())
        if not unicodedata.combining(letter)
    )
    return {word if _has_digit(word) else _ENDING.sub("", word)[:STEM_CHARS] for word in _WORD.findall(plain)}


def _rarity(count: int, of: int) -> float:
    return math.log(1 + (of - count + 0.5) / (count + 0.5))


def _has_digit(word: str) -> bool:
    return any(letter.isdigit() for letter in word)


def _begins(reply: str, word: str) -> bool:
    """A capital at the beginning of a sentence makes no name."""
    return (
        not _has_digit(word) and re.search(rf"(?:^|[.!?]\s+){re.escape(word)}\b", reply.strip()) is not None
    )

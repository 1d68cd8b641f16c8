"""Cutting a document into passages for the indexes: at its own structure first, then by size.

Sizes are characters; `characters_per_token` converts from the embedder's tokens, measured on samples of the text at hand
(digits and Chinese take many more tokens than English prose).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from memory_store.records import Section

PASSAGE_TOKENS = 200  # leaves room for the heading within MiniLM's 256
_SAMPLES, _SAMPLE_CHARS = 8, 4000
_SENTENCE_END = re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]]*\s|[\u3002\uff01\uff1f]")  # the latter: CJK


@dataclass(frozen=True)
class Chunk:
    """`text[start:end]` of the document, the number of line ends before it, and the headings above it."""

    start: int
    end: int
    line: int
    heading: str


def characters_per_token(text: str, count_tokens: Callable[[Sequence[str]], Sequence[int]]) -> float:
    """Measured on up to eight samples spread over the text; between 0.5 and 8."""
    if len(text) <= _SAMPLES * _SAMPLE_CHARS:
        samples = [text]
    else:
        stride = (len(text) - _SAMPLE_CHARS) // (_SAMPLES - 1)
        samples = [text[i * stride : i * stride + _SAMPLE_CHARS] for i in range(_SAMPLES)]
    tokens = sum(count_tokens(samples))
    return min(8.0, max(0.5, sum(map(len, samples)) / max(1, tokens)))


def chunk(text: str, sections: Sequence[Section], characters: int) -> Iterator[Chunk]:
    """Passages of at most `characters`, in order, without overlap, that together hold every word of the text.

    A passage ends at the first section that begins after a third of the size; else at the last paragraph, line, sentence
    or word that fits.
    """
    borders = sorted({section.start for section in sections if section.kind != "rows"})
    headings = _Headings(sections)
    here, least = 0, max(1, characters // 3)
    counted, line = 0, 0
    while here < len(text):
        end = _end(text, here, least, characters, borders)
        start, stop = _trim(text, here, end)
        if start < stop:
            line += text.count("\n", counted, start)
            counted = start
            yield Chunk(start, stop, line, headings.above(start))
        here = end


def _end(text: str, here: int, least: int, most: int, borders: list[int]) -> int:
    limit = min(len(text), here + most)
    border = bisect_right(borders, here + least)
    if border < len(borders) and borders[border] <= limit:
        return borders[border]
    if limit == len(text):
        return limit
    for separator in ("\n\n", "\n"):
        found = text.rfind(separator, here + least, limit)
        if found >= 0:
            return found + len(separator)
    sentences = [match.end() for match in _SENTENCE_END.finditer(text, here + least, limit)]
    if sentences:
        return sentences[-1]
    space = text.rfind(" ", here + least, limit)
    return space + 1 if space >= 0 else limit


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


class _Headings:
    """The headings, chapters and sheets above an offset, from the outermost in. Offsets must be asked in order."""

    def __init__(self, sections: Sequence[Section]) -> None:
        named = [s for s in sections if s.kind in ("heading", "chapter", "sheet", "slide")]
        self._coming = sorted(named, key=lambda s: (s.start, s.level, -s.end), reverse=True)
        self._open: list[Section] = []

    def above(self, offset: int) -> str:
        while self._coming and self._coming[-1].start <= offset:
            self._open.append(self._coming.pop())
        self._open = [section for section in self._open if section.end > offset]
        return " / ".join(section.label for section in self._open[-3:])

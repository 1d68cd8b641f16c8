"""Finding passages in a text: pieces with their offsets, ranked by keywords, or found by a regular expression.

Pure functions over ``str``; only the standard library, because the sandbox worker and the host both use this module.

Ranking is BM25 (Robertson & Zaragoza 2009, section 3) over passages of about PASSAGE_CHARS characters. There is no index
to build: only the occurrences of the query's own words are looked up, with ``str.find`` on a folded copy of each block of
the text, so a first search over 100 MB costs well under a second per word and no memory beyond one block.
"""

from __future__ import annotations

import heapq
import math
import re
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final

PASSAGE_CHARS: Final = 900
"""About how long a passage is; it ends at a paragraph, line, sentence or word if one ends near by."""

BLOCK_CHARS: Final = 8 * 1024 * 1024
MAX_OCCURRENCES: Final = 200_000
"""A word that occurs more often than this tells passages apart so little that it is no longer counted."""

K1: Final = 1.2
B: Final = 0.6
INFLECTION_WEIGHT: Final = 0.8

_WORD: Final = re.compile(r"\w+(?:['.\-]\w+)*")
_STOP_WORDS: Final = frozenset(
    """a an and are as at be but by did do does for from had has have he her him his how i if in into is it its me my no
    not of on or our she so than that the their them then there these they this to was we were what when where which who
    whom whose why will with would you your about can could should tell please find give show
    der die das und ist ein eine von zu mit den dem des im auf für wie was wer le la les de du et est un une que qui el
    los las y en es por con para il lo gli che di e per""".split()  # noqa: SIM905
)


class Passage(str):
    """A piece of a text that knows where it is: a ``str`` with ``.start``, ``.end``, ``.score`` and ``.text``.

    ``text[p.start:p.end] == p``. The same values can be read as items (``p["start"]``), because callers of the REPL
    cannot know beforehand which form a helper returns; ``p[0:10]`` is still a slice of the text.
    """

    __slots__ = ("end", "match", "score", "start")

    start: int
    end: int
    score: float
    match: str

    def __new__(cls, text: str, start: int, score: float = 0.0, match: str = "") -> Passage:
        """``start`` is the offset of the passage in the whole text, in characters."""
        passage = super().__new__(cls, text)
        passage.start = start
        passage.end = start + len(text)
        passage.score = score
        passage.match = match
        return passage

    @property
    def text(self) -> str:
        """The passage as a plain string."""
        return str.__str__(self)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key in _FIELDS:
                return getattr(self, key)
            raise KeyError(f"a passage has {', '.join(_FIELDS)}, not {key!r}")
        return str.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """The field of that name, as ``dict.get`` would."""
        return getattr(self, key) if key in _FIELDS else default

    def keys(self) -> tuple[str, ...]:
        """The names of the fields."""
        return _FIELDS

    def __repr__(self) -> str:
        score = f", score={self.score:.3g}" if self.score else ""
        return f"Passage(start={self.start}, end={self.end}{score}, text={str.__repr__(self)})"


_FIELDS: Final = ("text", "start", "end", "score", "match")


def chunks(text: str, size: int = 8000, overlap: int = 0) -> list[Passage]:
    """Cut a text into passages of at most ``size`` characters that together cover all of it.

    A cut falls on the end of a paragraph, line, sentence or word if there is one in the last quarter; each passage
    repeats the last ``overlap`` characters of the one before. Raises ValueError unless 0 <= overlap < size.
    """
    if size < 1:
        raise ValueError(f"size is the number of characters of a chunk, at least 1; got {size}")
    if not 0 <= overlap < size:
        raise ValueError(f"overlap must be at least 0 and smaller than size ({size}); got {overlap}")
    found: list[Passage] = []
    start = 0
    while start < len(text):
        end = _cut(text, start, size)
        found.append(Passage(text[start:end], start))
        if end == len(text):
            break
        start = max(end - overlap, start + 1)
    return found


def _cut(text: str, start: int, size: int) -> int:
    limit = start + size
    if limit >= len(text):
        return len(text)
    earliest = start + size - size // 4
    for mark in ("\n\n", "\n", ". ", " "):
        at = text.rfind(mark, earliest, limit)
        if at != -1:
            return at + len(mark)
    return limit


class PassageIndex:
    """Searches one text. Cheap to make: the passage boundaries are found at the first search."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[int] | None = None

    def search(self, query: str, k: int = 10) -> list[Passage]:
        """The ``k`` passages that answer the query best by its words, best first; ties in text order.

        A word also matches its inflections (``contract``, ``contracts``), with less weight. Words of a quoted part
        ("exact words") must occur literally. An empty list means that none of the words occurs.
        """
        terms, phrases = _query_terms(query)
        if k < 1 or not (terms or phrases):
            return []
        starts = self._boundaries()
        mean = len(self._text) / len(starts)
        scores: dict[int, float] = {}
        for term in (*phrases, *terms):
            counts = self._count(term, starts, literal=term in phrases)
            idf = math.log(1 + (len(starts) - len(counts) + 0.5) / (len(counts) + 0.5))
            for at, count in counts.items():
                length = self._end(at, starts) - starts[at]
                weight = idf * count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))
                scores[at] = scores.get(at, 0.0) + weight
        best = heapq.nsmallest(k, scores.items(), key=lambda item: (-item[1], item[0]))
        return [self._passage(at, starts, score) for at, score in best]

    def _passage(self, at: int, starts: Sequence[int], score: float) -> Passage:
        return Passage(self._text[starts[at] : self._end(at, starts)], starts[at], score)

    def _end(self, at: int, starts: Sequence[int]) -> int:
        return starts[at + 1] if at + 1 < len(starts) else len(self._text)

    def _boundaries(self) -> list[int]:
        if self._starts is None:
            starts, at = [0], 0
            while (at := _cut(self._text, at, PASSAGE_CHARS)) < len(self._text):
                starts.append(at)
            self._starts = starts
        return self._starts

    def _count(self, term: str, starts: list[int], *, literal: bool) -> dict[int, float]:
        """How often the term occurs in each passage (an inflected form counts INFLECTION_WEIGHT)."""
        counts: dict[int, float] = {}
        for seen, (position, weight) in enumerate(_occurrences(self._text, term, literal=literal)):
            if seen == MAX_OCCURRENCES:
                return {}
            at = bisect_right(starts, position) - 1
            counts[at] = counts.get(at, 0.0) + weight
        return counts


def _query_terms(query: str) -> tuple[list[str], list[str]]:
    phrases = [phrase.lower() for phrase in re.findall(r'"([^"]{2,200})"', query)]
    written = [word.lower() for word in _WORD.findall(query)]
    parts = [part for word in written if "-" in word for part in word.split("-") if part.isalpha()]
    words = list(dict.fromkeys(written + parts))
    content = [word for word in words if word not in _STOP_WORDS]
    return (content or words)[:32], phrases[:8]


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "ed", "es", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _occurrences(text: str, term: str, *, literal: bool) -> Iterator[tuple[int, float]]:
    """Offsets where the term begins as a word, with a weight of 1 or, for another inflection, less."""
    stem = _stem(term) if term[-1].isalpha() and not literal else term
    overlap = len(term) + 8
    for block_start in range(0, max(len(text), 1), BLOCK_CHARS):
        block = text[block_start : block_start + BLOCK_CHARS + overlap]
        folded = block.lower()
        if len(folded) != len(block):  # a few letters change their length in lower case; then fold ASCII only
            folded = block.translate(_ASCII_LOWER)
        at = folded.find(stem)
        while at != -1 and at < BLOCK_CHARS:
            weight = _match_weight(folded, at, stem, term, literal)
            if weight and not (at == 0 and block_start and text[block_start - 1].isalnum()):
                yield block_start + at, weight
            at = folded.find(stem, at + len(stem))


_ASCII_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _match_weight(folded: str, at: int, stem: str, term: str, literal: bool) -> float:
    if literal:
        return 1.0
    if at and folded[at - 1].isalnum():
        return 0.0
    end = at + len(stem)
    rest = end
    while rest < len(folded) and rest - end < 5 and folded[rest].isalnum():
        rest += 1
    if folded[at:rest] == term:
        return 1.0
    return INFLECTION_WEIGHT if stem[-1].isalpha() and len(stem) >= 4 and rest - end <= 4 else 0.0


def search_regex(text: str, pattern: str, k: int = 10, *, seconds: float = 10.0) -> list[Passage]:
    """The first ``k`` places where the pattern matches, each with the line around it (``.match`` is the match itself).

    The pattern ignores case unless it says otherwise (``(?-i:...)``). Stops after ``seconds``; a single match that takes
    longer is ended by the REPL's own time limit. Raises re.error for a pattern that is not valid.
    """
    deadline = time.monotonic() + seconds
    found: list[Passage] = []
    end_of_last = -1
    for match in re.compile(pattern, re.IGNORECASE | re.MULTILINE).finditer(text):
        if match.start() >= end_of_last:
            start = max(text.rfind("\n", 0, match.start()) + 1, match.start() - 300)
            line_end = text.find("\n", match.end())
            end = min(len(text) if line_end == -1 else line_end, match.end() + 300)
            found.append(Passage(text[start:end], start, 1.0, match.group()))
            end_of_last = end
        if len(found) >= k or time.monotonic() > deadline:
            break
    return found

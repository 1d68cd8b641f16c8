"""Under which headings a place of a text stands.

A passage that is cut out of a document loses what stood above it: the date of the entry, the chapter, the names of a
table's columns. A reader needs these lines to know what the passage is about.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict

LONGEST_HEADING = 100
LONGEST_HEADER_ROW = 400
MOST_LEVELS = 3
SEEN_AT_LEAST = 3
"""A kind of line that stands at fewer places is not what structures a text."""

_LINE_AFTER_BLANK = re.compile(r"(?:\A\s*|\n[ \t]*\n\s*)(\S[^\n]{0,99})(?=\n|\Z)")
_MARKDOWN = re.compile(r"^(#{1,6}) \S", re.MULTILINE)
_DIGITS = re.compile(r"\d+")


class Headings:
    """The headings of one text, found by their shape: Markdown's, or short lines after an empty one that begin alike
    (``Day 12.``, ``MEETING 034``, ``3. The boiler``). The rarer a kind, the higher it ranks.

    ``header_row`` says that the first line names the columns of a table.
    """

    def __init__(self, text: str, *, header_row: bool = False) -> None:
        self._text = text
        self._header_end = text.find("\n") if header_row else -1
        if self._header_end > LONGEST_HEADER_ROW:
            self._header_end = -1
        self._levels = [] if header_row else _levels(text)

    def above(self, offset: int) -> tuple[str, ...]:
        """The lines that say where ``offset`` is, from the highest down; what begins at ``offset`` is not repeated."""
        if 0 <= self._header_end < offset:
            return (self._text[: self._header_end].strip(),)
        found: list[str] = []
        since = -1
        for starts in self._levels:
            at = bisect_right(starts, offset) - 1
            if at < 0 or starts[at] <= since:
                continue
            since = starts[at]
            if since < offset:
                found.append(self._line(since))
        return tuple(found)

    def _line(self, start: int) -> str:
        end = self._text.find("\n", start)
        line = self._text[start : end if end >= 0 else len(self._text)]
        return line.lstrip("# ").strip()[:LONGEST_HEADING]


def _levels(text: str) -> list[list[int]]:
    """Offsets of the headings, one sorted list for each level, the highest first."""
    markdown: dict[int, list[int]] = defaultdict(list)
    for match in _MARKDOWN.finditer(text):
        markdown[len(match[1])].append(match.start())
    if sum(map(len, markdown.values())) >= SEEN_AT_LEAST:
        return [markdown[depth] for depth in sorted(markdown)][-MOST_LEVELS:]
    kinds: dict[str, list[int]] = defaultdict(list)
    for match in _LINE_AFTER_BLANK.finditer(text):
        line = match[1].rstrip()
        if line[-1] in ".,;!?" and not _DIGITS.search(line):
            continue
        kinds[_DIGITS.sub("0", line.split(maxsplit=1)[0])].append(match.start(1))
    structuring = [starts for starts in kinds.values() if len(starts) >= SEEN_AT_LEAST]
    structuring.sort(key=len)
    return structuring[-MOST_LEVELS:]

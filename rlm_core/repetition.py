"""Models that turn in circles: noticed while they write, and cleaned up afterwards.

Small models, and larger ones at low temperature, sometimes say the same sentence until their window is full. Text that
goes on saying something new does not compress by a factor of twenty; text that repeats itself does.
"""

from __future__ import annotations

import re
import zlib

TAIL_CHARS = 3_000
"""How much of the end is looked at: long enough that a table or a list of similar lines is told from a circle."""
COMPRESSED_SHARE = 0.05
_UNIT = re.compile(r"[^\n.!?]+[.!?]*\s*|\s+")


def turns_in_circles(text: str) -> bool:
    """Whether the end of ``text`` says nothing new any more."""
    tail = text[-TAIL_CHARS:].strip()
    if len(tail) < TAIL_CHARS * 0.9:
        return False
    data = tail.encode()
    return len(zlib.compress(data, 9)) < COMPRESSED_SHARE * len(data)


def without_circles(text: str) -> str:
    """The text up to where its sentences are all ones that it has said before."""
    units = _UNIT.findall(text)
    seen: set[str] = set()
    end = position = 0
    for unit in units:
        position += len(unit)
        words = " ".join(unit.split()).casefold()
        if words and words not in seen:
            seen.add(words)
            end = position
    return text[:end].rstrip()

"""Which parts of the material are read for a question about all of it, said in words.

All of them, if the calls suffice. Words that the question quotes narrow it down to the parts that hold them. Of too many parts
those are read that share most words with the question; for a digest, parts that are spread over the whole.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlm_core.complexity import asks_for_summary
from rlm_core.context import Context, Piece
from rlm_core.tally import counted

PASSAGES_A_PART = 20
"""So many hits of the search for each part that can be read decide which parts fit best."""

_QUOTED = re.compile(
    r"“([^“”\n]{2,80})”|„([^„“”\n]{2,80})[“”]|«([^«»\n]{2,80})»|(?<!\w)\"([^\"\n]{2,80})\"(?!\w)"
)


@dataclass(frozen=True)
class Selection:
    """``parts`` to be read, in order. ``coverage`` says which these are; ``missed`` that others would matter as well."""

    parts: dict[int, Piece]
    coverage: str
    missed: bool


def select_parts(
    question: str, known: str, parts: Mapping[int, Piece], most: int, context: Context
) -> Selection:
    """At most ``most`` of the parts into which the whole context is cut. ``known`` is what was looked up before."""
    digest = asks_for_summary(question)
    wanted, coverage = dict(parts), f"all {len(parts)} parts of the material"
    if len(parts) < 2:
        coverage = "all of the material" if parts else "nothing, for there is no text"
    phrases = [] if digest else _quoted(question, context)
    holding = {number: piece for number, piece in parts.items() if any(_holds(piece, p) for p in phrases)}
    if holding:  # none does when the words lie across a cut
        wanted = holding
        times = sum(piece.text.lower().count(phrase) for piece in parts.values() for phrase in phrases)
        named = " or ".join(f"“{phrase}”" for phrase in phrases)
        coverage = f"the {len(wanted)} of {counted(len(parts), 'part')} that hold {named} (found {counted(times, 'time')})"
    if len(wanted) <= most:
        return Selection(wanted, coverage, missed=False)
    best = [] if digest else _by_words(f"{question}\n{known}", wanted, most, context)[:most]
    chosen = {*best, *_spread([number for number in wanted if number not in best], most - len(best))}
    which = "that fit the question best" if best else "spread over all of the material"
    return Selection(
        {number: piece for number, piece in wanted.items() if number in chosen},
        f"the {len(chosen)} of {counted(len(parts), 'part')} {which}",
        missed=True,
    )


def best_passages(number: int) -> str:
    """The coverage of an answer from the best hits of a search."""
    if number == 1:
        return "the passage that fits the question best"
    return f"the {number} passages that fit the question best"


def _quoted(question: str, context: Context) -> list[str]:
    """What the question puts in quotation marks and the context holds, in small letters."""
    found = (next(group for group in match.groups() if group) for match in _QUOTED.finditer(question))
    phrases = dict.fromkeys(phrase.strip(" .,;:?!").lower() for phrase in found)
    text = context.text.lower() if phrases else ""
    return [phrase for phrase in phrases if len(phrase) > 1 and phrase in text]


def _holds(piece: Piece, phrase: str) -> bool:
    return phrase in piece.text.lower() or phrase in piece.heading.lower()


def _by_words(query: str, parts: Mapping[int, Piece], most: int, context: Context) -> list[int]:
    """Parts with words of the query, those first that have most of them."""
    numbers = list(parts)
    starts = [piece.start for piece in parts.values()]
    scores: dict[int, float] = defaultdict(float)
    for hit in context.search(query, most * PASSAGES_A_PART):
        first = max(0, bisect_right(starts, hit.start) - 1)
        for number in numbers[first : bisect_left(starts, hit.end)]:
            inside = min(hit.end, parts[number].end) - max(hit.start, parts[number].start)
            if inside > 0:
                scores[number] += hit.score * inside / len(hit.text)
    return sorted(scores, key=lambda number: -scores[number])


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    """So many of the numbers, at even distances, the first and the last among them."""
    if most < 2:
        return list(numbers[:most])
    if most >= len(numbers):
        return list(numbers)
    return [numbers[round(place * (len(numbers) - 1) / (most - 1))] for place in range(most)]

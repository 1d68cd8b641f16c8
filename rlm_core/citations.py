"""From ``[n]`` and quotation marks in an answer to places in documents.

Passages get their numbers from us, so a number either leads to a passage or is dropped. Quotations are looked up in the
sources word for word (white space and the kind of quotation mark aside).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rlm_core.context import Context, Piece
from rlm_core.results import Answer, Citation, Quotation

CITED_TEXT_CHARS = 1_500
SHORTEST_QUOTATION = 12
MOST_EVIDENCE = 5
MOST_QUOTATIONS = 12
MOST_LOOKUPS = 40
MOST_PLACES = 2_000
"""So many places of a quotation's longest word are compared."""
SCANNED_CHARS = 600_000_000
"""Looking for words that are not there reads the whole context; for a huge one fewer words are looked for."""

_NUMBERS = re.compile(r"[ \t]*\[(\d+(?:\s*[,;–-]\s*\d+)*)\](?!\()")
_QUOTED = re.compile(r"“([^“”\n]+)”|„([^„“”\n]+)[“”]|«([^«»\n]+)»|(?<!\w)\"([^\"\n]+)\"(?!\w)")
_TELLING = re.compile(r"\b(?=[\w.-]*\d)[\w][\w.:/-]{2,}\w\b|\b[A-Z][\w-]+(?: [A-Z][\w-]+)+\b")
_SPACE = re.compile(r"\s+")


def cite(text: str, passages: Mapping[int, Piece], context: Context, *, partial: bool = False) -> Answer:
    """The answer with its citations: ``[n]`` that lead nowhere are removed, quotations are checked.

    ``passages`` are the numbered passages its writer saw. Without any, the evidence is looked up in the context: the
    answer's text then stays as it is.
    """
    quotations = check_quotations(text, context)
    if not passages:
        return Answer(text, evidence(text, context), quotations, partial)
    used: dict[int, Piece] = {}

    def keep(match: re.Match[str]) -> str:
        numbers = [number for number in _expand(match[1]) if number in passages]
        used.update((number, passages[number]) for number in numbers)
        return "".join(f" [{number}]" for number in numbers)

    cleaned = _NUMBERS.sub(keep, text).strip()
    citations = tuple(
        citation
        for number, piece in sorted(used.items())
        if (citation := _citation(number, piece, context, quotations)) is not None
    )
    return Answer(cleaned, citations or evidence(cleaned, context), quotations, partial)


def check_quotations(text: str, context: Context) -> tuple[Quotation, ...]:
    """Every quotation of the answer that is long enough to be one, with whether the sources hold it."""
    if not len(context):
        return ()
    found = (next(group for group in match.groups() if group) for match in _QUOTED.finditer(text))
    wanted = dict.fromkeys(words.strip() for words in found if len(words.strip()) >= SHORTEST_QUOTATION)
    looked_for = list(wanted)[: _lookups(context, MOST_QUOTATIONS)]
    return tuple(Quotation(words, find_words(words, context) is not None) for words in looked_for)


def find_words(words: str, context: Context) -> tuple[int, int] | None:
    """Where these words stand in the context, however the white space falls; None when they do not."""
    words = words.strip().rstrip(".,;:…")
    start = context.text.find(words)
    if start >= 0:
        return start, start + len(words)
    pieces = _SPACE.split(words)
    if len(pieces) < 2 or len(words) > 2_000:
        return None
    pattern = re.compile(r"\s+".join(re.escape(piece) for piece in pieces), re.IGNORECASE)
    anchor = max(pieces[1:], key=len)
    reach = 2 * len(words) + 100
    at = context.text.find(anchor)
    for _ in range(MOST_PLACES):
        if at < 0:
            return None
        match = pattern.search(context.text, max(0, at - reach), at + reach)
        if match is not None:
            return match.span()
        at = context.text.find(anchor, at + len(anchor))
    return None


def evidence(answer: str, context: Context) -> tuple[Citation, ...]:
    """Where an answer that cites nothing itself rests on the context: its quotations, itself if it is short, and the
    numbers, codes and names in it that stand in the context at only a few places."""
    if not len(context) or not answer.strip():
        return ()
    candidates = [next(group for group in match.groups() if group) for match in _QUOTED.finditer(answer)]
    if len(answer) <= 200:
        candidates.append(answer.strip().rstrip("."))
    candidates += _TELLING.findall(answer)
    citations: list[Citation] = []
    taken: list[tuple[int, int]] = []
    for words in list(dict.fromkeys(candidates))[: _lookups(context, MOST_LOOKUPS)]:
        span = _rare(words.strip(), context)
        if span is None:
            continue
        start, end = _sentence(context.text, *span)
        if any(start < other_end and end > other_start for other_start, other_end in taken):
            continue
        citation = _citation(len(citations) + 1, Piece(start, end, context.text[start:end]), context, ())
        if citation is not None:
            taken.append((start, end))
            citations.append(citation)
        if len(citations) == MOST_EVIDENCE:
            break
    return tuple(citations)


def _lookups(context: Context, most: int) -> int:
    return max(3, min(most, SCANNED_CHARS // len(context)))


def _rare(words: str, context: Context, at_most: int = 3) -> tuple[int, int] | None:
    """The first place of words that stand at no more than a few places; None for common or absent ones."""
    if len(words) < 3:
        return None
    first = position = context.text.find(words)
    for _ in range(at_most):
        if position < 0:
            break
        position = context.text.find(words, position + 1)
    return (first, first + len(words)) if first >= 0 and position < 0 else None


def _sentence(text: str, start: int, end: int, reach: int = 300) -> tuple[int, int]:
    """The line or sentence around a span."""
    left = max(text.rfind("\n", start - reach if start > reach else 0, start), 0)
    stop = text.rfind(". ", left, start)
    left = stop + 2 if stop >= 0 else left + (1 if text[left : left + 1] == "\n" else 0)
    right = text.find("\n", end, end + reach)
    right = right if right >= 0 else min(len(text), end + reach)
    stop = text.find(". ", end, right)
    return left, stop + 1 if stop >= 0 else right


def _citation(
    number: int, piece: Piece, context: Context, quotations: tuple[Quotation, ...]
) -> Citation | None:
    source = context.source(piece.start, piece.end)
    if source is None:
        return None
    inside = [quotation.verified for quotation in quotations if quotation.text in piece.text]
    return Citation(
        number=number,
        document=source.material.name,
        document_id=source.material.document_id,
        start=source.start,
        end=source.end,
        text=source.material.text[source.start : source.end][:CITED_TEXT_CHARS],
        place=source.place,
        verified=all(inside) if inside else None,
    )


def _expand(numbers: str) -> list[int]:
    """``1, 3-5`` as [1, 3, 4, 5]."""
    expanded: list[int] = []
    for part in re.split(r"[,;]", numbers):
        bounds = [int(bound) for bound in re.findall(r"\d+", part)]
        if len(bounds) == 2 and 0 < bounds[1] - bounds[0] < 50:
            expanded += range(bounds[0], bounds[1] + 1)
        else:
            expanded += bounds
    return expanded

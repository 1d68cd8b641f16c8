"""A model's words made safe to show, with their citations turned into buttons.

Models repeat what documents tell them to say. So their HTML is shown as text, an image is named instead of being fetched
(its address could carry away what the model read), and only citations that the engine has checked become buttons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rlm_core.results import Citation, Quotation
from ui.html import esc

_CODE = re.compile(
    r"(^ {0,3}(?P<fence>`{3,}|~{3,}).*?(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))",
    re.M | re.S,
)
_FENCE = re.compile(r"^(`{3,}(?=[^`\n]*$)|~{3,})[^\n]*\n?.*?(?:^ {0,3}\1[`~]* *$|\Z)", re.M | re.S)
_FENCES_UNSURE = re.compile(
    r"\r|\$\$|^ {0,3}\[(?:\\.|[^\[\]\\])+\]:|^(?!`{3}|~{3})[^\n]*(?:`{3}|~{3})", re.M | re.S
)
"""What can make Markdown see another beginning or end of a fenced block than :data:`_FENCE` does: carriage returns, formulas,
link definitions, fences that do not begin their line."""
_WORD_JOINER = "\u2060"
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_NUMBER = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?![(\[:])")


def citations_of(metadata: Any) -> tuple[Citation, ...]:
    """The citations in an answer's saved metadata."""
    return tuple(Citation(**item) for item in metadata.get("citations") or ())


def quotations_of(metadata: Any) -> tuple[Quotation, ...]:
    """The quotations in an answer's saved metadata."""
    return tuple(Quotation(**item) for item in metadata.get("quotations") or ())


def safe(text: str) -> str:
    """Markdown without HTML, images or anything else that acts by itself. Code looks as it is."""
    return _outside_code(text, _plain)


def shown(
    text: str, message_id: str, citations: Iterable[Citation] = (), quotations: Iterable[Quotation] = ()
) -> str:
    """An answer ready for the chat: safe, ``[1]`` as a button, quotations that no source contains marked."""
    by_number = {citation.number: citation for citation in citations}
    doubtful = [
        quotation.text for quotation in quotations if not quotation.verified and quotation.text.strip()
    ]

    def dress(piece: str) -> str:
        piece = _plain(piece)
        for words in doubtful:
            safe_words = _plain(words)
            mark = f'<mark class="unverified" title="These words are not in the source.">{safe_words}</mark>'
            piece = piece.replace(safe_words, mark, 1)
        return _NUMBER.sub(lambda match: _buttons(match, message_id, by_number), piece)

    return _outside_code(text, dress)


def _outside_code(text: str, change: Any) -> str:
    surely = set() if _FENCES_UNSURE.search(text) else {found.span() for found in _FENCE.finditer(text)}
    pieces: list[str] = []
    end = 0
    for match in _CODE.finditer(text):
        pieces.append(change(text[end : match.start()]))
        pieces.append(match.group(0) if match.span() in surely else _inert(match.group(0)))
        end = match.end()
    pieces.append(change(text[end:]))
    return "".join(pieces)


def _inert(code: str) -> str:
    """What Markdown may not take for code after all: a backtick can belong to an address, a table or the paragraph before. So
    no tag begins in it. In a line of text this is not to be seen; a block shows what was done to it."""
    return _TAG.sub("&lt;" if "\n" in code else f"<{_WORD_JOINER}", code)


def _plain(text: str) -> str:
    return _TAG.sub("&lt;", _images_named(text))


def _images_named(text: str) -> str:
    """``![name](address)``, ``![name][address]`` and ``![name]`` as their names. Not a regular expression: it would look for
    every missing bracket to the end of the text."""
    last_round, pieces, end = text.rfind(")"), [], 0
    while (start := text.find("![", end)) >= 0 and (close := text.find("]", start)) >= 0:
        pieces.append(f"{text[end:start]}(image: {text[start + 2 : close].strip() or 'without a name'})")
        end = close + 1
        if text.startswith("(", end) and end < last_round:
            end = text.index(")", end) + 1
        elif text.startswith("[", end):
            end = max(end, text.find("]", end) + 1)
    return "".join([*pieces, text[end:]])


def _buttons(match: re.Match[str], message_id: str, by_number: dict[int, Citation]) -> str:
    numbers = [int(part) for part in match.group(1).split(",")]
    if not all(number in by_number for number in numbers):
        return match.group(0)
    return "".join(_button(by_number[number], message_id) for number in numbers)


def _button(citation: Citation, message_id: str) -> str:
    where = f"{citation.document}, {citation.place}" if citation.place else citation.document
    style = "cite doubtful" if citation.verified is False else "cite"
    label = esc(f"Source {citation.number}: {where}")
    return (
        f'<button type="button" class="{style} do do-passage-open id-{message_id} n-{citation.number}"'
        f' title="{label}" aria-label="{label}">{citation.number}</button>'
    )

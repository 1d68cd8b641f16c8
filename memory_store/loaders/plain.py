"""Plain text in whatever encoding, Markdown (headings become sections), JSON and source code."""

from __future__ import annotations

import codecs
import json
import locale
import re
from contextlib import suppress

from memory_store.loaders.limits import LoadLimits
from memory_store.loaders.result import Loaded, Unreadable
from memory_store.records import Section

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WESTERN = "cp1252"
AS_GOOD = 0.05
"""Encodings whose share of a language's usual letters differs by no more than this fit equally well."""
_SIGN_IN_A_WORD = re.compile(r"[A-Za-zÀ-ÿ][¡-©¬-´¶¸¹¼-¿„”‚†‡‰‹›™•€][A-Za-zÀ-ÿ]|£[A-Za-zÀ-ÿ]|[a-zß-ÿ]Ÿ")
_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def decode(data: bytes) -> str:
    """Text of unknown encoding: byte-order mark, UTF-8, then a guess. Line ends become \\n.

    Raises Unreadable when the bytes are no text in any encoding.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _lines(data.decode(encoding, "replace"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _guess(data)
    head = text[:100_000]
    odd = sum(1 for letter in head if (letter < " " and letter not in "\t\n\r\f\x1b") or letter == "\x7f")
    if odd > len(head) * 0.02:
        raise Unreadable("It is not text: it looks like a program, a picture or another binary file.")
    return _lines(text)


def _guess(data: bytes) -> str:
    sample = data[:200_000]
    if (
        b"\x00" not in sample or sample.count(b"\x00") > len(sample) // 4
    ):  # UTF-16 without a mark has many zeros
        from charset_normalizer import from_bytes

        matches = from_bytes(sample)
        best = matches.best()
        if best is not None:
            equal = {
                name
                for match in matches
                if match.chaos <= best.chaos and match.coherence >= best.coherence - AS_GOOD
                for name in match.could_be_from_charset
            }
            return data.decode(_likeliest(sample, equal) or best.encoding, "replace")
    raise Unreadable("It is not text: it looks like a program, a picture or another binary file.")


def _likeliest(sample: bytes, equal: set[str]) -> str | None:
    """Among encodings that fit equally well (short texts, and languages with few accents): the one that this computer's
    own programs write, else the one of western Europe, unless it puts signs into the middle of words."""
    own = locale.getencoding().lower().replace("-", "_")
    if own in equal:
        return own
    if WESTERN in equal and not _SIGN_IN_A_WORD.search(sample.decode(WESTERN, "replace")):
        return WESTERN
    return None


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def load_plain(name: str, data: bytes, limits: LoadLimits) -> Loaded:
    """Source code and plain text, as they are."""
    return Loaded("text", decode(data))


def load_markdown(name: str, data: bytes, limits: LoadLimits) -> Loaded:
    text = decode(data)
    return Loaded("markdown", text, headings(text))


def load_json(name: str, data: bytes, limits: LoadLimits) -> Loaded:
    """JSON and JSON lines. What was written without line ends is laid out; what is no JSON stays text."""
    text = decode(data)
    if len(text) > 2000 * (text.count("\n") + 1):
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    return Loaded("json", text)


def headings(text: str) -> list[Section]:
    """Sections from the ATX headings of Markdown; each runs to the next heading of its level or higher."""
    fences = [match.span() for match in _FENCE.finditer(text)]
    found = [m for m in _HEADING.finditer(text) if not any(start <= m.start() < end for start, end in fences)]
    return nest([(m.start(), len(m[1]), m[2]) for m in found], len(text))


def nest(marks: list[tuple[int, int, str]], end: int) -> list[Section]:
    """(offset, level, label) of each heading → sections that end where one of the same or a higher level begins."""
    stops = [end] * len(marks)
    still_open: list[int] = []
    for position, (start, level, _) in enumerate(marks):
        while still_open and marks[still_open[-1]][1] >= level:
            stops[still_open.pop()] = start
        still_open.append(position)
    return [
        Section("heading", label, start, stop, level)
        for (start, level, label), stop in zip(marks, stops, strict=True)
    ]

"""Columns of numbers in tables, however these are written: 1234.5, 1,234.50, 1.234,50 or 12,50 €."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

MISSING = frozenset({"", "-", "\u2013", "n/a", "na", "nan", "none", "null"})
"""No value, in a column of numbers; whatever the capitals."""

_CURRENCY = re.compile(r"€|\$|£|\b(?:EUR|USD|GBP|CHF|Euro)\b")
IDENTIFIER = re.compile(r"\s*[-+]?0\d")  # 007, 0123
_WRITTEN = (
    (re.compile(r"[-+]?\d+(?:\.\d+)?"), ""),
    (re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"), ","),
    (re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?"), "."),
)
"""How all numbers of a column are written, and what stands between their thousands."""


def numbers_of(cells: Sequence[str]) -> list[Decimal | None] | None:
    """The numbers of a column, None where a cell has no value; None when it is no column of numbers: a cell is something
    else or looks like an identifier (007), several currencies are mixed, or there is no number at all."""
    currencies = {match for cell in cells for match in _CURRENCY.findall(cell)}
    if len(currencies) > 1:
        return None
    bare = [_CURRENCY.sub("", cell).strip() for cell in cells]
    given = [cell for cell in bare if cell.casefold() not in MISSING]
    if not given or any(IDENTIFIER.match(cell) for cell in given):
        return None
    for written, between in _WRITTEN:
        if all(written.fullmatch(cell) for cell in given):
            return [None if cell.casefold() in MISSING else _number(cell, between) for cell in bare]
    return None


def _number(cell: str, between: str) -> Decimal:
    return Decimal(cell.replace(between, "").replace(",", ".") if between else cell)

"""Items that readers listed, counted and added up by code.

A model that reads ten thousand lines in fifty parts lists well and reckons badly, and the lists of all parts rarely fit into
one prompt. So each line is ``item | group | number``, and the arithmetic over all of them is done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rlm_core.prompts import ITEM_FORM

MOST_GROUPS = 40
ITEM_CHARS = 80

_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,4}[.)])\s+(?!\|)")
_PASSAGE = re.compile(r"\s*\[\d+\]")
_NUMBER = re.compile(r"[-−]?(?:\d{1,3}(?:[,\u202f\u00a0 ]\d{3})+|\d+)(?:\.\d+)?")
_NOTHING = {"", "-", "–", "—", "n/a", "none", "null"}


@dataclass(frozen=True)
class Item:
    """One line of a reader's list. ``group`` "" and ``number`` None where the line gives none."""

    text: str
    group: str
    number: Decimal | None
    passage: int

    @property
    def line(self) -> str:
        """As it stands in a prompt."""
        number = "-" if self.number is None else readable(self.number)
        return f"{self.text} | {self.group or '-'} | {number} [{self.passage}]"


def parse_items(reply: str, passage: int) -> list[Item]:
    """The items in a reader's reply about the passage with this number; lines of another form become items without
    group and number."""
    items: list[Item] = []
    for line in reply.splitlines():
        line = _PASSAGE.sub("", _BULLET.sub("", line)).strip().strip("|").strip()
        if line.lower() in _NOTHING or line.lower() == ITEM_FORM or set(line) <= set("-|: "):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        text, group, number = cells[0], "", None
        if len(cells) == 2:
            number = _number(cells[1])
            group = cells[1] if number is None else ""
        elif len(cells) > 2:
            text, group, number = " | ".join(cells[:-2]), cells[-2], _number(cells[-1])
        items.append(Item(text, "" if group.lower() in _NOTHING else group, number, passage))
    return items


def reckon(items: Sequence[Item]) -> list[str]:
    """Counts, sums and extremes of all items and of each group, one statement a line."""
    if not items:
        return []
    lines = [f"all items: {_figures(items, name_them=True)}"]
    groups = _groups(items)
    if not groups:
        return lines
    lines.append(f"different groups: {len(groups)}")
    shown = _most_telling(groups)
    lines += [f"{name}: {_figures(groups[name])}" for name in shown]
    if len(shown) < len(groups):
        left_out = counted(len(groups) - len(shown), "group")
        lines.append(f"(and {left_out} with fewer items and smaller numbers)")
    if len(groups) == 2:
        lines.append(_difference(*groups.values()))
    return lines


def counted(number: int, noun: str) -> str:
    """``1 item``, ``2 items``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def readable(number: Decimal) -> str:
    """12345.50 as ``12,345.50``, whole numbers without decimals."""
    whole = number == number.to_integral_value()
    return f"{number:,.0f}" if whole else f"{number.quantize(Decimal('0.01')):,}"


def _groups(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Items by group, however the name is written; in the order in which the groups first appear."""
    names: dict[str, str] = {}
    groups: dict[str, list[Item]] = {}
    for item in items:
        if item.group:
            name = names.setdefault(" ".join(item.group.casefold().split()), item.group)
            groups.setdefault(name, []).append(item)
    return groups


def _figures(items: Sequence[Item], *, name_them: bool = False) -> str:
    numbered = [(item.number, item) for item in items if item.number is not None]
    said = counted(len(items), "item")
    if not numbered:
        return said
    largest = max(numbered, key=lambda pair: pair[0])
    smallest = min(numbered, key=lambda pair: pair[0])
    total = sum((number for number, _ in numbered), Decimal(0))
    said += f", sum {readable(total)}"
    if len(numbered) > 1:
        said += f", largest {_named(largest, name_them)}, smallest {_named(smallest, name_them)}"
    if name_them:
        said += f", average {readable(total / len(numbered))}"
    return said


def _named(pair: tuple[Decimal, Item], name_it: bool) -> str:
    number, item = pair
    if not name_it:
        return readable(number)
    which = ", ".join(part for part in (item.text[:ITEM_CHARS], item.group) if part and part != "-")
    return f"{readable(number)} ({which}) [{item.passage}]"


def _difference(first: Sequence[Item], second: Sequence[Item]) -> str:
    said = f"difference of the two groups: {counted(abs(len(first) - len(second)), 'item')}"
    sums = [
        sum((item.number for item in items if item.number is not None), Decimal(0))
        for items in (first, second)
    ]
    return f"{said}, sums {readable(abs(sums[0] - sums[1]))}" if any(sums) else said


def _most_telling(groups: dict[str, list[Item]]) -> list[str]:
    """All groups, or of too many those that lead in any respect, in order of their number of items."""
    by_size = sorted(groups, key=lambda name: -len(groups[name]))
    if len(groups) <= MOST_GROUPS:
        return by_size

    def total(name: str) -> Decimal:
        return sum((item.number for item in groups[name] if item.number is not None), Decimal(0))

    def largest(name: str) -> Decimal:
        return max((item.number for item in groups[name] if item.number is not None), default=Decimal(0))

    share = MOST_GROUPS // 4
    chosen = {
        *by_size[:share],
        *sorted(groups, key=total, reverse=True)[:share],
        *sorted(groups, key=largest, reverse=True)[:share],
    }
    return [name for name in by_size if name in chosen]


def _number(cell: str) -> Decimal | None:
    match = _NUMBER.search(cell)
    if match is None:
        return None
    return Decimal(re.sub(r"[,\u202f\u00a0 ]", "", match[0]).replace("−", "-"))

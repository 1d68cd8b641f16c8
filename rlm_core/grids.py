"""Tables as they stand in the text of the material: cells with their places.

The rows of uploaded sheets are lines of the text; the tables of other documents are lines with ``|`` between the cells.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from memory_store.loaders.numbers import numbers_of
from rlm_core.context import Context, Part

_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR = re.compile(r"[\s|:+-]*")


@dataclass(frozen=True)
class Row:
    """One line of a table, ``text``, which begins at the offset ``start`` of the context."""

    cells: tuple[str, ...]
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True)
class Grid:
    """A table: where it stands, the names of its columns, and its rows, each with as many cells."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @cached_property
    def numbers(self) -> dict[int, list[Decimal | None]]:
        """The columns that hold nothing but numbers, by position; None where a cell is empty."""
        found = {}
        for position in range(len(self.columns)):
            values = numbers_of([row.cells[position] for row in self.rows])
            if values is not None:
                found[position] = values
        return found


def grids(context: Context) -> list[Grid]:
    """All tables of the material, in order."""
    return [
        grid for part in context.parts for grid in (_sheets(part) if part.material.tables else _piped(part))
    ]


def _sheets(part: Part) -> Iterator[Grid]:
    """The tables of a sheet, found by their names of columns."""
    lines = list(_lines(part))
    at = 0
    for table in part.material.tables:
        names = [name for name, _ in table.columns]
        for number in range(at, len(lines)):
            split = next((cut for cut in _DELIMITERS if _cells(lines[number][0], cut) == names), None)
            if split is None:
                continue
            rows: list[Row] = []
            for text, start in lines[number + 1 :]:
                if len(rows) == len(table.rows):
                    break
                if text.strip():
                    cells = [*_cells(text, split), *[""] * len(names)][: len(names)]
                    rows.append(Row(tuple(cells), text, start))
            name = part.material.name
            if len(part.material.tables) > 1:
                name += f", {table.name}"
            yield Grid(name, tuple(names), tuple(rows))
            at = number + 1
            break


def _piped(part: Part) -> Iterator[Grid]:
    """Consecutive lines with ``|`` and the same number of cells; the first names the columns."""
    if "|" not in part.material.text:
        return
    block: list[Row] = []
    for text, start in [*_lines(part), ("", part.end)]:
        if "|" in text and _SEPARATOR.fullmatch(text):
            continue
        cells = tuple(cell.strip() for cell in text.strip().strip("|").split("|")) if "|" in text else ()
        if block and len(cells) != len(block[0].cells):
            if len(block) > 2:
                yield Grid(part.material.name, block[0].cells, tuple(block[1:]))
            block = []
        if cells:
            block.append(Row(cells, text, start))


def _lines(part: Part) -> Iterator[tuple[str, int]]:
    start = part.start
    for line in part.material.text.split("\n"):
        yield line, start
        start += len(line) + 1


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []

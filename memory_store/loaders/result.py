"""What a loader hands over: text, the names of its parts, and tables. Travels from the worker as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from memory_store.records import Cell, Section, Table

Say = Callable[[str, float], None]  # progress: a sentence and a share of 1


class Unreadable(Exception):
    """Raised by a loader: one sentence without the file's name, starting with a capital, that a person understands."""


@dataclass
class Loaded:
    """Sections of one kind may lie inside those of another (rows in a sheet); offsets count characters of `text`."""

    kind: str
    text: str
    sections: list[Section] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def dump(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=True, default=str)

    @staticmethod
    def load(line: str) -> Loaded:
        """Raises KeyError, TypeError or ValueError when the worker sent something else."""
        raw = json.loads(line)
        sections = [Section(*_section(list(item.values()))) for item in raw["sections"]]
        tables = [_table(str(t["name"]), t["columns"], t["rows"]) for t in raw["tables"]]
        return Loaded(str(raw["kind"]), str(raw["text"]), sections, tables)

    @staticmethod
    def restore(document: Mapping[str, Any], tables: Iterable[Mapping[str, Any]]) -> Loaded:
        """From the rows of an export. Raises KeyError, TypeError or ValueError when they are something else."""
        return Loaded(
            str(document["kind"]),
            str(document["text"]),
            [Section(*_section(item)) for item in json.loads(document["sections"])],
            [_table(str(t["name"]), json.loads(t["columns"]), json.loads(t["rows"])) for t in tables],
        )


class TextBuilder:
    """Text written piece by piece, with sections that remember where they began."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.length = 0
        self.sections: list[Section] = []

    def write(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self.length += len(text)

    def section(self, kind: str, label: str, start: int, level: int = 1) -> None:
        """Name everything from `start` to here."""
        self.sections.append(Section(kind, label, start, self.length, level))

    def text(self) -> str:
        return "".join(self._pieces)


def _section(item: Sequence[Any]) -> tuple[str, str, int, int, int]:
    kind, label, start, end, level = item
    return str(kind), str(label), int(start), int(end), int(level)


def _table(name: str, columns: Iterable[Any], rows: Iterable[Any]) -> Table:
    return Table(
        name,
        tuple((str(column), str(kind)) for column, kind in columns),
        [tuple(_cell(cell) for cell in row) for row in rows],
    )


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, int | float | str):
        return value
    raise TypeError(f"a cell of type {type(value).__name__}")

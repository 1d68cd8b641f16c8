"""What a loader hands over: text, the names of its parts, and tables. Travels from the worker as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from memory_store.records import Cell, Section, Table


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
        return Loaded(
            kind=str(raw["kind"]),
            text=str(raw["text"]),
            sections=[
                Section(str(s["kind"]), str(s["label"]), int(s["start"]), int(s["end"]), int(s["level"]))
                for s in raw["sections"]
            ],
            tables=[
                Table(
                    str(t["name"]),
                    tuple((str(name), str(kind)) for name, kind in t["columns"]),
                    [tuple(_cell(cell) for cell in row) for row in t["rows"]],
                )
                for t in raw["tables"]
            ],
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


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, int | float | str):
        return value
    raise TypeError(f"a cell of type {type(value).__name__}")

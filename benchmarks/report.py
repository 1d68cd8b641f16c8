"""What a benchmark hands back and how it is kept: tables, the circumstances they were measured in, JSON and Markdown."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
README = Path(__file__).with_name("README.md")


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing: the median and the quartiles around it."""

    median: float
    low: float
    high: float
    times: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None if there is no value."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0], 1) if values else None
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(statistics.median(values), low, high, len(values))


def shown(spread: Spread | None, digits: int = 1) -> str:
    """``12.3 (11.9-14.0)``, or a dash where nothing was measured."""
    if spread is None:
        return "-"
    around = f" ({spread.low:,.{digits}f}-{spread.high:,.{digits}f})" if spread.times > 1 else ""
    return f"{spread.median:,.{digits}f}{around}"


@dataclass(frozen=True)
class Table:
    """Rows for people, ``notes`` to stand under them (one sentence each), and the plain ``figures`` behind both."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    figures: Sequence[Mapping[str, Any]] = ()

    def markdown(self) -> str:
        lines = (self.columns, tuple("---" for _ in self.columns), *self.rows)
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join((table, *self.notes))


@dataclass(frozen=True)
class Report:
    """One run of a benchmark. ``load`` is the load average over a minute, before and after; ``seconds`` it took."""

    benchmark: str
    command: str
    machine: str
    started: str
    seconds: float
    load: tuple[float, float]
    tables: tuple[Table, ...]

    def markdown(self) -> str:
        said = f"`{self.command}`: {self.started}, {self.seconds:.0f} s, load {self.load[0]:.1f} before and {self.load[1]:.1f} after; {self.machine}."
        return "\n\n".join((*(table.markdown() for table in self.tables), said)) + "\n"

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.benchmark}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


class Stopwatch:
    """Notes when a run begins and under which load, and makes its report at the end."""

    def __init__(self, benchmark: str, command: str) -> None:
        self._benchmark, self._command = benchmark, command
        self._started, self._began, self._load = time.strftime("%Y-%m-%d %H:%M"), time.monotonic(), load()

    def report(self, tables: Sequence[Table]) -> Report:
        taken = time.monotonic() - self._began
        return Report(
            self._benchmark,
            self._command,
            machine(),
            self._started,
            taken,
            (self._load, load()),
            tuple(tables),
        )


def load() -> float:
    """How many processes wanted a core over the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def machine() -> str:
    cores = os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}"


def read(path: Path) -> Report:
    """A report that was written. Raises OSError or ValueError."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    tables = tuple(
        Table(
            tuple(table["columns"]),
            tuple(map(tuple, table["rows"])),
            tuple(table["notes"]),
            table["figures"],
        )
        for table in kept.pop("tables")
    )
    return Report(**{**kept, "load": tuple(kept["load"]), "tables": tables})


def into_readme(text: str, reports: Sequence[Report]) -> str:
    """The text with each report between its marks, ``<!-- NAME -->`` and ``<!-- /NAME -->``. ValueError if marks are missing."""
    for report in reports:
        opening, closing = f"<!-- {report.benchmark} -->", f"<!-- /{report.benchmark} -->"
        if opening not in text or closing not in text:
            raise ValueError(f"README.md has no place for {report.benchmark}: {opening} … {closing}")
        between = re.compile(re.escape(opening) + ".*?" + re.escape(closing), re.DOTALL)
        said = f"{opening}\n{report.markdown()}{closing}"
        text = between.sub(lambda _, said=said: said, text)  # type: ignore[misc]
    return text

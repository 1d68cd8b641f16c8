"""CSV, TSV and XLSX: the rows as text, one line each, and as typed tables for SQL.

Typing is by pandas, but careful: a column is a number only if every value is written like one, so that article number
007 keeps its zeros. Numbers that pandas does not know (1.234,50 €) are read by `numbers.py`.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_store.loaders.limits import LoadLimits
from memory_store.loaders.numbers import IDENTIFIER, MISSING, numbers_of
from memory_store.loaders.plain import decode
from memory_store.loaders.result import Loaded, Say, TextBuilder, Unreadable
from memory_store.records import Cell, Section, Table

if TYPE_CHECKING:
    import pandas as pd

_INTEGER = re.compile(r"\s*[+-]?\d{1,18}\s*")
_LARGEST = 10**18  # of whole numbers in SQLite
_GAP = 50  # empty rows in a sheet; a longer gap is left out


def load_csv(name: str, data: bytes, limits: LoadLimits) -> Loaded:
    text = decode(data)
    delimiter = "\t" if name.lower().endswith((".tsv", ".tab")) else _delimiter(text)
    csv.field_size_limit(10_000_000)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        raise Unreadable(f"It is no valid CSV file ({error}).") from error
    if (
        len(rows) != text.rstrip("\n").count("\n") + 1
    ):  # cells with line ends: one line a row, so that places are right
        text = "".join(_line(row) + "\n" for row in rows)
    _check_cells(sum(map(len, rows)), limits)
    table = make_table(identifier(Path(name).stem), rows)
    return Loaded(
        "csv",
        text,
        [Section("rows", "1", 0, len(text))],
        [table] if table else [],
    )


def _delimiter(text: str) -> str:
    try:
        return csv.Sniffer().sniff(text[:20_000], ",;\t|").delimiter
    except csv.Error:
        return ","  # one column


def load_xlsx(name: str, source: Path, limits: LoadLimits, say: Say) -> Loaded:
    import openpyxl

    # opened here: openpyxl refuses a path whose name does not end in .xlsx
    book = openpyxl.load_workbook(io.BytesIO(source.read_bytes()), read_only=True, data_only=True)
    builder = TextBuilder()
    tables: list[Table] = []
    cells = 0
    for position, sheet in enumerate(book.worksheets):
        say(f"Reading sheet {sheet.title}", position / len(book.worksheets))
        sheet.reset_dimensions()  # what a file says about its size may be a lie
        start = builder.length
        builder.write(f"{sheet.title}\n")
        rows: list[list[Cell]] = []
        first, part, gap = 1, builder.length, 0
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            row = [_cell(value) for value in values]
            while row and row[-1] is None:
                row.pop()
            if not row:
                gap += 1
                continue
            if gap > _GAP or part == builder.length:
                if part < builder.length:
                    builder.section("rows", str(first), part)
                first, part = number, builder.length
            else:
                builder.write("\n" * gap)
            gap = 0
            cells += len(row)
            _check_cells(cells, limits)
            builder.write(_line(row) + "\n")
            rows.append(row)
        if part < builder.length:
            builder.section("rows", str(first), part)
        builder.section("sheet", f"sheet {sheet.title}", start)
        builder.write("\n")
        table = make_table(identifier(sheet.title), _below_titles(rows))
        if table is not None:
            tables.append(table)
    if cells == 0:
        raise Unreadable("All its sheets are empty.")
    if len(tables) == 1:
        tables = [Table(identifier(Path(name).stem), tables[0].columns, tables[0].rows)]
    return Loaded("xlsx", builder.text(), builder.sections, tables)


def make_table(name: str, rows: Sequence[Sequence[Cell]]) -> Table | None:
    """A typed table from rows whose first one names the columns; None without a row below it."""
    import pandas as pd

    rows = [row for row in rows if any(cell not in (None, "") for cell in row)]
    if len(rows) < 2:
        return None
    width = max(map(len, rows))
    names = column_names(rows[0], width)
    frame = pd.DataFrame(
        [[*row, *[None] * (width - len(row))] for row in rows[1:]], columns=names, dtype=object
    )
    typed = [_typed(frame[column]) for column in names]
    return Table(
        name,
        tuple((column, kind) for column, (kind, _) in zip(names, typed, strict=True)),
        list(zip(*(values for _, values in typed), strict=True)),
    )


def _typed(column: pd.Series[Any]) -> tuple[str, list[Cell]]:
    """The SQLite type of a column and its values in it."""
    import pandas as pd

    filled = column[column.notna() & (column != "")]
    given = filled.astype(str)
    written = given[~given.str.strip().str.casefold().isin(MISSING)]
    numeric = pd.to_numeric(written, errors="coerce")
    if len(written) and numeric.notna().all() and not written.str.match(IDENTIFIER).any():
        if written.str.fullmatch(_INTEGER).all():
            return "INTEGER", _in_rows(column, {index: int(value) for index, value in written.items()})
        if numeric.abs().lt(float("inf")).all():
            return "REAL", _in_rows(column, {index: float(value) for index, value in numeric.items()})
    amounts = numbers_of(list(written))
    if amounts is not None:  # with thousands marked, a decimal comma or a currency
        pairs = [(index, n) for index, n in zip(written.index, amounts, strict=True) if n is not None]
        if all(n == n.to_integral_value() and abs(n) < _LARGEST for _, n in pairs):
            return "INTEGER", _in_rows(column, {index: int(n) for index, n in pairs})
        return "REAL", _in_rows(column, {index: float(n) for index, n in pairs})
    return "TEXT", _in_rows(column, {index: str(value) for index, value in filled.items()})


def _in_rows(column: pd.Series[Any], values: Mapping[Any, Cell]) -> list[Cell]:
    """The values of a column in its order, None where there is none."""
    return [values.get(index) for index in column.index]


def column_names(header: Sequence[Cell], width: int) -> list[str]:
    """Every column has a name and no two are the same to SQL, which ignores case."""
    names: list[str] = []
    taken: set[str] = set()
    for position in range(width):
        given = header[position] if position < len(header) else None
        base = " ".join(str(given).split()) if given not in (None, "") else f"column_{position + 1}"
        name, number = base, 2
        while name.lower() in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name.lower())
        names.append(name)
    return names


def identifier(text: str) -> str:
    """A table name that needs no quotes."""
    name = re.sub(r"\W+", "_", text).strip("_") or "table"
    return f"t_{name}" if name[0].isdigit() else name


def _below_titles(rows: list[list[Cell]]) -> list[list[Cell]]:
    """Leave out a title above the table: the header is the first row about as full as the rows that follow."""
    counts = [sum(cell is not None for cell in row) for row in rows[:50]]
    usual = sorted(counts)[len(counts) // 2] if counts else 0
    start = next((position for position, count in enumerate(counts) if count >= max(1, 0.6 * usual)), 0)
    return rows[start:]


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, int | float | str):
        return int(value) if isinstance(value, bool) else value
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    return str(value)


def _line(row: Sequence[Cell]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(
        [
            "" if cell is None else re.sub(r"\s*[\r\n]+\s*", " ", cell) if isinstance(cell, str) else cell
            for cell in row
        ]
    )
    return out.getvalue()


def _check_cells(cells: int, limits: LoadLimits) -> None:
    if cells > limits.cells:
        raise Unreadable(f"It holds more than {limits.cells:,} cells. Split it into smaller files.")

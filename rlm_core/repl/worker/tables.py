"""``sql(query)``: the uploaded tables in an in-memory SQLite that can only be read.

An authorizer lets SELECT and the reading of columns through and nothing else (no ATTACH, no PRAGMA, no writing, no
extension); the sizes of values and the time of a query are bounded by SQLite itself.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from rlm_core.repl.worker.interrupts import Interrupts

PROGRESS_STEPS: Final = 20_000
VALUE_BYTES: Final = 16 * 1024 * 1024
_ALLOWED: Final = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_REFUSED_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})


class Row(tuple):  # type: ignore[type-arg]
    """One row: a tuple whose columns are also items by name and attributes."""

    _columns: tuple[str, ...] = ()

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return tuple.__getitem__(self, self._position(key))
        return tuple.__getitem__(self, key)

    def __getattr__(self, name: str) -> Any:
        if name in self._columns:
            return tuple.__getitem__(self, self._columns.index(name))
        raise AttributeError(f"this row has the columns {', '.join(self._columns)}, not {name!r}")

    def _position(self, name: str) -> int:
        folded = [column.lower() for column in self._columns]
        if name.lower() not in folded:
            raise KeyError(f"this row has the columns {', '.join(self._columns)}, not {name!r}")
        return folded.index(name.lower())

    def keys(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._columns

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a column, as ``dict.get`` would."""
        return self[name] if name in self._columns else default

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of column and value."""
        return list(zip(self._columns, self, strict=True))

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: {value!r}" for name, value in self.items()) + "}"


class Tables:
    """The tables of one session."""

    def __init__(self, interrupts: Interrupts, max_rows: int, seconds: float) -> None:
        self._interrupts = interrupts
        self._max_rows = max_rows
        self._seconds = seconds
        self._db: sqlite3.Connection | None = None
        self.names: list[str] = []

    def clear(self) -> None:
        """Forget all tables."""
        if self._db is not None:
            self._db.close()
        self._db = None
        self.names = []

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            db = sqlite3.connect(":memory:", isolation_level=None)
            db.execute("PRAGMA temp_store = MEMORY")
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
            db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            self._db = db
        return self._db

    def create(self, name: str, columns: Sequence[Sequence[str]]) -> None:
        """Make an empty table. The host has checked names and types."""
        described = ", ".join(f"{_quoted(column)} {kind}" for column, kind in columns)
        self._open().execute(f"CREATE TABLE {_quoted(name)} ({described})")
        self.names.append(f"{name}({', '.join(column for column, _ in columns)})")

    def insert(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows."""
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            db = self._open()
            db.execute("BEGIN")
            db.executemany(f"INSERT INTO {_quoted(name)} VALUES ({marks})", rows)
            db.execute("COMMIT")

    def query(self, sql: str, parameters: Any = ()) -> list[Row]:
        """Run one SELECT. Raises RuntimeError with SQLite's message, or one about the limits."""
        if not isinstance(sql, str):
            raise TypeError('sql(query) needs a string, for example sql("SELECT count(*) FROM t")')
        values = tuple(parameters)
        if not all(type(value) in (type(None), int, float, str, bytes) for value in values):
            raise TypeError("parameters of sql() are a list of texts and numbers")
        with self._interrupts.deferred():
            return self._query(str.__str__(sql), values)

    def _query(self, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
        db = self._open()
        deadline = time.monotonic() + self._seconds
        db.set_progress_handler(
            lambda: self._interrupts.pending or time.monotonic() > deadline, PROGRESS_STEPS
        )
        db.set_authorizer(_authorize)
        try:
            cursor = db.execute(sql, parameters)
            columns = tuple(column[0] for column in cursor.description or ())
            kind = type("Row", (Row,), {"_columns": columns})
            rows = [kind(values) for values in cursor.fetchmany(self._max_rows + 1)]
            cursor.close()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise RuntimeError(self._explain(error, deadline)) from None
        finally:
            db.set_authorizer(None)
            db.set_progress_handler(None, 0)
        if len(rows) > self._max_rows:
            raise RuntimeError(
                f"the query gives more than {self._max_rows:,} rows: aggregate in SQL (count, sum, group by) or add LIMIT"
            )
        return rows

    def _explain(self, error: Exception, deadline: float) -> str:
        if time.monotonic() > deadline:
            return f"the query took longer than {self._seconds:g} s: make it simpler or add conditions"
        if "not authorized" in str(error) or "prohibited" in str(error):
            return "only SELECT is allowed; the tables cannot be changed and no other database can be opened"
        known = f" Tables: {'; '.join(self.names)}." if self.names else " No tables were uploaded."
        return f"SQL error: {error}.{known}"


def _authorize(
    action: int, first: str | None, second: str | None, _db: str | None, _trigger: str | None
) -> int:
    if action == sqlite3.SQLITE_FUNCTION and second in _REFUSED_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

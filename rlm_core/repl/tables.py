"""Tables on their way to a worker: checked, and kept as JSON so that they can be sent again after a restart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

from rlm_core.repl.types import ReplTable

ROW_BATCH: Final = 5000
COLUMN_TYPES: Final = ("TEXT", "INTEGER", "REAL")


class EncodedTable:
    """A table checked and turned into batches of JSON, so that it can be sent again after a restart."""

    def __init__(self, name: str, columns: list[list[str]], batches: list[bytes]) -> None:
        self.name = name
        self.columns = columns
        self.batches = batches


def encoded(table: ReplTable) -> EncodedTable:
    """Check a table and encode it. Raises ValueError for an unknown type, no columns, or a row of another length."""
    for column, kind in table.columns:
        if kind not in COLUMN_TYPES:
            raise ValueError(
                f"column {column!r} of table {table.name!r}: type {kind!r} is not one of {COLUMN_TYPES}"
            )
    if not table.columns:
        raise ValueError(f"table {table.name!r} has no columns")
    rows: Iterable[Sequence[Any]] = iter(table.rows)
    batches: list[bytes] = []
    while batch := [list(row) for row in islice(rows, ROW_BATCH)]:
        for row in batch:
            if len(row) != len(table.columns):
                raise ValueError(
                    f"table {table.name!r}: a row of {len(row)} values for {len(table.columns)} columns"
                )
        batches.append(json.dumps(batch).encode("ascii"))
    return EncodedTable(table.name, [[column, kind] for column, kind in table.columns], batches)

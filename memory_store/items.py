"""Messages and passages as the indexer sees them: rows with a text, a vector, and a place in the queue for one.

The two kinds are treated alike; only the tables differ.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from memory_store.database import Database
from memory_store.message_index import text_to_embed
from memory_store.retrieval import Scope

if TYPE_CHECKING:
    from memory_store.embedding import Vectors


class Kind:
    """Messages or passages. In `source` the item has the alias m; `columns` hold at least seq, text and user."""

    def __init__(
        self, name: str, source: str, user: str, columns: str, text: Callable[[sqlite3.Row], str]
    ) -> None:
        """`user`: the column that says whose it is. `text` makes from a row what is embedded."""
        self.name, self.source, self.user, self.columns, self.text = name, source, user, columns, text
        self.vectors, self.pending = f"{name}_vectors", f"{name}_pending"


def _passage_text(row: sqlite3.Row) -> str:
    return f"{row['name']}{' / ' + row['heading'] if row['heading'] else ''}\n{row['text']}"


MESSAGES = Kind(
    "message",
    "messages m JOIN conversations c ON c.id = m.conversation_id",
    "c.user",
    "m.seq, m.role, m.text, m.created_at, c.user",
    text_to_embed,
)
CHUNKS = Kind(
    "chunk",
    "chunks m JOIN documents d ON d.seq = m.document",
    "d.user",
    "m.seq, m.heading, m.text, d.name, d.user",
    _passage_text,
)


def size_up_to(database: Database, kind: Kind, scope: Scope, limit: int) -> int:
    """How many items the scope has, counting no further than `limit`."""
    with database.read() as sql:
        limited = f"SELECT 1 FROM {kind.source} WHERE {scope.condition} LIMIT ?"
        return int(sql.execute(f"SELECT count(*) FROM ({limited})", (*scope.values, limit)).fetchone()[0])


def compare_all(
    database: Database, kind: Kind, scope: Scope, model: str, vector: Vectors, count: int
) -> list[int]:
    """The items of the scope closest to a vector, best first, by comparing with every one: exact, and needs no index."""
    import numpy as np

    with database.read() as sql:
        rows = sql.execute(
            f"""SELECT v.seq, v.vector FROM {kind.source} JOIN {kind.vectors} v ON v.seq = m.seq
                WHERE {scope.condition} AND v.model = ?""",
            (*scope.values, model),
        ).fetchall()
    if not rows:
        return []
    matrix = np.frombuffer(b"".join(row["vector"] for row in rows), dtype=np.float32).reshape(len(rows), -1)
    order = np.argsort(-(matrix @ vector), kind="stable")[:count]
    return [int(rows[position]["seq"]) for position in order]


def vectors_of(database: Database, kind: Kind, seqs: Sequence[int]) -> dict[int, Vectors]:
    """Their stored vectors; what has none is left out."""
    import numpy as np

    with database.read() as sql:
        rows = sql.execute(
            f"SELECT seq, vector FROM {kind.vectors} WHERE seq IN ({', '.join(map(str, seqs))})"
        ).fetchall()
    return {int(row["seq"]): np.frombuffer(row["vector"], dtype=np.float32) for row in rows}


def users_of(database: Database, kind: Kind) -> list[str]:
    """Everyone who has items of this kind."""
    with database.read() as sql:
        return [str(row[0]) for row in sql.execute(f"SELECT DISTINCT {kind.user} FROM {kind.source}")]

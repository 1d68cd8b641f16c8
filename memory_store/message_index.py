"""What the indexes know of a message: its words, the words around it, its speaker and its date.

A turn like "Yes, last Tuesday!" means nothing alone, so each message is indexed with the two before and the two after it,
in columns of lower weight. Adding a message therefore also rewrites the `later` of its two predecessors.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence

from memory_store.moments import day_in_words, in_words

REACH = 2  # messages on each side
SAME_SITTING = 6 * 3600.0  # seconds; beyond that the neighbours belong to another subject
_NEIGHBOUR_CHARS = 2000  # of each neighbour: a long answer must not drown the message itself

_SPEAKER = re.compile(r"([^\W\d_][\w.'-]*(?: [^\W\d_][\w.'-]*){0,2}): ")
_COLUMNS = "m.seq, m.parent, m.role, m.text, m.created_at"
_UP = f"SELECT {_COLUMNS} FROM messages m WHERE m.seq = ?"
_DOWN = f"SELECT {_COLUMNS} FROM messages m WHERE m.parent = ? ORDER BY m.shown DESC, m.seq DESC"


def index_message(sql: sqlite3.Connection, seq: int) -> None:
    """Write this message's entry, refresh those of its neighbours, and ask for a vector. An empty text gets none."""
    row = sql.execute(_UP, (seq,)).fetchone()
    unindex_messages(sql, [seq])
    if row["text"].strip():
        sql.execute(
            "INSERT INTO message_words(rowid, text, earlier, later, moment, speaker) VALUES (?, ?, ?, ?, ?, ?)",
            (
                seq,
                row["text"],
                _joined(reversed(_earlier(sql, row))),
                _joined(_later(sql, row)),
                in_words(row["created_at"]),
                _named_role(row) or _named_in_text(row),
            ),
        )
        sql.execute("INSERT OR IGNORE INTO message_pending(seq) VALUES (?)", (seq,))
    for neighbour in _earlier(sql, row):
        sql.execute(
            "UPDATE message_words SET later = ? WHERE rowid = ?",
            (_joined(_later(sql, neighbour)), neighbour["seq"]),
        )
    for neighbour in _later(sql, row):
        sql.execute(
            "UPDATE message_words SET earlier = ? WHERE rowid = ?",
            (_joined(reversed(_earlier(sql, neighbour))), neighbour["seq"]),
        )


def quotations_of(sql: sqlite3.Connection, seq: int) -> list[int]:
    """The messages whose entries may quote this one: its next of kin up and down, in all versions."""
    found: list[int] = []
    level = [seq]
    for _ in range(REACH):
        marks = ", ".join("?" * len(level))
        level = [
            int(row[0]) for row in sql.execute(f"SELECT seq FROM messages WHERE parent IN ({marks})", level)
        ]
        found += level
    row = sql.execute(_UP, (seq,)).fetchone()
    return found + [int(near["seq"]) for near in _earlier(sql, row)]


def text_to_embed(row: sqlite3.Row) -> str:
    """What the vector of a message is made from. A bare "Thanks, Mel!" would match every question about Mel: the date
    before it dilutes such short turns."""
    speaker = _named_role(row)
    return f"[{day_in_words(row['created_at'])}] {speaker + ': ' if speaker else ''}{row['text']}"


def _named_role(row: sqlite3.Row) -> str:
    return "" if row["role"].lower() in ("user", "assistant", "system", "tool") else str(row["role"])


def _named_in_text(row: sqlite3.Row) -> str:
    """Imported chats often say who speaks in the text: "Mel: I am back"."""
    found = _SPEAKER.match(row["text"])
    return found[1] if found else ""


def unindex_messages(sql: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Forget words and vectors of these messages. Their neighbours keep what they quoted: reindex those that stay."""
    for table, key in (("message_words", "rowid"), ("message_vectors", "seq"), ("message_pending", "seq")):
        sql.executemany(f"DELETE FROM {table} WHERE {key} = ?", ((seq,) for seq in seqs))


def _joined(rows: Iterable[sqlite3.Row]) -> str:
    return "\n".join(row["text"][:_NEIGHBOUR_CHARS] for row in rows)


def _earlier(sql: sqlite3.Connection, row: sqlite3.Row) -> list[sqlite3.Row]:
    return _walk(sql, _UP, row, "parent")


def _later(sql: sqlite3.Connection, row: sqlite3.Row) -> list[sqlite3.Row]:
    return _walk(sql, _DOWN, row, "seq")


def _walk(sql: sqlite3.Connection, step: str, row: sqlite3.Row, key: str) -> list[sqlite3.Row]:
    found: list[sqlite3.Row] = []
    here = row
    while len(found) < REACH:
        near = sql.execute(step, (here[key],)).fetchone()
        if near is None or abs(near["created_at"] - here["created_at"]) > SAME_SITTING:
            break
        found.append(near)
        here = near
    return found

"""Messages. A conversation is a tree: an edited question or a retried answer is a sibling of the first, and the shown path
runs from the top along the version that is shown at each step.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping

from memory_store.conversations import clean, insert_conversation, title_of
from memory_store.database import Database
from memory_store.errors import NotFound, StoreError
from memory_store.message_index import index_message, quotations_of, unindex_messages
from memory_store.moments import Moment, epoch
from memory_store.records import Conversation, Json, Message

ROOT = ""  # as parent_id: another version of the conversation's first message
STATUSES = ("complete", "streaming", "interrupted", "failed")

_MESSAGE = """
    SELECT m.seq, m.id, m.conversation_id, m.parent, p.id AS parent_id, m.role, m.text, m.created_at, m.status, m.metadata
    FROM messages m LEFT JOIN messages p ON p.seq = m.parent
"""
_DOWN = """
    WITH RECURSIVE path(seq, step) AS (
        SELECT seq, 0 FROM messages WHERE conversation_id = :conversation AND parent IS :parent AND shown = 1
        UNION ALL
        SELECT m.seq, path.step + 1 FROM messages m JOIN path ON m.conversation_id = :conversation
            AND m.parent = path.seq AND m.shown = 1
    )
"""
_UP = """
    WITH RECURSIVE path(seq, parent, step) AS (
        SELECT seq, parent, 0 FROM messages WHERE seq = :seq
        UNION ALL
        SELECT m.seq, m.parent, path.step + 1 FROM messages m JOIN path ON m.seq = path.parent
    )
"""


class Messages:
    """The part of the store that keeps what was said. Every method is one committed transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(
        self,
        conversation_id: str,
        role: str,
        text: str,
        created_at: Moment | None,
        parent_id: str | None,
        status: str,
        metadata: Mapping[str, Json],
        user: str,
    ) -> str:
        _check_status(status)
        at, now, new = epoch(created_at), time.time(), uuid.uuid4().hex
        with self._db.write() as sql:
            home = sql.execute(
                "SELECT user, tip FROM conversations WHERE id = ?", (conversation_id,)
            ).fetchone()
            if home is None:
                insert_conversation(sql, conversation_id, user, "", now)
                tip = None
            elif home["user"] != user:
                raise StoreError(f"Conversation {conversation_id!r} belongs to another user.")
            else:
                tip = home["tip"]
            if parent_id is None:
                parent = tip
            elif parent_id == ROOT:
                parent = None
            else:
                parent = _row(sql, parent_id, conversation_id)["seq"]
            sql.execute(
                "UPDATE messages SET shown = 0 WHERE conversation_id = ? AND parent IS ? AND shown = 1",
                (conversation_id, parent),
            )
            seq = sql.execute(
                """INSERT INTO messages(id, conversation_id, parent, role, text, created_at, status, metadata)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (new, conversation_id, parent, clean(role), clean(text), at, status, _dump(metadata)),
            ).lastrowid
            assert seq is not None
            # if it is not simply the next message, the shown path may have turned
            seq_of_tip = seq if parent == tip else _tip(sql, conversation_id)
            sql.execute(
                "UPDATE conversations SET tip = ?, updated_at = max(updated_at, ?) WHERE id = ?",
                (seq_of_tip, now, conversation_id),
            )
            if status != "streaming":
                index_message(sql, seq)
        return new

    def ask(
        self,
        conversation_id: str,
        text: str,
        parent_id: str | None,
        metadata: Mapping[str, Json],
        user: str,
    ) -> tuple[str, str]:
        """A question and its empty answer, which is growing; returns both ids."""
        with self._db.write() as sql:
            question = self.add(conversation_id, "user", text, None, parent_id, "complete", metadata, user)
            sql.execute(
                "UPDATE conversations SET title = ? WHERE id = ? AND title = ''",
                (title_of(text), conversation_id),
            )
            return question, self.add(conversation_id, "assistant", "", None, question, "streaming", {}, user)

    def update(
        self, message_id: str, text: str | None, status: str | None, metadata: Mapping[str, Json] | None
    ) -> int | None:
        """Returns the message's number when its words changed for the indexes (a finished text), else None."""
        if status is not None:
            _check_status(status)
        with self._db.write() as sql:
            row = _row(sql, message_id)
            new_text = row["text"] if text is None else clean(text)
            new_status = status or row["status"]
            merged = (
                row["metadata"] if metadata is None else _dump({**json.loads(row["metadata"]), **metadata})
            )
            sql.execute(
                "UPDATE messages SET text = ?, status = ?, metadata = ? WHERE seq = ?",
                (new_text, new_status, merged, row["seq"]),
            )
            settled = new_status != "streaming"
            if settled and (new_text != row["text"] or row["status"] == "streaming"):
                sql.execute(
                    "UPDATE conversations SET updated_at = ? WHERE id = ?",
                    (time.time(), row["conversation_id"]),
                )
                index_message(sql, row["seq"])
                return int(row["seq"])
        return None

    def delete(self, message_id: str) -> tuple[int, str]:
        """Remove one message; what follows it now follows its parent. Returns its number and user. Raises NotFound."""
        with self._db.write() as sql:
            row = _row(sql, message_id)
            place = (row["conversation_id"], row["parent"])
            quoting = quotations_of(sql, row["seq"])
            if not row["shown"]:
                sql.execute("UPDATE messages SET shown = 0 WHERE parent = ?", (row["seq"],))
            sql.execute("UPDATE messages SET parent = ? WHERE parent = ?", (row["parent"], row["seq"]))
            unindex_messages(sql, [row["seq"]])
            sql.execute("DELETE FROM messages WHERE seq = ?", (row["seq"],))
            shown = "SELECT 1 FROM messages WHERE conversation_id = ? AND parent IS ? AND shown = 1"
            if (
                sql.execute(shown, place).fetchone() is None
            ):  # it was the shown version and nothing followed it
                sql.execute(
                    """UPDATE messages SET shown = 1 WHERE seq =
                       (SELECT max(seq) FROM messages WHERE conversation_id = ? AND parent IS ?)""",
                    place,
                )
            sql.execute(
                "UPDATE conversations SET tip = ? WHERE id = ?",
                (_tip(sql, row["conversation_id"]), row["conversation_id"]),
            )
            for seq in quoting:
                index_message(sql, seq)
            user = sql.execute(
                "SELECT user FROM conversations WHERE id = ?", (row["conversation_id"],)
            ).fetchone()
        return int(row["seq"]), str(user["user"])

    def get(self, message_id: str) -> Message | None:
        with self._db.read() as sql:
            row = sql.execute(f"{_MESSAGE} WHERE m.id = ?", (message_id,)).fetchone()
            return message_of(row) if row else None

    def path(self, conversation_id: str) -> list[Message]:
        """The shown path, oldest first; empty for an unknown conversation."""
        with self._db.read() as sql:
            rows = sql.execute(
                _DOWN + _MESSAGE + "JOIN path ON path.seq = m.seq ORDER BY path.step",
                {"conversation": conversation_id, "parent": None},
            )
            return [message_of(row) for row in rows]

    def ids(self, conversation_id: str) -> list[str]:
        """Of all messages of a conversation, every version of each."""
        with self._db.read() as sql:
            rows = sql.execute("SELECT id FROM messages WHERE conversation_id = ?", (conversation_id,))
            return [str(row["id"]) for row in rows]

    def siblings(self, message_id: str) -> list[Message]:
        """All versions of this message, itself included, oldest first. Raises NotFound."""
        with self._db.read() as sql:
            row = _row(sql, message_id)
            rows = sql.execute(
                f"{_MESSAGE} WHERE m.conversation_id = ? AND m.parent IS ? ORDER BY m.seq",
                (row["conversation_id"], row["parent"]),
            )
            return [message_of(other) for other in rows]

    def select_version(self, message_id: str) -> None:
        """Show this version, and with it the path that leads to it. Raises NotFound."""
        with self._db.write() as sql:
            row = _row(sql, message_id)
            way = sql.execute(_UP + "SELECT seq, parent FROM path", {"seq": row["seq"]}).fetchall()
            for step in way:
                sql.execute(
                    "UPDATE messages SET shown = (seq = ?) WHERE conversation_id = ? AND parent IS ?",
                    (step["seq"], row["conversation_id"], step["parent"]),
                )
            sql.execute(
                "UPDATE conversations SET tip = ? WHERE id = ?",
                (_tip(sql, row["conversation_id"]), row["conversation_id"]),
            )

    def fork(self, message_id: str) -> Conversation:
        """A new conversation that begins with copies of everything up to this message. Raises NotFound."""
        now, new = time.time(), uuid.uuid4().hex
        with self._db.write() as sql:
            row = _row(sql, message_id)
            home = sql.execute(
                "SELECT user, title FROM conversations WHERE id = ?", (row["conversation_id"],)
            ).fetchone()
            insert_conversation(sql, new, home["user"], home["title"], now)
            way = sql.execute(
                _UP + "SELECT m.* FROM path JOIN messages m ON m.seq = path.seq ORDER BY path.step DESC",
                {"seq": row["seq"]},
            ).fetchall()
            parent: int | None = None
            for old in way:
                status = "interrupted" if old["status"] == "streaming" else old["status"]
                parent = sql.execute(
                    """INSERT INTO messages(id, conversation_id, parent, role, text, created_at, status, metadata)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                    (
                        uuid.uuid4().hex,
                        new,
                        parent,
                        old["role"],
                        old["text"],
                        old["created_at"],
                        status,
                        old["metadata"],
                    ),
                ).lastrowid
                assert parent is not None
                index_message(sql, parent)
            sql.execute("UPDATE conversations SET tip = ? WHERE id = ?", (parent, new))
        return Conversation(new, home["title"], now, now, False, home["user"])

    def mark_interrupted(self) -> int:
        """What was streaming when the last process ended is now interrupted; returns how many."""
        with self._db.write() as sql:
            seqs = [row[0] for row in sql.execute("SELECT seq FROM messages WHERE status = 'streaming'")]
            sql.execute("UPDATE messages SET status = 'interrupted' WHERE status = 'streaming'")
            for seq in seqs:
                index_message(sql, seq)
        return len(seqs)


def message_of(row: sqlite3.Row) -> Message:
    return Message(
        id=row["id"],
        conversation_id=row["conversation_id"],
        parent_id=row["parent_id"],
        role=row["role"],
        text=row["text"],
        created_at=row["created_at"],
        status=row["status"],
        metadata=json.loads(row["metadata"]),
    )


def neighbours_of(
    sql: sqlite3.Connection, seq: int, count: int
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Up to `count` messages before and after this one, along its parents and its shown children, oldest first."""
    before = sql.execute(
        _UP
        + _MESSAGE
        + "JOIN path ON path.seq = m.seq WHERE path.step BETWEEN 1 AND :count ORDER BY path.step DESC",
        {"seq": seq, "count": count},
    )
    earlier = tuple(message_of(row) for row in before)
    after, parent = [], seq
    for _ in range(count):
        row = sql.execute(f"{_MESSAGE} WHERE m.parent = ? AND m.shown = 1", (parent,)).fetchone()
        if row is None:
            break
        after.append(message_of(row))
        parent = row["seq"]
    return earlier, tuple(after)


def _row(sql: sqlite3.Connection, message_id: str, conversation_id: str | None = None) -> sqlite3.Row:
    row: sqlite3.Row | None = sql.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row is None or (conversation_id is not None and row["conversation_id"] != conversation_id):
        where = f" in conversation {conversation_id!r}" if conversation_id is not None else ""
        raise NotFound(f"There is no message {message_id!r}{where}. It may have been deleted.")
    return row


def _tip(sql: sqlite3.Connection, conversation_id: str) -> int | None:
    row = sql.execute(
        _DOWN + "SELECT seq FROM path ORDER BY step DESC LIMIT 1",
        {"conversation": conversation_id, "parent": None},
    ).fetchone()
    return int(row["seq"]) if row else None


def _dump(metadata: Mapping[str, Json]) -> str:
    return json.dumps(metadata)  # ASCII escapes: any text survives


def _check_status(status: str) -> None:
    if status not in STATUSES:
        raise ValueError(f"{status!r} is not a message status. It is one of {', '.join(STATUSES)}.")

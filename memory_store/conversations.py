"""Conversations: made, listed, renamed, searched and deleted. What is said in them is `messages.py`."""

from __future__ import annotations

import sqlite3
import time
import uuid

from memory_store.database import Database
from memory_store.errors import NotFound, StoreError
from memory_store.keywords import match_all
from memory_store.message_index import unindex_messages
from memory_store.records import Conversation, ConversationHit

TITLE_CHARS = 48


class Conversations:
    """The part of the store that keeps conversations. Every method is one committed transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, title: str, user: str, conversation_id: str | None) -> Conversation:
        """Raises StoreError when the id is taken."""
        now = time.time()
        new = conversation_id or uuid.uuid4().hex
        try:
            with self._db.write() as sql:
                insert_conversation(sql, new, user, clean(title), now)
        except sqlite3.IntegrityError as error:
            raise StoreError(f"There is already a conversation {new!r}.") from error
        return Conversation(new, clean(title), now, now, False, user)

    def all(self, user: str) -> list[Conversation]:
        """Pinned first, then the latest change first."""
        with self._db.read() as sql:
            rows = sql.execute(
                "SELECT * FROM conversations WHERE user = ? ORDER BY pinned DESC, updated_at DESC, id",
                (user,),
            )
            return [_conversation(row) for row in rows]

    def get(self, conversation_id: str) -> Conversation | None:
        with self._db.read() as sql:
            row = sql.execute("SELECT * FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
            return _conversation(row) if row else None

    def set(self, conversation_id: str, column: str, value: str | int) -> None:
        """Change `title` or `pinned`. Raises NotFound."""
        with self._db.write() as sql:
            done = sql.execute(
                f"UPDATE conversations SET {column} = ? WHERE id = ?", (value, conversation_id)
            )
            if not done.rowcount:
                raise _unknown_conversation(conversation_id)

    def delete(self, conversation_id: str) -> list[int]:
        """Remove it with all messages; returns their numbers, for the vector index. Raises NotFound."""
        with self._db.write() as sql:
            seqs = [
                int(row[0])
                for row in sql.execute(
                    "SELECT seq FROM messages WHERE conversation_id = ?", (conversation_id,)
                )
            ]
            unindex_messages(sql, seqs)
            if not sql.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,)).rowcount:
                raise _unknown_conversation(conversation_id)
        return seqs

    def search(self, text: str, user: str, limit: int) -> list[ConversationHit]:
        """Conversations with all the words (the last may be unfinished), one hit each, titles first, then newest."""
        expression = match_all(text)
        if expression is None:
            return []
        with self._db.read() as sql:
            like = (
                "%" + text.strip()[:200].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            )
            titles = sql.execute(
                "SELECT * FROM conversations WHERE user = ? AND title LIKE ? ESCAPE '\\' ORDER BY updated_at DESC LIMIT ?",
                (user, like, limit),
            )
            hits = {row["id"]: ConversationHit(_conversation(row), None, row["title"]) for row in titles}
            rows = sql.execute(
                """SELECT c.*, m.id AS message_id, snippet(message_words, 0, '\u2068', '\u2069', '…', 16) AS snippet
                   FROM message_words JOIN messages m ON m.seq = message_words.rowid
                   JOIN conversations c ON c.id = m.conversation_id
                   WHERE message_words MATCH ? AND c.user = ? ORDER BY m.seq DESC LIMIT ?""",
                (f"text : ({expression})", user, limit * 20),
            )
            for row in rows:
                if len(hits) >= limit:
                    break
                if row["id"] not in hits:
                    hits[row["id"]] = ConversationHit(_conversation(row), row["message_id"], row["snippet"])
        return list(hits.values())


def clean(text: str) -> str:
    """Text that can be stored as UTF-8: half surrogate pairs (from broken JSON escapes) become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def _conversation(row: sqlite3.Row) -> Conversation:
    return Conversation(
        row["id"], row["title"], row["created_at"], row["updated_at"], bool(row["pinned"]), row["user"]
    )


def insert_conversation(
    sql: sqlite3.Connection, conversation_id: str, user: str, title: str, now: float
) -> None:
    sql.execute(
        "INSERT INTO conversations(id, user, title, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
        (conversation_id, user, title, now, now),
    )


def _unknown_conversation(conversation_id: str) -> NotFound:
    return NotFound(f"There is no conversation {conversation_id!r}. It may have been deleted.")


def title_of(question: str) -> str:
    """The name that a conversation gets from its first question: the beginning, cut at a word."""
    words = clean(" ".join(question.split(maxsplit=TITLE_CHARS)[:TITLE_CHARS]))  # it may be megabytes long
    if len(words) <= TITLE_CHARS:
        return words
    return words[:TITLE_CHARS].rsplit(" ", 1)[0].rstrip(",;:.") + "…"

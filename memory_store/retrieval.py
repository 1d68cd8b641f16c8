"""Finding messages and passages again: by words (FTS5, BM25) and by meaning (vectors), fused by reciprocal rank.

Every query carries the user: nothing here can cross the border between two users.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from memory_store.database import Database
from memory_store.fusion import fuse
from memory_store.keywords import match_any, words
from memory_store.messages import neighbours_of
from memory_store.moments import Moment, epoch
from memory_store.records import Passage, Recall

_MESSAGES = "SELECT m.seq FROM messages m JOIN conversations c ON c.id = m.conversation_id"
_BEST = 1000
DEPTH = 100  # entries of each ranking that take part in the fusion
WEIGHTS = "1.0, 0.4, 0.2, 0.3, 1.0"  # of a message's text, what came before and after, date, speaker


@dataclass(frozen=True)
class Rankings:
    """How much each way of searching counts in the fusion; 0 leaves it out."""

    words: float
    meaning: float


# Measured by benchmarks/recall.py: BM25 is the stronger of the two on both, so meaning seconds it.
OF_MESSAGES = Rankings(words=1.0, meaning=0.4)
OF_PASSAGES = Rankings(words=1.0, meaning=0.3)


@dataclass(frozen=True)
class Scope:
    """What may be found: one user's items, further narrowed by an SQL condition with its values."""

    user: str
    condition: str
    values: tuple[object, ...]
    narrow: bool  # less than all the user has


ByMeaning = Callable[
    [str, Scope, int], Sequence[int]
]  # query, scope, how many → seqs, best first; [] while not ready


def message_scope(
    user: str,
    conversation_id: str | None,
    exclude: Collection[str],
    since: Moment | None,
    until: Moment | None,
    speaker: str | None,
) -> Scope:
    """`speaker` matches the role, or a text that begins with "Speaker:". Raises ValueError for a date that is none."""
    conditions, values = ["c.user = ?"], [user]
    narrowing: list[tuple[str, tuple[object, ...]]] = []
    if conversation_id is not None:
        narrowing.append(("m.conversation_id = ?", (conversation_id,)))
    if since is not None:
        narrowing.append(("m.created_at >= ?", (epoch(since),)))
    if until is not None:
        narrowing.append(("m.created_at <= ?", (epoch(until),)))
    if speaker is not None:
        beginning = f"{speaker.strip()}:"
        narrowing.append(
            (
                "(m.role = ? COLLATE NOCASE OR substr(m.text, 1, ?) = ? COLLATE NOCASE)",
                (speaker.strip(), len(beginning), beginning),
            )
        )
    if exclude:
        narrowing.append((f"m.id NOT IN ({', '.join('?' * len(exclude))})", tuple(exclude)))
    return Scope(
        user,
        " AND ".join([*conditions, *(text for text, _ in narrowing)]),
        (*values, *(value for _, more in narrowing for value in more)),
        narrow=bool(narrowing),
    )


def recall(
    database: Database,
    by_meaning: ByMeaning,
    query: str,
    k: int,
    scope: Scope,
    neighbours: int,
    rankings: Rankings,
) -> list[Recall]:
    """The `k` messages in the scope that have most to do with the query, best first."""
    order = _fused(database, by_meaning, _messages_by_words, query, scope, rankings)
    hits: list[Recall] = []
    versions: set[tuple[int, str]] = set()
    with database.read() as sql:
        for seq, score in order:
            if len(hits) >= k:
                break
            row = sql.execute("SELECT * FROM messages WHERE seq = ?", (seq,)).fetchone()
            if row is None:  # deleted since
                continue
            if row["parent"] is not None:  # of several answers to one question, the best fitting is enough
                version = (row["parent"], row["role"])
                if version in versions:
                    continue
                versions.add(version)
            before, after = neighbours_of(sql, seq, neighbours) if neighbours else ((), ())
            hits.append(
                Recall(
                    message_id=row["id"],
                    conversation_id=row["conversation_id"],
                    role=row["role"],
                    text=row["text"],
                    created_at=row["created_at"],
                    score=score,
                    before=before,
                    after=after,
                )
            )
    return hits


def _fused(
    database: Database,
    by_meaning: ByMeaning,
    by_words: Callable[[sqlite3.Connection, str, Scope], list[int]],
    query: str,
    scope: Scope,
    rankings: Rankings,
) -> list[tuple[int, float]]:
    lists: list[tuple[float, Sequence[int]]] = []
    if rankings.words:
        with database.read() as sql:
            lists.append((rankings.words, by_words(sql, query, scope)))
    if rankings.meaning:
        lists.append((rankings.meaning, by_meaning(query, scope, DEPTH)))
    return fuse(lists)


def _messages_by_words(sql: sqlite3.Connection, query: str, scope: Scope) -> list[int]:
    expression = match_any(query)
    if expression is None:
        return []
    # Looking up the owner of every match is what takes time: first only of the best ones, which are usually enough.
    best = sql.execute(
        f"SELECT rowid FROM message_words WHERE message_words MATCH ? ORDER BY bm25(message_words, {WEIGHTS}) LIMIT ?",
        (expression, _BEST),
    ).fetchall()
    order = {int(row["rowid"]): rank for rank, row in enumerate(best)}
    numbers = ", ".join(map(str, order))
    rows = sql.execute(f"{_MESSAGES} WHERE m.seq IN ({numbers}) AND {scope.condition}", scope.values)
    found = sorted((int(row["seq"]) for row in rows), key=order.__getitem__)[:DEPTH]
    if len(found) == DEPTH or len(best) < _BEST:
        return found
    rows = sql.execute(
        f"""{_MESSAGES} JOIN message_words w ON w.rowid = m.seq WHERE message_words MATCH ? AND {scope.condition}
            ORDER BY bm25(message_words, {WEIGHTS}) LIMIT ?""",
        (expression, *scope.values, DEPTH),
    )
    return [int(row["seq"]) for row in rows]


def passage_scope(user: str, document_ids: Collection[str] | None) -> Scope:
    """None: all documents of the user. An empty collection: nothing."""
    if document_ids is None:
        return Scope(user, "d.user = ?", (user,), narrow=False)
    marks = ", ".join("?" * len(document_ids))
    return Scope(user, f"d.user = ? AND d.id IN ({marks})", (user, *document_ids), narrow=True)


def search_passages(
    database: Database,
    by_meaning: ByMeaning,
    place: Callable[[str, int], str],
    query: str,
    k: int,
    scope: Scope,
    rankings: Rankings,
) -> list[Passage]:
    """The `k` passages in the scope that have most to do with the query, best first."""
    order = _fused(database, by_meaning, _passages_by_words, query, scope, rankings)
    found: list[Passage] = []
    with database.read() as sql:
        for seq, score in order[:k]:
            row = sql.execute(
                "SELECT c.*, d.id, d.name FROM chunks c JOIN documents d ON d.seq = c.document WHERE c.seq = ?",
                (seq,),
            ).fetchone()
            if row is None:  # deleted since
                continue
            found.append(
                Passage(
                    document_id=row["id"],
                    document_name=row["name"],
                    start=row["start"],
                    end=row["end"],
                    text=row["text"],
                    score=score,
                    place=place(row["id"], row["start"] + _focus(row["text"], query)),
                )
            )
    return found


def _focus(text: str, query: str) -> int:
    """Offset of the line of a passage with the most words of the query: its page or row is the one to look at."""
    wanted = {word[:5] for word in words(query)}  # near enough to a stem
    best, most, offset = 0, 0, 0
    for line in text.splitlines(keepends=True):
        count = len(wanted.intersection(word[:5] for word in words(line, most=1000)))
        if count > most:
            best, most = offset, count
        offset += len(line)
    return best


def _passages_by_words(sql: sqlite3.Connection, query: str, scope: Scope) -> list[int]:
    expression = match_any(query)
    if expression is None:
        return []
    rows = sql.execute(
        f"""SELECT m.seq FROM chunk_words w JOIN chunks m ON m.seq = w.rowid JOIN documents d ON d.seq = m.document
            WHERE chunk_words MATCH ? AND {scope.condition}
            ORDER BY bm25(chunk_words, 1.0, 0.5) LIMIT ?""",
        (expression, *scope.values, DEPTH),
    )
    return [int(row["seq"]) for row in rows]

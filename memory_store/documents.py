"""The shelf: documents, their passages and tables, found by words. Meaning (vectors) is added by the indexer."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath

from memory_store.chunking import PASSAGE_TOKENS, characters_per_token, chunk
from memory_store.database import Database
from memory_store.errors import DocumentError, NotFound
from memory_store.loaders.host import check_size, load_file
from memory_store.loaders.result import Loaded
from memory_store.loaders.sheets import column_names
from memory_store.places import place_of
from memory_store.records import Document, Section, Table

Progress = Callable[[str, float], None]
CountTokens = Callable[[Sequence[str]], Sequence[int]]

# The passages of a document are numbered without gaps: they were stored in one transaction.
_DOCUMENT = """
    SELECT d.*, NOT EXISTS (
        SELECT 1 FROM chunk_pending p
        WHERE p.seq >= (SELECT seq FROM chunks WHERE document = d.seq ORDER BY start LIMIT 1)
          AND p.seq <= (SELECT seq FROM chunks WHERE document = d.seq ORDER BY start DESC LIMIT 1)
    ) AS embedded FROM documents d
"""


class Shelf:
    """The part of the store that keeps documents."""

    def __init__(
        self,
        database: Database,
        count_tokens: CountTokens,
        reader_tokens: Callable[[str], int] | None = None,
    ) -> None:
        """`count_tokens` counts the embedder's tokens of each text; it decides how large passages are.
        `reader_tokens` makes the figure that is told of a document; None: its embedder's tokens."""
        self._db = database
        self._count_tokens = count_tokens
        self._reader_tokens = reader_tokens

    def add(self, name: str, data: bytes | Path, user: str, progress: Progress | None) -> Document:
        """Read, cut and store one file; committed when it returns. The same bytes again return the first document.

        Raises DocumentError; then nothing was stored.
        """
        tell = progress or (lambda what, share: None)
        name = display_name(name)
        tell(f"Reading {name}", 0.0)
        size = check_size(name, data)
        digest = _digest(name, data)
        known = self._by_digest(user, digest)
        if known is not None:
            tell(f"{known.name} is already there", 1.0)
            return known
        loaded = load_file(name, data, progress=lambda what, share: tell(what, 0.7 * share))
        tell(f"Indexing {name}", 0.7)
        about = {
            "id": uuid.uuid4().hex,
            "user": user,
            "name": name,
            "size": size,
            "sha256": digest,
            "created_at": time.time(),
        }
        try:
            with self._db.write() as sql:
                self.insert(sql, about, loaded)
        except sqlite3.IntegrityError:  # the same file was added by another thread meanwhile
            known = self._by_digest(user, digest)
            if known is None:
                raise
            return known
        tell(f"{name} can be searched", 1.0)
        found = self._by_digest(user, digest)
        if found is None:
            raise NotFound(f"{name} was deleted while it was being added.")
        return found

    def insert(self, sql: sqlite3.Connection, about: Mapping[str, object], loaded: Loaded) -> None:
        """Store a document that was read before. `about`: id, user, name, size, sha256, created_at."""
        ratio, estimate = characters_per_token(loaded.text, self._count_tokens), self._reader_tokens
        document = sql.execute(
            """INSERT INTO documents(id, user, name, kind, size, sha256, created_at, characters, tokens, sections)
               VALUES (:id, :user, :name, :kind, :size, :sha256, :created_at, :characters, :tokens, :sections)""",
            {
                **about,
                "kind": loaded.kind,
                "characters": len(loaded.text),
                "tokens": estimate(loaded.text) if estimate else int(len(loaded.text) / ratio) + 1,
                "sections": json.dumps([list(asdict(section).values()) for section in loaded.sections]),
            },
        ).lastrowid
        sql.execute("INSERT INTO document_texts(document, text) VALUES (?, ?)", (document, loaded.text))
        sql.executemany(
            "INSERT INTO document_tables(document, position, name, columns, rows) VALUES (?, ?, ?, ?, ?)",
            (
                (document, position, table.name, json.dumps(table.columns), json.dumps(table.rows))
                for position, table in enumerate(loaded.tables)
            ),
        )
        sql.executemany(
            "INSERT INTO chunks(document, start, end, line, heading, text) VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    document,
                    piece.start,
                    piece.end,
                    piece.line,
                    piece.heading,
                    loaded.text[piece.start : piece.end],
                )
                for piece in chunk(loaded.text, loaded.sections, int(PASSAGE_TOKENS * ratio))
            ),
        )
        sql.execute(
            "INSERT INTO chunk_words(rowid, text, heading) SELECT seq, text, heading FROM chunks WHERE document = ?",
            (document,),
        )

    def all(self, user: str) -> list[Document]:
        """Newest first."""
        with self._db.read() as sql:
            rows = sql.execute(f"{_DOCUMENT} WHERE d.user = ? ORDER BY d.seq DESC", (user,))
            return [self._document(row) for row in rows]

    def get(self, document_id: str) -> Document | None:
        with self._db.read() as sql:
            row = sql.execute(f"{_DOCUMENT} WHERE d.id = ?", (document_id,)).fetchone()
            return self._document(row) if row else None

    def delete(self, document_id: str) -> list[int]:
        """Remove it; returns the numbers of its passages, for the vector index. Raises NotFound."""
        with self._db.write() as sql:
            row = sql.execute("SELECT seq FROM documents WHERE id = ?", (document_id,)).fetchone()
            if row is None:
                raise NotFound(f"There is no document {document_id!r}. It may have been deleted.")
            seqs = [
                int(r[0]) for r in sql.execute("SELECT seq FROM chunks WHERE document = ?", (row["seq"],))
            ]
            sql.execute("DELETE FROM documents WHERE seq = ?", (row["seq"],))
        return seqs

    def place(self, document_id: str, offset: int) -> str:
        """Where an offset lies, in words. Raises NotFound."""
        with self._db.read() as sql:
            row = sql.execute("SELECT seq, sections FROM documents WHERE id = ?", (document_id,)).fetchone()
            if row is None:
                raise NotFound(f"There is no document {document_id!r}. It may have been deleted.")

            return place_of(_sections(row["sections"]), offset, lambda at: _lines_before(sql, row["seq"], at))

    def tables(self, document_ids: Collection[str]) -> list[Table]:
        """All tables of these documents, in the order given, no two with the same name. Unknown ids have none."""
        found = [table for document_id in document_ids for table in self._tables(document_id)]
        names = column_names([table.name for table in found], len(found))
        return [replace(table, name=name) for table, name in zip(found, names, strict=True)]

    def _by_digest(self, user: str, digest: str) -> Document | None:
        with self._db.read() as sql:
            row = sql.execute(f"{_DOCUMENT} WHERE d.user = ? AND d.sha256 = ?", (user, digest)).fetchone()
            return self._document(row) if row else None

    def _document(self, row: sqlite3.Row) -> Document:
        document_id = str(row["id"])
        return Document(
            id=document_id,
            name=row["name"],
            kind=row["kind"],
            size=row["size"],
            characters=row["characters"],
            created_at=row["created_at"],
            status="embedded" if row["embedded"] else "searchable",
            tokens_estimate=row["tokens"],
            user=row["user"],
            sections=_sections(row["sections"]),
            _read_text=lambda: self._text(document_id),
            _read_tables=lambda: self._tables(document_id),
        )

    def _text(self, document_id: str) -> str:
        with self._db.read() as sql:
            row = sql.execute(
                "SELECT t.text FROM document_texts t JOIN documents d ON d.seq = t.document WHERE d.id = ?",
                (document_id,),
            ).fetchone()
        if row is None:
            raise NotFound(f"There is no document {document_id!r}. It may have been deleted.")
        return str(row["text"])

    def _tables(self, document_id: str) -> list[Table]:
        with self._db.read() as sql:
            rows = sql.execute(
                """SELECT t.* FROM document_tables t JOIN documents d ON d.seq = t.document
                   WHERE d.id = ? ORDER BY t.position""",
                (document_id,),
            ).fetchall()
        return [
            Table(
                row["name"],
                tuple((str(name), str(kind)) for name, kind in json.loads(row["columns"])),
                [tuple(cells) for cells in json.loads(row["rows"])],
                document_id,
            )
            for row in rows
        ]


def _lines_before(sql: sqlite3.Connection, document: int, offset: int) -> int:
    """Line ends before an offset, counted from the passage it lies in: reading a whole large text would be slow."""
    row = sql.execute(
        "SELECT * FROM chunks WHERE document = ? AND start <= ? ORDER BY start DESC LIMIT 1",
        (document, offset),
    ).fetchone()
    if row is not None and offset <= row["end"]:
        return int(row["line"]) + str(row["text"]).count("\n", 0, offset - row["start"])
    following = sql.execute(
        "SELECT line FROM chunks WHERE document = ? AND start > ? ORDER BY start LIMIT 1", (document, offset)
    ).fetchone()
    if following is not None and row is not None:  # between two passages there is only white space
        return int(following["line"])
    return int(row["line"]) + str(row["text"]).count("\n") if row is not None else 0


def files_below(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """(name, path) of files and of everything in folders, except what is hidden."""
    for path in paths:
        if not path.is_dir():
            yield path.name, path
            continue
        for inner in sorted(path.rglob("*")):
            below = inner.relative_to(path)
            if inner.is_file() and not any(part.startswith(".") for part in below.parts):
                yield f"{path.name}/{below.as_posix()}", inner


def display_name(given: str) -> str:
    """The file's name; of a relative path (a folder that was added) all of it, without steps upward."""
    path = PurePosixPath(given.replace("\\", "/"))
    if path.is_absolute() or re.match("[A-Za-z]:", given):
        return path.name or "document"
    return "/".join(part for part in path.parts if part not in ("..", ".")) or "document"


def _digest(name: str, data: bytes | Path) -> str:
    if not isinstance(data, Path):
        return hashlib.sha256(data).hexdigest()
    try:
        with data.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DocumentError(f"{name} could not be opened ({error.strerror}).") from error


def _sections(stored: str) -> tuple[Section, ...]:
    return tuple(Section(*values) for values in json.loads(stored))

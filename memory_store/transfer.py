"""Everything as one file, and back. The file is a ZIP of JSON lines and plain texts that other programs can read too.

Vectors stay behind: they are made again where the file is imported.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_store.database import Database
from memory_store.documents import Shelf
from memory_store.errors import StoreError
from memory_store.loaders.result import Loaded
from memory_store.message_index import index_message

_FORMAT = 1
_NO_EXPORT = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    sqlite3.IntegrityError,
    OSError,
)
_QUERIES = {
    "conversations.jsonl": "SELECT id, user, title, created_at, updated_at, pinned, tip FROM conversations ORDER BY created_at",
    "messages.jsonl": """SELECT seq, id, conversation_id, parent, shown, role, text, created_at, status, metadata
                         FROM messages ORDER BY seq""",
    "documents.jsonl": """SELECT id, user, name, kind, size, sha256, created_at, sections, t.text AS text
                          FROM documents d JOIN document_texts t ON t.document = d.seq ORDER BY d.seq""",
    "tables.jsonl": """SELECT d.id AS document, t.name, t.columns, t.rows FROM document_tables t
                       JOIN documents d ON d.seq = t.document ORDER BY d.seq, t.position""",
}


@dataclass(frozen=True)
class Imported:
    """What an import added; what was there already is not counted."""

    conversations: int
    messages: int
    documents: int


def export_all(database: Database, path: Path) -> None:
    """Write the export; `path` appears only when it is complete. Raises StoreError when it cannot be written."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with database.read() as sql, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file:
            sql.execute("BEGIN")  # one moment of the database, whatever is written meanwhile
            try:
                file.writestr("export.json", json.dumps({"program": "LocalRLM", "format": _FORMAT}))
                for name, query in _QUERIES.items():
                    with file.open(name, "w", force_zip64=True) as part:
                        for row in sql.execute(query):
                            part.write(json.dumps(dict(row)).encode("ascii") + b"\n")
            finally:
                sql.execute("ROLLBACK")
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(f"The export {path} cannot be written ({error.strerror}).") from error


def import_all(database: Database, shelf: Shelf, path: Path) -> Imported:
    """Add what is in an export and not here yet, all or nothing. Raises StoreError when the file is none."""
    try:
        with zipfile.ZipFile(path) as file:
            about = json.loads(file.read("export.json"))
            if about.get("program") != "LocalRLM" or about.get("format") != _FORMAT:
                raise StoreError(f"{path.name} was exported by another version of LocalRLM ({about}).")
            with database.write() as sql:
                conversations = _conversations(sql, file)
                messages = _messages(sql, file, conversations)
                documents = _documents(sql, shelf, file)
    except _NO_EXPORT as error:
        raise StoreError(
            f"{path.name} is no complete LocalRLM export ({error}); nothing was imported."
        ) from error
    return Imported(len(conversations), messages, documents)


def _lines(file: zipfile.ZipFile, name: str) -> Iterator[dict[str, Any]]:
    with file.open(name) as part:
        for line in io.TextIOWrapper(part, "ascii"):
            yield json.loads(line)


def _conversations(sql: sqlite3.Connection, file: zipfile.ZipFile) -> dict[str, int | None]:
    """The new ones: id → tip, still with the number of the exporting store."""
    added: dict[str, int | None] = {}
    for row in _lines(file, "conversations.jsonl"):
        done = sql.execute(
            """INSERT OR IGNORE INTO conversations(id, user, title, created_at, updated_at, pinned)
               VALUES (:id, :user, :title, :created_at, :updated_at, :pinned)""",
            row,
        )
        if done.rowcount:
            added[row["id"]] = row["tip"]
    return added


def _messages(sql: sqlite3.Connection, file: zipfile.ZipFile, conversations: dict[str, int | None]) -> int:
    numbers: dict[int, int] = {}
    for row in _lines(file, "messages.jsonl"):
        if row["conversation_id"] not in conversations:
            continue
        parent = None if row["parent"] is None else numbers[row["parent"]]
        status = "interrupted" if row["status"] == "streaming" else row["status"]
        seq = sql.execute(
            """INSERT INTO messages(id, conversation_id, parent, shown, role, text, created_at, status, metadata)
               VALUES (:id, :conversation_id, :parent, :shown, :role, :text, :created_at, :status, :metadata)""",
            {**row, "parent": parent, "status": status},
        ).lastrowid
        assert seq is not None
        numbers[row["seq"]] = seq
        index_message(sql, seq)
    for conversation, tip in conversations.items():
        if tip is not None:
            sql.execute("UPDATE conversations SET tip = ? WHERE id = ?", (numbers[tip], conversation))
    return len(numbers)


def _documents(sql: sqlite3.Connection, shelf: Shelf, file: zipfile.ZipFile) -> int:
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in _lines(file, "tables.jsonl"):
        tables.setdefault(row["document"], []).append(row)
    added = 0
    for row in _lines(file, "documents.jsonl"):
        known = sql.execute(
            "SELECT 1 FROM documents WHERE user = ? AND sha256 = ?", (row["user"], row["sha256"])
        )
        if known.fetchone() is None:
            shelf.insert(sql, row, Loaded.restore(row, tables.get(row["id"], [])))
            added += 1
    return added

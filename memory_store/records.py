"""What the store hands out. Frozen: a record is what was true when it was read.

Times are seconds since the epoch (float, UTC). Offsets count characters of `Document.text`, end exclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Cell: TypeAlias = int | float | str | None


@dataclass(frozen=True)
class Conversation:
    id: str
    title: str
    created_at: float
    updated_at: float
    pinned: bool
    user: str


@dataclass(frozen=True)
class ConversationHit:
    """A conversation whose title or one of whose messages contains what was searched for."""

    conversation: Conversation
    message_id: str | None  # None: the title matched
    snippet: str  # the matching words are between \u2068 and \u2069


@dataclass(frozen=True)
class Message:
    """One version of one message. `parent_id` None: it opens its conversation."""

    id: str
    conversation_id: str
    parent_id: str | None
    role: str
    text: str
    created_at: float
    status: str  # complete | streaming | interrupted | failed
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Recall:
    """A message found again. `score` orders the hits of one call (higher is better) and means nothing beyond it."""

    message_id: str
    conversation_id: str
    role: str
    text: str
    created_at: float
    score: float
    before: tuple[Message, ...] = ()
    after: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Section:
    """A stretch of a document that has a name a person would use: `page 12`, `Payment terms`, `sheet Orders`."""

    kind: str  # page | heading | sheet | slide | chapter | rows | lines
    label: str
    start: int
    end: int
    level: int = 1  # of a heading


@dataclass(frozen=True)
class Table:
    """Rows of an uploaded sheet, ready for SQL. `columns` are (name, SQLite type): INTEGER, REAL or TEXT."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: Sequence[tuple[Cell, ...]]
    document_id: str = ""


@dataclass(frozen=True)
class Document:
    """A file on the shelf. `text` and `tables` are read from the store each time they are asked for: keep what you use."""

    id: str
    name: str
    kind: str
    size: int  # bytes of the file
    characters: int
    created_at: float
    status: str  # searchable (by words) | embedded (by meaning too)
    tokens_estimate: int
    user: str
    sections: tuple[Section, ...]
    _read_text: Callable[[], str] = field(repr=False, compare=False)
    _read_tables: Callable[[], list[Table]] = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """The whole text. Raises NotFound when the document was deleted in the meantime."""
        return self._read_text()

    @property
    def tables(self) -> list[Table]:
        """The tables in it, typed. Empty for anything but CSV, TSV and XLSX."""
        return self._read_tables()


@dataclass(frozen=True)
class Added:
    """What became of one file of several: the document, or the sentence that says why not."""

    name: str
    document: Document | None
    error: str | None


@dataclass(frozen=True)
class Passage:
    """A stretch of a document that answers a search: `text == document.text[start:end]`."""

    document_id: str
    document_name: str
    start: int
    end: int
    text: str
    score: float
    place: str  # "page 12", "sheet Orders, row 7", "line 120"


@dataclass(frozen=True)
class StoreStatus:
    """The state of the store, in numbers and in words for the Settings tab."""

    data_dir: Path
    conversations: int
    messages: int
    documents: int
    chunks: int
    pending: int  # messages and chunks not embedded yet
    embedder: str
    index: str
    bytes_on_disk: int
    problem: str | None  # None: all is well

"""What ``context`` is: the material of a question, its documents, and the passages in it.

A :class:`Context` is one string with the places of its documents. Everything that reads it (the REPL, the passage
reader, the citations) speaks of character offsets in that string; :meth:`Context.source` turns them into a document
and offsets inside it.
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rlm_core.errors import MaterialError
from rlm_core.headings import Headings
from rlm_core.repl.passages import PassageIndex

if TYPE_CHECKING:
    from memory_store import Document, MemoryStore, Passage, Table


@dataclass(frozen=True)
class Material:
    """One text of a question's material. ``document_id`` is None for a text that is not in the store; ``place`` says in
    words where a character offset lies ("page 12")."""

    name: str
    text: str
    document_id: str | None = None
    place: Callable[[int], str] = lambda offset: ""
    tables: tuple[Table, ...] = ()


MaterialSource: TypeAlias = "str | Path | Material | Document"


@dataclass(frozen=True)
class Part:
    """Where a material lies inside ``Context.text``."""

    material: Material
    start: int
    end: int


@dataclass(frozen=True)
class Piece:
    """A stretch of the context: ``Context.text[start:end]``, never across two documents. ``heading`` is what it stands
    under in its document."""

    start: int
    end: int
    text: str
    score: float = 0.0
    heading: str = ""


@dataclass(frozen=True)
class Source:
    """A place in a document, with offsets inside its own text."""

    material: Material
    start: int
    end: int

    @property
    def place(self) -> str:
        return self.material.place(self.start)


class Context:
    """The material of one question as one string.

    A single material is its text unchanged; of several, each stands under a heading line with its name.
    """

    def __init__(self, materials: Iterable[Material]) -> None:
        parts: list[Part] = []
        texts: list[str] = []
        position = 0
        materials = list(materials)
        self.tables = tuple(table for material in materials for table in material.tables)
        for material in materials:
            if len(materials) > 1:
                heading = f"===== {material.name} =====\n"
                texts.append(heading)
                position += len(heading)
            parts.append(Part(material, position, position + len(material.text)))
            texts.append(material.text)
            position += len(material.text)
            if material is not materials[-1]:
                texts.append("\n\n")
                position += 2
        self.parts = tuple(parts)
        self.text = texts[0] if len(texts) == 1 else "".join(texts)
        self._starts = [part.start for part in parts]
        self._headings_of: dict[int, Headings] = {}

    def __len__(self) -> int:
        return len(self.text)

    @property
    def stored_ids(self) -> list[str]:
        """The ids of those documents that are in the store."""
        return [part.material.document_id for part in self.parts if part.material.document_id is not None]

    def source(self, start: int, end: int) -> Source | None:
        """The document behind a stretch of the context; None when it begins outside all of them."""
        number = bisect_right(self._starts, start) - 1
        if number < 0 or start >= self.parts[number].end:
            return None
        part = self.parts[number]
        return Source(part.material, start - part.start, min(end, part.end) - part.start)

    def pieces(self, size: int) -> list[Piece]:
        """The whole context in order, cut at ends of lines where possible, into pieces of at most ``size`` characters."""
        pieces: list[Piece] = []
        for part in self.parts:
            start = part.start
            while start < part.end:
                end = min(start + size, part.end)
                if end < part.end:
                    end = self.cut(start, end)
                if self.text[start:end].strip():
                    pieces.append(self.piece(start, end))
                start = end
        return pieces

    def piece(self, start: int, end: int, score: float = 0.0) -> Piece:
        """The stretch between two offsets, with the headings that it stands under."""
        number = bisect_right(self._starts, start) - 1
        heading = ""
        if number >= 0 and start < self.parts[number].end:
            heading = " / ".join(self._headings(number).above(start - self.parts[number].start))
        return Piece(start, end, self.text[start:end], score, heading)

    def search(self, query: str, k: int) -> list[Piece]:
        """The ``k`` passages that fit ``query`` best by keywords, best first. A passage at the border of two documents
        gives a piece of each, first that with more of the words."""
        words = set(re.findall(r"\w+", query.lower()))
        found: list[Piece] = []
        for hit in self._index.search(query, k):
            pieces = [
                self.piece(max(hit.start, part.start), min(hit.end, part.end), hit.score)
                for part in self._parts_within(hit.start, hit.end)
            ]
            pieces.sort(key=lambda piece: -sum(word in piece.text.lower() for word in words))
            found += [piece for piece in pieces if piece.text.strip()]
        return found

    def at(self, document_id: str, start: int, end: int, score: float = 0.0) -> Piece | None:
        """The piece for offsets inside a stored document; None when that document is not part of the context."""
        for part in self.parts:
            if part.material.document_id == document_id:
                return self.piece(part.start + start, part.start + end, score)
        return None

    def _parts_within(self, start: int, end: int) -> Sequence[Part]:
        """The documents that a stretch of the context touches: it may begin in a heading and end in the next document."""
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_left(self._starts, end)
        return [part for part in self.parts[first:last] if part.end > start]

    @cached_property
    def _index(self) -> PassageIndex:
        return PassageIndex(self.text)

    def _headings(self, number: int) -> Headings:
        if number not in self._headings_of:
            material = self.parts[number].material
            self._headings_of[number] = Headings(material.text, header_row=len(material.tables) == 1)
        return self._headings_of[number]

    def cut(self, start: int, end: int) -> int:
        """The end of a paragraph, else of a line, else of a sentence, else of a word, in the second half of a piece."""
        half = start + (end - start) // 2
        for mark in ("\n\n", "\n", ". ", " "):
            cut = self.text.rfind(mark, half, end)
            if cut >= 0:
                return cut + len(mark)
        return end


async def search_both(context: Context, query: str, k: int, store: MemoryStore | None) -> list[Piece]:
    """The best passages by words and by meaning: the store's fused search where the documents are stored, keywords elsewhere."""
    ids = context.stored_ids
    if store is None or not ids or len(ids) < len(context.parts):
        return await asyncio.to_thread(context.search, query, k)
    hits = await asyncio.to_thread(_search_stored, store, query, k, ids)
    found = (context.at(hit.document_id, hit.start, hit.end, hit.score) for hit in hits)
    return [piece for piece in found if piece is not None]


def _search_stored(store: MemoryStore, query: str, k: int, ids: list[str]) -> list[Passage]:
    """The documents of one question belong to one user; the store searches nobody else's."""
    document = store.document(ids[0])
    return store.search_documents(query, k, ids, user=document.user) if document else []


def resolve(
    sources: Sequence[MaterialSource],
    store: Callable[[], MemoryStore],
    *,
    user: str = "local",
    files_by_name: bool = False,
) -> list[Material]:
    """The materials behind document ids, paths, stored documents and materials. ``store`` opens the store when needed.

    A string is the id of a document of this user; with ``files_by_name`` (never for what comes over a network) it may
    also be a file's path. Raises :class:`MaterialError` for what leads nowhere, or a file that cannot be read.
    """
    return [_resolve(source, store, user, files_by_name) for source in sources]


def _resolve(
    source: MaterialSource, store: Callable[[], MemoryStore], user: str, files_by_name: bool
) -> Material:
    if isinstance(source, Material):
        return source
    if isinstance(source, Path):
        return read_file(source)
    if isinstance(source, str):
        if files_by_name and Path(source).is_file():
            return read_file(Path(source))
        document = store().document(source)
        if document is None or document.user != user:
            raise MaterialError(f"There is no document '{source}'. It may have been deleted.")
    else:
        document = source
    return Material(
        document.name,
        document.text,
        document.id,
        lambda offset: store().place(document.id, offset),
        tuple(document.tables),
    )


def read_file(path: Path) -> Material:
    """A file as material, without storing it. Raises :class:`MaterialError` with the reason it cannot be read."""
    from memory_store import DocumentError
    from memory_store.loaders.host import load_file
    from memory_store.places import place_of

    try:
        loaded = load_file(path.name, path)
    except DocumentError as error:
        raise MaterialError(str(error)) from error
    except OSError as error:
        raise MaterialError(f"'{path}' cannot be read: {error.strerror or error}.") from error

    def place(offset: int) -> str:
        return place_of(loaded.sections, offset, lambda at: loaded.text.count("\n", 0, at))

    return Material(path.name, loaded.text, place=place, tables=tuple(loaded.tables))

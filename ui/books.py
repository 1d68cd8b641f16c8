"""A user's documents as the page shows them, and where they are used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from memory_store.records import Document
from rlm_core.engine import RLMEngine
from ui.marks import Marks
from ui.tab import NotYours

UPLOADS = "uploads"
"""Where files lie, in the data folder, between the browser and the store."""
Progress = Callable[[str, float], None]
"""Told what is being done, and the share of 1 that is done."""


class Books:
    """The documents of one engine."""

    def __init__(self, engine: RLMEngine) -> None:
        self.engine = engine
        self.uploads = Path(engine.data_dir).resolve() / UPLOADS
        self.marks = Marks(Path(engine.data_dir) / "page.json")

    def all(self, user: str) -> list[Document]:
        """Newest first."""
        return list(self.engine.store.documents(user=user))

    def get(self, document_id: str, user: str) -> Document:
        """Raises :class:`NotYours`."""
        known = self.engine.store.document(document_id)
        if known is None or known.user != user:
            raise NotYours("This document is no longer there.")
        return known

    def those(self, ids: Sequence[str], user: str) -> list[Document]:
        """Those of the ids that are still there and this user's."""
        found = (self.engine.store.document(item) for item in ids)
        return [item for item in found if item is not None and item.user == user]

    def everywhere(self, user: str) -> tuple[str, ...]:
        """The ids of the documents that each chat of this user begins with."""
        return tuple(item.id for item in self.those(self.marks.everywhere(user), user))

    def add(self, path: Path, user: str, progress: Progress | None = None) -> tuple[Document, bool]:
        """Store a file; the second value says whether it is new. Raises StoreError with a sentence."""
        before = {item.id for item in self.engine.store.documents(user=user)}
        document = self.engine.store.add_document(path.name, path, user=user, progress=progress)
        return document, document.id not in before

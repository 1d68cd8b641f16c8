"""What goes on at the Upload tab: files come in, are looked into, searched, used in a chat, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory_store.records import Document
from rlm_core.engine import RLMEngine
from ui.documents_view import Upload, found, inside, shelf, uploads
from ui.tab import PROBLEMS, NotYours, Tab

FRAME = 0.1
SHOWN = 12


class Library:
    """The documents of one engine, for the page."""

    def __init__(self, engine: RLMEngine) -> None:
        self.engine = engine

    def document(self, document_id: str, tab: Tab) -> Document:
        """Raises :class:`NotYours`."""
        known = self.engine.store.document(document_id)
        if known is None or known.user != tab.user:
            raise NotYours("This document is no longer there.")
        return known

    def shelf(self, tab: Tab) -> str:
        return shelf(self.engine.store.documents(user=tab.user), tab.documents)

    async def take_in(self, tab: Tab, files: Sequence[Path]) -> AsyncIterator[tuple[str, list[Document]]]:
        """Store the files one after the other; yields the lines of all of them, and what is stored so far.

        A file that cannot be used gets its sentence on its own line; the others go on.
        """
        items = [Upload(path.name) for path in files]
        stored: list[Document] = []
        yield uploads(items), stored
        for index, path in enumerate(files):
            progress: list[tuple[str, float]] = [("reading", 0.0)]
            work = asyncio.create_task(asyncio.to_thread(self._store, path, tab.user, progress))
            while not work.done():
                stage, share = progress[-1]
                items[index] = replace(items[index], stage=stage, fraction=share)
                yield uploads(items), stored
                await asyncio.wait({work}, timeout=FRAME)
            try:
                document = work.result()
            except PROBLEMS as error:
                items[index] = replace(items[index], error=str(error))
            else:
                items[index] = replace(items[index], document=document)
                stored.append(document)
            yield uploads(items), stored

    def _store(self, path: Path, user: str, progress: list[tuple[str, float]]) -> Document:
        def note(stage: str, share: float) -> None:
            progress.append((stage, share))

        return self.engine.store.add_document(path.name, path, user=user, progress=note)

    def act(self, tab: Tab, message: dict[str, Any]) -> tuple[Tab, str | None]:
        """What a button says. Returns the tab and what is shown of a document's inside (None: as it was).

        Raises one of :data:`ui.tab.PROBLEMS`.
        """
        action, item = str(message.get("action", "")), str(message.get("id", ""))
        if action == "close":
            return tab, ""
        if action == "delete":
            self.engine.store.delete_document(self.document(item, tab).id)
            return replace(tab, documents=tuple(known for known in tab.documents if known != item)), ""
        document = self.document(item, tab)
        if action == "use":
            tab = replace(tab, documents=(*tab.documents, document.id))
        elif action == "unuse":
            tab = replace(tab, documents=tuple(known for known in tab.documents if known != document.id))
        elif action == "inspect":
            return tab, self.look_inside(tab, document.id)
        return tab, None

    def look_inside(self, tab: Tab, document_id: str) -> str:
        document = self.document(document_id, tab)
        return inside(document, document.text, document.id in tab.documents)

    def search(self, tab: Tab, query: str) -> str:
        """Passages in all documents of the user; empty when nothing is searched for."""
        if not query.strip():
            return ""
        return found(self.engine.store.search_documents(query, SHOWN, user=tab.user), query)

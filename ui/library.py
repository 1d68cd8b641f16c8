"""What goes on at the Upload tab: files come in, are looked into, searched, used in a chat, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory_store.records import Document
from ui.books import Books
from ui.documents_view import Upload, found, inside, shelf, uploads
from ui.incognito import Incognito
from ui.tab import PROBLEMS, Tab

FRAME = 0.1
SHOWN = 12


class Library:
    """The documents of one engine, for the page."""

    def __init__(self, books: Books, incognito: Incognito) -> None:
        self.books = books
        self.incognito = incognito

    def shelf(self, tab: Tab) -> str:
        marks = self.books.marks
        return shelf(self.books.all(tab.user), tab.documents, marks.everywhere(tab.user), marks.passing)

    async def take_in(self, tab: Tab, files: Sequence[Path]) -> AsyncIterator[tuple[str, list[Document]]]:
        """Store the files one after the other; yields the lines of all of them, and what is stored so far.

        A file that cannot be used gets its sentence on its own line; the others go on.
        """
        items = [Upload(path.name) for path in files]
        stored: list[Document] = []
        yield uploads(items), stored
        for index, path in enumerate(files):
            progress: list[tuple[str, float]] = [("reading", 0.0)]
            work = asyncio.create_task(asyncio.to_thread(self._store, path, tab, progress))
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

    def _store(self, path: Path, tab: Tab, progress: list[tuple[str, float]]) -> Document:
        document, new = self.books.add(path, tab.user, lambda stage, share: progress.append((stage, share)))
        self.incognito.took(tab, path, document.id, new=new)
        return document

    def act(self, tab: Tab, message: dict[str, Any]) -> tuple[Tab, str | None]:
        """What a button says. Returns the tab and what is shown of a document's inside (None: as it was).

        Raises one of :data:`ui.tab.PROBLEMS`.
        """
        action, item = str(message.get("action", "")), str(message.get("id", ""))
        if action == "close":
            return tab, ""
        if action == "delete":
            self.books.engine.store.delete_document(self.books.get(item, tab.user).id)
            return replace(tab, documents=tuple(known for known in tab.documents if known != item)), ""
        document = self.books.get(item, tab.user)
        if action == "use":
            tab = replace(tab, documents=tuple(dict.fromkeys((*tab.documents, document.id))))
        elif action == "unuse":
            tab = replace(tab, documents=tuple(known for known in tab.documents if known != document.id))
        elif action == "everywhere":
            self.incognito.keep(document.id)
            self.books.marks.use_everywhere(document.id, tab.user, True)
            tab = replace(tab, documents=tuple(dict.fromkeys((*tab.documents, document.id))))
        elif action == "noteverywhere":
            self.books.marks.use_everywhere(document.id, tab.user, False)
        elif action == "inspect":
            return tab, self.look_inside(tab, document.id)
        return tab, None

    def look_inside(self, tab: Tab, document_id: str) -> str:
        document = self.books.get(document_id, tab.user)
        return inside(document, document.text, document.id in tab.documents)

    def search(self, tab: Tab, query: str) -> str:
        """Passages in all documents of the user; empty when nothing is searched for."""
        if not query.strip():
            return ""
        return found(self.books.engine.store.search_documents(query, SHOWN, user=tab.user), query)

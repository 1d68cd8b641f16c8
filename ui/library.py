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
from ui.places import Places
from ui.tab import PROBLEMS, Tab

FRAME = 0.1
SHOWN = 12


class Library:
    """The documents of one engine, for the page."""

    def __init__(self, books: Books, incognito: Incognito, places: Places) -> None:
        self.books = books
        self.incognito = incognito
        self.places = places

    def shelf(self, tab: Tab) -> str:
        marks = self.books.marks
        return shelf(self.books.all(tab.user), tab.documents, marks.everywhere(tab.user), marks.passing)

    async def take_in(self, tab: Tab, files: Sequence[Path]) -> AsyncIterator[str]:
        """Store the files one after the other, for use in this chat; yields the lines of all of them.

        A file that cannot be used gets its sentence on its own line; the others go on.
        """
        items = [Upload(path.name) for path in files]
        yield uploads(items)
        for index, path in enumerate(files):
            progress: list[tuple[str, float]] = [("reading", 0.0)]
            work = asyncio.create_task(asyncio.to_thread(self._store, path, tab, progress))
            while not work.done():
                stage, share = progress[-1]
                items[index] = replace(items[index], stage=stage, fraction=share)
                yield uploads(items)
                await asyncio.wait({work}, timeout=FRAME)
            try:
                document = work.result()
            except PROBLEMS as error:
                items[index] = replace(items[index], error=str(error))
            else:
                items[index] = replace(items[index], document=document)
                self.places.attach(tab, document.id, path.name)
            yield uploads(items)

    def _store(self, path: Path, tab: Tab, progress: list[tuple[str, float]]) -> Document:
        document, new = self.books.add(path, tab.user, lambda stage, share: progress.append((stage, share)))
        self.incognito.took(tab, path, document.id, new=new)
        return document

    async def act(self, tab: Tab, message: dict[str, Any]) -> tuple[Tab, str | None]:
        """What a button says. Returns the tab and what is shown of a document's inside (None: as it was).

        Raises one of :data:`ui.tab.PROBLEMS`.
        """
        action, item = str(message.get("action", "")), str(message.get("id", ""))
        if action == "close":
            return tab, ""
        if action == "delete":
            known = self.books.get(item, tab.user)
            await asyncio.to_thread(self.books.engine.store.delete_document, known.id)
            return self.places.detach(tab, item), ""
        document = self.books.get(item, tab.user)
        if action == "use":
            tab = self.places.attach(tab, document.id)
        elif action == "unuse":
            tab = self.places.detach(tab, document.id)
        elif action == "everywhere":
            self.incognito.keep(document.id)
            self.books.marks.use_everywhere(document.id, tab.user, True)
            tab = self.places.attach(tab, document.id)
        elif action == "noteverywhere":
            self.books.marks.use_everywhere(document.id, tab.user, False)
        if action != "inspect" and "number" not in message:
            return tab, None
        start, end = _offset(message.get("number")), _offset(message.get("to"))
        text = await asyncio.to_thread(lambda: document.text)
        return tab, inside(document, text, document.id in tab.documents, start, end)

    def search(self, tab: Tab, query: str) -> str:
        """Passages in all documents of the user; empty when nothing is searched for."""
        if not query.strip():
            return ""
        return found(self.books.engine.store.search_documents(query, SHOWN, user=tab.user), query)


def _offset(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0

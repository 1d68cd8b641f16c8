"""Conversations that are kept nowhere but in their tab: what was said, and the documents that were added to them."""

from __future__ import annotations

import logging
from pathlib import Path

from memory_store.errors import NotFound, StoreError
from rlm_core.jobs import Job
from ui.books import Books
from ui.tab import Tab

log = logging.getLogger(__name__)


class Incognito:
    """What goes when a tab leaves its incognito conversation. What a crash left behind goes at the next start."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._said: dict[str, list[Job]] = {}
        self._documents: dict[str, list[str]] = {}
        self._files: dict[str, list[Path]] = {}
        self._over: list[tuple[frozenset[str], list[Path]]] = []
        self._erase(books.marks.passing)

    def said(self, session: str) -> list[Job]:
        """The questions and answers of this tab's conversation."""
        return self._said.setdefault(session, [])

    def took(self, tab: Tab, path: Path, document_id: str, *, new: bool) -> None:
        """A file was added in this tab: in an incognito conversation it goes again, elsewhere it stays."""
        if not tab.incognito:
            self.keep(document_id)
        elif new:
            self._books.marks.passes(document_id)
            self._documents.setdefault(tab.session, []).append(document_id)
            if self._books.uploads in path.resolve().parents:
                self._files.setdefault(tab.session, []).append(path)

    def keep(self, document_id: str) -> None:
        """The person wants to have this document after all."""
        self._books.marks.stays([document_id])

    def stop(self, session: str) -> None:
        """The conversation is over: nobody will see its answers. What it leaves behind goes with :meth:`erase`."""
        for job in self._said.pop(session, []):
            job.cancel()
        left = frozenset(self._documents.pop(session, ())), self._files.pop(session, [])
        if any(left):
            self._over.append(left)

    def erase(self) -> None:
        """Delete the documents of the conversations that are over."""
        while self._over:
            documents, files = self._over.pop()
            for file in files:
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    log.warning("A file of an incognito conversation could not be deleted: %s", error)
            self._erase(documents & self._books.marks.passing)

    def close(self) -> None:
        """The app ends, and all these conversations with it."""
        for session in {*self._said, *self._documents, *self._files}:
            self.stop(session)
        self.erase()

    def _erase(self, document_ids: frozenset[str]) -> None:
        for item in document_ids:
            try:
                self._books.engine.store.delete_document(item)
            except NotFound:
                pass
            except StoreError as error:
                log.warning("A document of an incognito conversation could not be deleted: %s", error)
                continue
            self._books.marks.stays([item])

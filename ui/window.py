"""What a browser tab can see: conversations, messages, documents, the whole picture of a conversation as it is saved.

Everything here only reads. What a person does is in :mod:`ui.desk`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from memory_store.records import Conversation, Document, Message
from rlm_core.engine import RLMEngine
from rlm_core.jobs import Job, Jobs
from rlm_core.tokens import base_estimate
from ui.answer_text import citations_of
from ui.bin import Bin
from ui.books import Books
from ui.chat_view import AT_ONCE, AnswerState, ChatMessage, Row, conversation, part
from ui.documents_view import attached
from ui.growing import without_store
from ui.incognito import Incognito
from ui.meter import Load, meter
from ui.passage_view import passage_panel
from ui.sidebar import conversation_list, search_results
from ui.steps import steps_html
from ui.tab import NotYours, Tab, View

log = logging.getLogger(__name__)

KEPT_STEPS = 300


class Window:
    """One engine, looked at from the page."""

    def __init__(self, engine: RLMEngine, jobs: Jobs) -> None:
        self.engine = engine
        self.jobs = jobs
        self.books = Books(engine)
        self.bin = Bin(engine)
        self.incognito = Incognito(self.books)
        self._steps: OrderedDict[str, str] = OrderedDict()

    def conversations(self, user: str) -> list[Conversation]:
        """Without those that were just deleted and can still be brought back."""
        return [item for item in self.engine.store.conversations(user=user) if item.id not in self.bin]

    def conversation(self, conversation_id: str, user: str) -> Conversation:
        """Raises :class:`NotYours`."""
        found = self.engine.store.conversation(conversation_id)
        if found is None or found.user != user or found.id in self.bin:
            raise NotYours("This conversation is no longer there.")
        return found

    def message(self, message_id: str, user: str) -> Message:
        """Raises :class:`NotYours`."""
        found = self.engine.store.message(message_id)
        if found is None:
            raise NotYours("This message is no longer there.")
        self.conversation(found.conversation_id, user)
        return found

    def text(self, message_id: str, user: str) -> str:
        """The words of a message, also of one that is not stored. Raises :class:`NotYours`."""
        job = self.jobs.get(message_id)
        if job is not None and job.user == user:
            return AnswerState.live(message_id, job.events).text
        return self.message(message_id, user).text

    def documents(self, ids: Sequence[str], user: str) -> list[Document]:
        """Those of the ids that are still there and this user's."""
        return self.books.those(ids, user)

    def sidebar(self, tab: Tab) -> str:
        running = {job.conversation_id for job in self.jobs.active if job.conversation_id is not None}
        return conversation_list(self.conversations(tab.user), tab.conversation_id, running=running)

    def load(self, tab: Tab) -> Load:
        """What the next message will carry."""
        settings = self.engine.settings
        documents = sum(item.tokens_estimate for item in self.documents(tab.documents, tab.user))
        history = 0
        if tab.conversation_id is not None and settings.memory.working_messages:
            recent = self.engine.store.messages(tab.conversation_id)[-settings.memory.working_messages :]
            history = sum(base_estimate(message.text) for message in recent)
        return Load(documents, history, settings.num_ctx)

    def around_the_box(self, tab: Tab) -> View:
        """The parts that depend on the documents and the mode of the next question."""
        return View(
            tab,
            attached=attached(self.documents(tab.documents, tab.user), tab.added_as, incognito=tab.incognito),
            meter=meter(self.load(tab), tab.mode, recursive_on=self.engine.settings.recursive),
        )

    def picture(self, tab: Tab) -> View:
        """Everything, as it is saved."""
        around = self.around_the_box(tab)
        return replace(
            around,
            messages=self._messages(tab),
            sidebar=self.sidebar(tab),
            phase="",
            running=False,
            editing="",
        )

    def search(self, text: str, tab: Tab) -> str:
        """The sidebar while something is searched for; the list of conversations when nothing is."""
        if not (text or "").strip():
            return self.sidebar(tab)
        hits = self.engine.store.search_conversations(text, user=tab.user)
        return search_results([hit for hit in hits if hit.conversation.id not in self.bin], text.strip())

    def passage(self, tab: Tab, message: dict[str, Any]) -> str:
        """The source of a citation of a saved or growing answer."""
        answer_id, number = str(message.get("id", "")), message.get("number")
        job = self.jobs.get(answer_id)
        if job is not None and job.user == tab.user:
            citations = AnswerState.live(answer_id, job.events).citations
        else:
            citations = citations_of(self.message(answer_id, tab.user).metadata)
        citation = next((item for item in citations if item.number == number), None)
        if citation is None:
            raise NotYours("This source is no longer there.")
        known = self.documents([citation.document_id], tab.user) if citation.document_id else []
        return passage_panel(citation, known[0].text if known else None)

    # how

    def _running(self, tab: Tab) -> Job | None:
        """The answer in the making that the tab shows."""
        if tab.incognito:
            return next((job for job in self.incognito.said(tab.session) if not job.done), None)
        return self.jobs.running(tab.conversation_id) if tab.conversation_id else None

    def _far_back(self, tab: Tab) -> bool:
        """Whether the newest messages are not on the page, because somebody looks at much earlier ones."""
        return tab.limit > AT_ONCE

    def _messages(self, tab: Tab, growing: str | None = None) -> list[ChatMessage]:
        """The conversation as it is; the answer ``growing`` is left out."""
        if tab.incognito:
            said = self.incognito.said(tab.session)
            return [part for job in said for part in without_store(job, grows=job.message_id == growing)]
        return conversation(self._rows(tab), self._saved_steps, limit=tab.limit, growing=growing)

    def _rows(self, tab: Tab) -> list[Row]:
        if tab.conversation_id is None:
            return []
        path = self.engine.store.messages(tab.conversation_id)
        shown = part(len(path), tab.limit)
        return [self._row(message, tab, index in shown) for index, message in enumerate(path)]

    def _row(self, message: Message, tab: Tab, complete: bool) -> Row:
        if not complete:
            return Row(message)
        versions = tuple(item.id for item in self.engine.store.siblings(message.id))
        names = tuple(item.name for item in self.documents(self._documents_of(message), tab.user))
        unsaved = self._unsaved(message)
        return Row(message, versions.index(message.id) + 1, versions, names, unsaved)

    def _unsaved(self, message: Message) -> AnswerState | None:
        """A whole answer that the store could not take: the disk is full, say."""
        job = self.jobs.get(message.id) if message.status == "streaming" else None
        return AnswerState.live(job.message_id, job.events) if job is not None and job.done else None

    def _documents_of(self, message: Message) -> list[str]:
        ids: Any = message.metadata.get("documents") or []
        return [str(item) for item in ids]

    def _last_documents(self, conversation_id: str) -> tuple[str, ...]:
        for message in reversed(self.engine.store.messages(conversation_id)):
            if message.role == "user":
                return tuple(self._documents_of(message))
        return ()

    def _saved_steps(self, message_id: str) -> str:
        known = self._steps.get(message_id)
        if known is None:
            try:
                known = steps_html(self.engine.trace(message_id), message_id, live=False)
            except FileNotFoundError:
                known = ""
            except ValueError as error:
                log.warning("The trace of %s cannot be read: %s", message_id, error)
                known = ""
            self._steps[message_id] = known
            if len(self._steps) > KEPT_STEPS:
                self._steps.popitem(last=False)
        return known

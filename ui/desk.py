"""One page and what goes on at it: opening a conversation, asking, following an answer, stopping it.

A view is a browser tab. It only follows: questions and answers live in the store, answers in the making in
:class:`rlm_core.jobs.Jobs`. So a reload, a second tab and a restart all see the same thing. Nothing here knows Gradio.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory_store import ROOT
from memory_store.records import Conversation, Document, Message
from rlm_core.engine import RLMEngine
from rlm_core.jobs import ConversationBusy, Job, Jobs
from rlm_core.paths import PROJECT
from rlm_core.run import new_id
from rlm_core.settings import Mode, StrategyName
from rlm_core.tokens import base_estimate
from ui.answer_text import citations_of
from ui.chat_view import NEWEST, AnswerState, ChatMessage, Row, conversation
from ui.documents_view import attached
from ui.growing import first_frame, frames, history_of, phase_line, without_store
from ui.html import block, do
from ui.meter import MODES, Load, meter
from ui.passage_view import passage_panel
from ui.sidebar import conversation_list, search_results, undo_bar
from ui.steps import steps_html
from ui.tab import PROBLEMS, NotYours, Tab, View
from ui.welcome import sample_question

log = logging.getLogger(__name__)

UNDO_SECONDS = 8.0
SAMPLES = PROJECT / "sample_docs"
KEPT_STEPS = 300


class Desk:
    """The page's side of one engine."""

    def __init__(self, engine: RLMEngine, jobs: Jobs) -> None:
        self.engine = engine
        self.jobs = jobs
        self._claims: dict[str, object] = {}
        self._steps: OrderedDict[str, str] = OrderedDict()
        self._bin: dict[str, asyncio.Task[None]] = {}
        self._tabs: dict[str, Tab] = {}
        self._unstored: dict[str, list[Job]] = {}

    # what is there

    def conversations(self, user: str) -> list[Conversation]:
        """Without those that were just deleted and can still be brought back."""
        return [item for item in self.engine.store.conversations(user=user) if item.id not in self._bin]

    def conversation(self, conversation_id: str, user: str) -> Conversation:
        """Raises :class:`NotYours`."""
        found = self.engine.store.conversation(conversation_id)
        if found is None or found.user != user or found.id in self._bin:
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
        found = (self.engine.store.document(item) for item in ids)
        return [item for item in found if item is not None and item.user == user]

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
            attached=attached(self.documents(tab.documents, tab.user), incognito=tab.incognito),
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

    # what a person does

    async def act(self, tab: Tab, message: dict[str, Any]) -> AsyncIterator[View]:
        """What a button of the page says (see ``page.js``): its action, the id of what it is about, maybe a value.

        Raises one of :data:`PROBLEMS`.
        """
        action, item = str(message.get("action", "")), str(message.get("id", ""))
        match action:
            case "open":
                views = self.open(tab, item)
            case "retry":
                views = self.retry(tab, item)
            case "version":
                views = self.version(tab, item)
            case "fork":
                views = self.fork(tab, item)
            case "earlier":
                views = self._turn_to(replace(tab, limit=tab.limit + 4 * NEWEST))
            case "sample":
                views = self.ask_sample(tab, item)
            case "delete":
                views = self.delete(tab, item)
            case "undo":
                views = self.undo(tab, item)
            case "incognito":
                views = self._turn_to(
                    replace(tab, conversation_id=None, documents=(), editing=None, incognito=True)
                )
            case _:
                yield self._at_once(tab, action, item, str(message.get("value", "")))
                return
        async for view in views:
            yield view

    def _at_once(self, tab: Tab, action: str, item: str, value: str) -> View:
        """The actions that change something small and leave the conversation on the page as it is."""
        match action:
            case "edit":
                return self.edit(tab, item)
            case "unedit":
                return View(replace(tab, editing=None), box="", editing="")
            case "rename":
                return self.rename(tab, item, value)
            case "pin":
                return self.pin(tab, item)
            case "attach":
                return self.around_the_box(self.attach(tab, item))
            case "detach":
                return self.around_the_box(self.detach(tab, item))
            case "mode" if item in MODES:
                return self.around_the_box(replace(tab, mode=item))
        raise NotYours("This page is older than the app. Reload it.")

    async def open(self, tab: Tab, conversation_id: str | None) -> AsyncIterator[View]:
        """Show a conversation (None: a new one), and follow its answer if one is being made."""
        self._unstored.pop(tab.session, None)
        tab = replace(
            tab, conversation_id=conversation_id, documents=(), editing=None, limit=NEWEST, incognito=False
        )
        problem = None
        if conversation_id is not None:
            try:
                self.conversation(conversation_id, tab.user)
            except NotYours as error:
                tab, problem = replace(tab, conversation_id=None), str(error)
            else:
                tab = replace(tab, documents=self._last_documents(conversation_id))
        self._claim(tab)
        async for view in self._show(tab):
            yield replace(view, problem=problem)
            problem = None

    async def take(self, tab: Tab, files: Sequence[Path]) -> AsyncIterator[View]:
        """Store the files that were put into the message box, as soon as they are there."""
        problems: list[str] = []
        for path in files:
            if str(path) in tab.taken:
                continue
            yield View(tab, phase=phase_line(f"reading {path.name}", time.time()))
            tab = replace(tab, taken=(*tab.taken, str(path)))
            try:
                document = await asyncio.to_thread(
                    self.engine.store.add_document, path.name, path, user=tab.user
                )
            except PROBLEMS as error:
                problems.append(str(error))
            else:
                tab = replace(tab, documents=(*(d for d in tab.documents if d != document.id), document.id))
        yield replace(self.around_the_box(tab), phase="", problem="\n".join(problems) or None)

    async def ask(self, tab: Tab, text: str, files: Sequence[Path] = ()) -> AsyncIterator[View]:
        """Store the files, ask the question, follow the answer."""
        question = text.strip()
        claim = self._claim(tab)
        yield View(tab, box="", phase=phase_line("starting", time.time()))
        async for view in self.take(tab, files):
            tab = view.tab
            if view.problem:
                yield replace(view, box=question, running=False)
                return
        if not question:
            yield View(tab, phase="", problem="Write a question first.")
            return
        tab = replace(tab, taken=())
        try:
            job = await self._start(tab, question)
        except PROBLEMS as error:
            yield View(tab, phase="", box=question, problem=str(error))
            return
        tab = replace(tab, conversation_id=job.conversation_id, editing=None)
        self._name(job, question)
        async for view in self._show(tab, claim):
            yield view

    async def retry(self, tab: Tab, answer_id: str) -> AsyncIterator[View]:
        """Another answer to the same question."""
        claim = self._claim(tab)
        message = self.message(answer_id, tab.user)
        if message.parent_id is None:
            raise NotYours("The question of this answer is no longer there.")
        question = self.message(message.parent_id, tab.user)
        mode, strategy = _way(tab.mode)
        try:
            await self.jobs.start(
                question.text,
                conversation_id=message.conversation_id,
                documents=[item.id for item in self.documents(self._documents_of(question), tab.user)],
                question_id=question.id,
                mode=mode,
                strategy=strategy,
                user=tab.user,
            )
        except PROBLEMS as error:
            yield View(tab, problem=str(error))
            return
        async for view in self._show(replace(tab, conversation_id=message.conversation_id), claim):
            yield view

    def stop(self, tab: Tab) -> None:
        """Stop the answer of the tab's conversation. What it has so far stays."""
        job = self._running(tab)
        if job is not None and job.user == tab.user:
            job.cancel()

    def edit(self, tab: Tab, message_id: str) -> View:
        """Put a question back into the box; the next send makes it another version of it."""
        message = self.message(message_id, tab.user)
        tab = replace(tab, editing=message.id, documents=tuple(self._documents_of(message)))
        cancel = do("chat", "unedit", "x", "Cancel", style="linklike")
        note = block(
            f'<div class="editing">Editing your question; sending it makes another version. {cancel}</div>'
        )
        return replace(self.around_the_box(tab), box=message.text, editing=note)

    async def version(self, tab: Tab, message_id: str) -> AsyncIterator[View]:
        """Turn to another version of a question or an answer."""
        message = self.message(message_id, tab.user)
        self.engine.store.select_version(message.id)
        async for view in self._turn_to(replace(tab, conversation_id=message.conversation_id)):
            yield view

    async def fork(self, tab: Tab, message_id: str) -> AsyncIterator[View]:
        """Continue from this message in a conversation of its own."""
        message = self.message(message_id, tab.user)
        new = self.engine.store.fork_conversation(message.id)
        self.engine.store.rename_conversation(new.id, f"{new.title or 'Conversation'} (fork)")
        async for view in self.open(tab, new.id):
            yield view

    async def ask_sample(self, tab: Tab, key: str) -> AsyncIterator[View]:
        """Ask one of the sample questions about its document."""
        chosen = sample_question(key)
        if chosen is None:
            raise NotYours("There is no such sample.")
        file, question = chosen
        async for view in self.ask(
            replace(tab, conversation_id=None, documents=()), question, [SAMPLES / file]
        ):
            yield view

    def rename(self, tab: Tab, conversation_id: str, title: str) -> View:
        self.conversation(conversation_id, tab.user)
        if title.strip():
            self.engine.store.rename_conversation(conversation_id, title.strip()[:120])
        return View(tab, sidebar=self.sidebar(tab))

    def pin(self, tab: Tab, conversation_id: str) -> View:
        known = self.conversation(conversation_id, tab.user)
        self.engine.store.pin_conversation(conversation_id, not known.pinned)
        return View(tab, sidebar=self.sidebar(tab))

    async def delete(self, tab: Tab, conversation_id: str) -> AsyncIterator[View]:
        """Take a conversation off the list; it is erased some seconds later unless :meth:`undo` comes first."""
        known = self.conversation(conversation_id, tab.user)
        job = self.jobs.running(conversation_id)
        if job is not None:
            job.cancel()
        self._bin[conversation_id] = asyncio.create_task(self._erase_later(conversation_id))
        if tab.conversation_id == conversation_id:
            async for view in self.open(tab, None):
                yield replace(view, toast=undo_bar(known))
        else:
            yield View(tab, sidebar=self.sidebar(tab), toast=undo_bar(known))

    async def undo(self, tab: Tab, conversation_id: str) -> AsyncIterator[View]:
        """Bring back what :meth:`delete` took away."""
        task = self._bin.get(conversation_id)
        known = self.engine.store.conversation(conversation_id)
        if task is None or known is None or known.user != tab.user:
            raise NotYours("It is too late: the conversation is erased.")
        task.cancel()
        del self._bin[conversation_id]
        async for view in self.open(tab, conversation_id):
            yield replace(view, toast="")

    def attach(self, tab: Tab, document_id: str) -> Tab:
        """The same tab with one more document for its next question."""
        if not self.documents([document_id], tab.user):
            raise NotYours("This document is no longer there.")
        return replace(tab, documents=(*(d for d in tab.documents if d != document_id), document_id))

    def detach(self, tab: Tab, document_id: str) -> Tab:
        return replace(tab, documents=tuple(item for item in tab.documents if item != document_id))

    def note(self, tab: Tab) -> None:
        """Remember how a tab stands now, for whoever is still following an answer in it."""
        self._tabs[tab.session] = tab

    def leave(self, session: str) -> None:
        """The tab was closed. Its answer goes on, unless it is kept nowhere but here."""
        self._claims.pop(session, None)
        self._tabs.pop(session, None)
        for job in self._unstored.pop(session, []):
            job.cancel()

    async def close(self) -> None:
        """Erase what was deleted and not brought back."""
        for conversation_id, task in list(self._bin.items()):
            task.cancel()
            await self.engine.forget_conversation(conversation_id)

    def search(self, text: str, tab: Tab) -> str:
        """The sidebar while something is searched for; the list of conversations when nothing is."""
        if not (text or "").strip():
            return self.sidebar(tab)
        hits = self.engine.store.search_conversations(text, user=tab.user)
        return search_results([hit for hit in hits if hit.conversation.id not in self._bin], text.strip())

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

    async def _turn_to(self, tab: Tab) -> AsyncIterator[View]:
        claim = self._claim(tab)
        async for view in self._show(tab, claim):
            yield view

    async def _start(self, tab: Tab, question: str) -> Job:
        parent: str | None = None
        if tab.editing is not None:
            parent = self.message(tab.editing, tab.user).parent_id or ROOT
        mode, strategy = _way(tab.mode)
        documents = [document.id for document in self.documents(tab.documents, tab.user)]
        if tab.incognito:
            said = self._unstored.setdefault(tab.session, [])
            if said and not said[-1].done:
                raise ConversationBusy("The last question is still being answered. Stop it first.")
            job = await self.jobs.start(
                question,
                documents=documents,
                history=history_of(said)[-self.engine.settings.memory.working_messages :],
                incognito=True,
                mode=mode,
                strategy=strategy,
                user=tab.user,
            )
            said.append(job)
            return job
        return await self.jobs.start(
            question,
            conversation_id=tab.conversation_id or new_id(),
            documents=documents,
            parent_id=parent,
            mode=mode,
            strategy=strategy,
            user=tab.user,
        )

    async def _show(self, tab: Tab, claim: object | None = None) -> AsyncIterator[View]:
        """The picture as it is, and then the growing answer until it is done or the tab turns to something else."""
        claim = claim or self._claims.get(tab.session)
        job = self._running(tab)
        if job is None:
            yield self.picture(tab)
            return
        saved = self._messages(tab, growing=job.message_id)
        around = self.around_the_box(tab)
        frame = first_frame(job)
        yield replace(
            around,
            messages=[*saved, *frame.messages],
            phase=frame.phase,
            sidebar=self.sidebar(tab),
            running=True,
        )
        async for picture in frames(job):
            if self._claims.get(tab.session) is not claim:
                return
            if picture is not None:
                messages = [*saved, *picture.messages]
                yield View(tab, True, messages=messages, phase=picture.phase, running=True)
        yield replace(self.picture(self._tabs.get(tab.session, tab)), follows=True)

    def _running(self, tab: Tab) -> Job | None:
        """The answer in the making that the tab shows."""
        if tab.incognito:
            return next((job for job in self._unstored.get(tab.session, []) if not job.done), None)
        return self.jobs.running(tab.conversation_id) if tab.conversation_id else None

    def _messages(self, tab: Tab, growing: str | None = None) -> list[ChatMessage]:
        """The conversation as it is; the answer ``growing`` is left out."""
        if tab.incognito:
            said = self._unstored.get(tab.session, [])
            return [part for job in said for part in without_store(job, grows=job.message_id == growing)]
        return conversation(self._rows(tab), self._saved_steps, limit=tab.limit, growing=growing)

    def _rows(self, tab: Tab) -> list[Row]:
        if tab.conversation_id is None:
            return []
        path = self.engine.store.messages(tab.conversation_id)
        first_shown = len(path) - tab.limit
        return [self._row(message, tab, index >= first_shown) for index, message in enumerate(path)]

    def _row(self, message: Message, tab: Tab, complete: bool) -> Row:
        if not complete:
            return Row(message)
        versions = tuple(item.id for item in self.engine.store.siblings(message.id))
        names = tuple(item.name for item in self.documents(self._documents_of(message), tab.user))
        return Row(message, versions.index(message.id) + 1, versions, names)

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

    def _name(self, job: Job, question: str) -> None:
        known = self.engine.store.conversation(job.conversation_id or "")
        if known is not None and not known.title:
            self.engine.store.rename_conversation(known.id, title_of(question))

    def _claim(self, tab: Tab) -> object:
        """From now on this tab shows something else; what it followed before ends."""
        claim = object()
        self._claims[tab.session] = claim
        return claim

    async def _erase_later(self, conversation_id: str) -> None:
        await asyncio.sleep(UNDO_SECONDS)
        try:
            await self.engine.forget_conversation(conversation_id)
        except PROBLEMS as error:
            log.warning("The conversation %s could not be deleted: %s", conversation_id, error)
        finally:
            self._bin.pop(conversation_id, None)


def title_of(question: str) -> str:
    """A conversation's automatic title: the beginning of its first question, cut at a word."""
    words = " ".join(question.split())
    if len(words) <= 48:
        return words
    return words[:48].rsplit(" ", 1)[0].rstrip(",;:.") + "…"


def _way(mode: str) -> tuple[Mode, StrategyName | None]:
    if mode == "retrieve":
        return "recursive", "retrieve"
    if mode == "direct":
        return "direct", None
    return ("recursive", None) if mode == "recursive" else ("auto", None)

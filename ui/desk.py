"""One page and what goes on at it: opening a conversation, asking, following an answer, stopping it.

A view is a browser tab. It only follows: questions and answers live in the store, answers in the making in
:class:`rlm_core.jobs.Jobs`. So a reload, a second tab and a restart all see the same thing. Nothing here knows Gradio.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory_store import ROOT
from rlm_core.engine import RLMEngine
from rlm_core.jobs import ConversationBusy, Job, Jobs
from rlm_core.paths import PROJECT
from rlm_core.request import MessageRequest
from rlm_core.run import new_id
from rlm_core.settings import Mode, StrategyName
from ui.chat_view import NEWEST
from ui.growing import first_frame, frames, history_of, phase_line
from ui.html import block, do
from ui.meter import MODES
from ui.sidebar import undo_bar
from ui.tab import PROBLEMS, NotYours, Tab, View
from ui.welcome import sample_question
from ui.window import Window

SAMPLES = PROJECT / "sample_docs"


class Desk(Window):
    """The page's side of one engine."""

    def __init__(self, engine: RLMEngine, jobs: Jobs) -> None:
        super().__init__(engine, jobs)
        self._claims: dict[str, object] = {}
        self._tabs: dict[str, Tab] = {}

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

    async def open(
        self, tab: Tab, conversation_id: str | None, *, incognito: bool = False
    ) -> AsyncIterator[View]:
        """Show a conversation (None: a new one), and follow its answer if one is being made.

        An incognito conversation that the tab was at is over.
        """
        self.incognito.stop(tab.session)
        await asyncio.to_thread(self.incognito.erase, tab.session)
        tab = replace(
            tab, conversation_id=conversation_id, editing=None, limit=NEWEST, taken=(), incognito=incognito
        )
        problem = None
        last: tuple[str, ...] = ()
        if conversation_id is not None:
            try:
                self.conversation(conversation_id, tab.user)
            except NotYours as error:
                tab, problem = replace(tab, conversation_id=None), str(error)
            else:
                last = self._last_documents(conversation_id)
        documents = dict.fromkeys((*self.books.everywhere(tab.user), *last))
        tab = replace(tab, documents=tuple(documents))
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
                document, new = await asyncio.to_thread(self.books.add, path, tab.user)
            except PROBLEMS as error:
                problems.append(str(error))
            else:
                self.incognito.took(tab, path, document.id, new=new)
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
                MessageRequest(
                    question.text,
                    conversation_id=message.conversation_id,
                    documents=[item.id for item in self.documents(self._documents_of(question), tab.user)],
                    question_id=question.id,
                    mode=mode,
                    strategy=strategy,
                    user=tab.user,
                )
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
        self.bin.put(conversation_id)
        if tab.conversation_id == conversation_id:
            async for view in self.open(tab, None):
                yield replace(view, toast=undo_bar(known))
        else:
            yield View(tab, sidebar=self.sidebar(tab), toast=undo_bar(known))

    async def undo(self, tab: Tab, conversation_id: str) -> AsyncIterator[View]:
        """Bring back what :meth:`delete` took away."""
        known = self.engine.store.conversation(conversation_id)
        if conversation_id not in self.bin or known is None or known.user != tab.user:
            raise NotYours("It is too late: the conversation is erased.")
        self.bin.bring_back(conversation_id)
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
        self.incognito.stop(session)
        self.incognito.erase(session)

    async def close(self) -> None:
        """Erase what was deleted and not brought back, and what was never meant to be kept."""
        await self.bin.close()
        await asyncio.to_thread(self.incognito.close)

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
            said = self.incognito.said(tab.session)
            if said and not said[-1].done:
                raise ConversationBusy("The last question is still being answered. Stop it first.")
            job = await self.jobs.start(
                MessageRequest(
                    question,
                    documents=documents,
                    history=history_of(said)[-self.engine.settings.memory.working_messages :],
                    incognito=True,
                    mode=mode,
                    strategy=strategy,
                    user=tab.user,
                )
            )
            said.append(job)
            return job
        return await self.jobs.start(
            MessageRequest(
                question,
                conversation_id=tab.conversation_id or new_id(),
                documents=documents,
                parent_id=parent,
                mode=mode,
                strategy=strategy,
                user=tab.user,
            )
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

    def _name(self, job: Job, question: str) -> None:
        known = self.engine.store.conversation(job.conversation_id or "")
        if known is not None and not known.title:
            self.engine.store.rename_conversation(known.id, title_of(question))

    def _claim(self, tab: Tab) -> object:
        """From now on this tab shows something else; what it followed before ends."""
        claim = object()
        self._claims[tab.session] = claim
        return claim


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

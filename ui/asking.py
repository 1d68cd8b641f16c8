"""Asking at the page: files go into the store, a question becomes a job, and the tab follows its answer.

Questions and answers live in the store, answers in the making in :class:`rlm_core.jobs.Jobs`; a tab only follows. So a reload,
a second tab and a restart all see the same thing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from memory_store import ROOT
from rlm_core.engine import RLMEngine
from rlm_core.jobs import ConversationBusy, Job, Jobs
from rlm_core.paths import PROJECT
from rlm_core.request import MessageRequest
from rlm_core.run import new_id
from rlm_core.settings import Mode, StrategyName
from ui.chat_view import NEWEST
from ui.growing import first_frame, frames, history_of, phase_line
from ui.meter import MODES
from ui.places import Click, Places
from ui.tab import PROBLEMS, NotYours, Tab, View
from ui.welcome import sample_question
from ui.window import Window

SAMPLES = PROJECT / "sample_docs"


class Asking(Window):
    """A window in which one can ask."""

    def __init__(self, engine: RLMEngine, jobs: Jobs) -> None:
        super().__init__(engine, jobs)
        self.places = Places()
        self._reading: dict[tuple[str, Path], asyncio.Task[None]] = {}

    async def take(self, tab: Tab, files: Sequence[Path]) -> AsyncIterator[View]:
        """Store the files that were put into the message box, as soon as they are there."""
        problems: list[str] = []
        for path in files:
            key = (tab.session, path)
            if key not in self._reading:
                self._reading[key] = asyncio.create_task(self._read(tab, path))
            if not self._reading[key].done():
                yield View(tab, phase=phase_line(f"reading {path.name}", time.time()))
            try:
                await asyncio.shield(self._reading[key])
            except PROBLEMS as error:
                problems.append(str(error))
                self._reading.pop(key, None)
        tab = self.places.fresh(tab)
        yield replace(self.around_the_box(tab), phase="", problem="\n".join(problems) or None)

    async def ask(self, click: Click, text: str, files: Sequence[Path], mode: str) -> AsyncIterator[View]:
        """Ask the question in this mode, on the page where it was sent from."""
        known = mode if mode in MODES else "auto"
        tab = self.places.change(await self.places.at(click), mode=known, limit=NEWEST)
        async for view in self._ask(tab, text, files):
            yield view

    async def _ask(self, tab: Tab, text: str, files: Sequence[Path]) -> AsyncIterator[View]:
        """Store the files, ask the question, follow the answer."""
        question = text.strip()
        yield View(tab, box="", phase=phase_line("starting", time.time()))
        async for view in self.take(tab, files):
            if view.problem:
                yield replace(view, box=question, running=False)
                return
            yield replace(view, phase=view.phase or None)
        for path in files:
            self._reading.pop((tab.session, path), None)
        tab = self.places.fresh(tab)
        if not question:
            yield View(tab, phase="", problem="Write a question first.")
            return
        if tab.incognito and not self.places.wants(View(tab)):
            return  # it was left meanwhile, and nothing of it is kept
        if tab.conversation_id is None and not tab.incognito:
            tab = self.places.change(tab, conversation_id=new_id())
        try:
            await self._start(tab, question)
        except PROBLEMS as error:
            yield View(tab, phase="", box=question, problem=str(error))
            return
        tab = self.places.change(tab, editing=None)
        async for view in self._show(tab):
            yield view

    async def ask_sample(self, tab: Tab, key: str) -> AsyncIterator[View]:
        """Ask one of the sample questions about its document."""
        chosen = sample_question(key)
        if chosen is None:
            raise NotYours("There is no such sample.")
        file, question = chosen
        tab = self.places.change(tab, conversation_id=None, documents=())
        async for view in self._ask(tab, question, [SAMPLES / file]):
            yield view

    async def retry(self, tab: Tab, answer_id: str) -> AsyncIterator[View]:
        """Another answer to the same question."""
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
        async for view in self._show(self.places.change(tab, conversation_id=message.conversation_id)):
            yield view

    def stop(self, tab: Tab) -> None:
        """Stop the answer of the tab's conversation. What it has so far stays."""
        job = self._running(tab)
        if job is not None and job.user == tab.user:
            job.cancel()

    def put_down(self, session: str) -> None:
        """The files in this tab's message box are no longer of interest."""
        for key in [key for key in self._reading if key[0] == session]:
            del self._reading[key]

    # how

    async def _read(self, tab: Tab, path: Path) -> None:
        """Store a file from the message box, and attach it to the page it was put on."""
        document, new = await asyncio.to_thread(self.books.add, path, tab.user)
        self.incognito.took(tab, path, document.id, new=new)
        self.places.attach(tab, document.id, path.name)

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

    async def _show(self, tab: Tab, problem: str | None = None) -> AsyncIterator[View]:
        """The picture as it is, and then the growing answer until it is done or the tab turns to something else."""
        tab = self.places.fresh(tab)
        mark = self.places.follow(tab)
        job = self._running(tab)
        if job is None:
            yield replace(self.picture(tab), problem=problem)
            return
        saved = self._messages(tab, growing=job.message_id)
        frame = first_frame(job)
        far_back = self._far_back(tab)
        yield replace(
            self.around_the_box(tab),
            messages=saved if far_back else [*saved, *frame.messages],
            phase=frame.phase,
            sidebar=self.sidebar(tab),
            running=True,
            problem=problem,
        )
        async for picture in frames(job, len(saved)):
            if not self.places.follows(tab, mark):
                return
            if picture is not None:
                messages = None if far_back else [*saved, *picture.messages]
                yield View(tab, mark, messages=messages, phase=picture.phase, running=True)
        yield replace(self.picture(self.places.fresh(tab)), follower=mark)


def _way(mode: str) -> tuple[Mode, StrategyName | None]:
    if mode == "retrieve":
        return "recursive", "retrieve"
    if mode == "direct":
        return "direct", None
    return ("recursive", None) if mode == "recursive" else ("auto", None)

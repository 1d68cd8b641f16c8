"""The RLM engine: message in, events out (DESIGN.md 2).

    recall -> complexity -> direct | recursive (loop, plan or retrieve) -> answer

Every message takes this way; a simple one takes its shortest path. The engine knows nothing about pages, HTTP or
terminals: they are views of the events it yields.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_store.errors import StoreError
from rlm_core.asking import LoopThread, result_of
from rlm_core.backends.base import Backend, ChatMessage
from rlm_core.budget import Budget, CancelToken
from rlm_core.citations import cite
from rlm_core.complexity import is_small_talk
from rlm_core.context import Context, MaterialSource
from rlm_core.ending import conclude
from rlm_core.errors import SettingsError
from rlm_core.events import Event, RouteEvent
from rlm_core.parts import Assembly, Parts
from rlm_core.paths import DEFAULT_DATA
from rlm_core.probe import Capabilities
from rlm_core.question import Question
from rlm_core.recall import foresee, recall
from rlm_core.record import Record, Records
from rlm_core.recursion import CannotCode
from rlm_core.request import MessageRequest
from rlm_core.results import Answer, Result, Route
from rlm_core.run import Run, new_id
from rlm_core.settings import Limits, Mode, Settings, StrategyName
from rlm_core.tokens import base_estimate
from rlm_core.trace import read_trace, trace_path, traces_dir
from rlm_core.turns import Turn, accept

if TYPE_CHECKING:
    from memory_store import MemoryStore
    from rlm_core.backends.choose import Choice
    from rlm_core.repl import SandboxReport

log = logging.getLogger(__name__)


class RLMEngine:
    """Answers messages. One engine serves one user's installation; all methods belong to one event loop, except
    :meth:`ask`, which may be called from anywhere."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        data_dir: str | Path | None = None,
        store: MemoryStore | None = None,
        backend: Backend | None = None,
    ) -> None:
        """``data_dir`` holds what the user made (default ``data``); ``store`` and ``backend`` are opened when first
        needed if they are not given."""
        self.settings = settings or Settings.load()
        self.data_dir = Path(data_dir) if data_dir is not None else DEFAULT_DATA
        self._store = store
        self._owns_store = store is None
        self._opening = threading.Lock()
        self._assembly = Assembly(self.settings, self.data_dir, lambda: self._store, backend)
        self._asking: LoopThread | None = None
        self._records = Records()

    # --- the way of a message ----------------------------------------------------------------------------------------

    async def process_message(
        self,
        message: str,
        conversation_id: str | None = None,
        documents: Sequence[MaterialSource] | None = None,
        *,
        context: str | None = None,
        history: Sequence[ChatMessage] = (),
        mode: Mode = "auto",
        strategy: StrategyName | None = None,
        model: str | None = None,
        user: str = "local",
        budget: Budget | Limits | None = None,
        cancel: CancelToken | None = None,
    ) -> AsyncIterator[Event]:
        """Answer one message; yields events (DESIGN.md 4.5), the last one is ``done``.

        The parameters are those of :class:`MessageRequest`, with the ledger and the stop button of :meth:`answer`.
        Whatever happens, an answer or a clear reason comes, marked partial where it is: only MaterialError, before the
        first event, is raised (and TypeError or ValueError for a wrong argument).
        """
        turn = await self.begin(
            MessageRequest(message, conversation_id, documents, context, history, mode, strategy, model, user)
        )
        async with aclosing(self.answer(turn, budget=budget, cancel=cancel)) as events:
            async for event in events:
                yield event

    async def begin(self, request: MessageRequest) -> Turn:
        """The first half of :meth:`process_message`: accept a question. One that is to be stored is committed, with an
        empty answer, when this returns. Raises MaterialError for material that is not there, StoreError when it cannot be
        stored."""
        if request.stored:
            await self._records.store_late()
        if self._store is not None:  # beside the commit, and nobody waits for it
            asyncio.get_running_loop().run_in_executor(None, foresee, request, self.settings, self._store)
        return await asyncio.to_thread(accept, request, lambda: self.store)

    async def answer(
        self, turn: Turn, *, budget: Budget | Limits | None = None, cancel: CancelToken | None = None
    ) -> AsyncGenerator[Event, None]:
        """The second half: answer a question that was accepted. Every event is written down before it is yielded, and a
        stream that is closed before its end stops the work."""
        if not isinstance(budget, Budget):
            budget = Budget(budget or self.settings.limits)
        run = Run(turn.answer_id, self.settings, budget, cancel or CancelToken(), turn.request.model)
        store = self.store if turn.request.stored else None
        record = Record(turn, self.data_dir, store, run.cancel, run.warn)
        self._records.add(record)
        async with self._assembly.in_use() as assembly:
            question = Question(turn.request.message, Context(turn.materials), tuple(turn.request.history))
            work = asyncio.create_task(conclude(run, question, self._answer(run, assembly, turn, question)))
            try:
                while not record.complete:
                    for event in await record.keep(run.events):
                        yield event
            finally:
                try:
                    if not record.complete:
                        run.cancel.cancel("Whoever asked went away.")
                        await asyncio.shield(record.keep_rest(run.events))
                finally:  # nor does work go on for an answer that cannot be kept
                    self._records.complete(record)
                    await work

    async def _answer(self, run: Run, assembly: Assembly, turn: Turn, question: Question) -> Answer:
        """recall -> complexity -> direct | recursive -> answer"""
        parts = await assembly.parts(run)
        if turn.request.stored:
            question = await recall(run, turn, question, self.store)
        if turn.request.mode == "auto" and is_small_talk(question.text):
            question = replace(question, context=Context(()))  # it is not about the documents beside it
        question = question.with_long_text_as_material(run.settings.num_ctx)
        route = await self._route(run, parts, turn.request, question)
        run.emit(RouteEvent, **asdict(route))
        if route.decision == "direct":
            return await parts.direct.answer(run, question)
        if route.strategy == "retrieve":
            return await parts.reader.answer(run, question)
        return await self._in_repl(run, parts, turn.request, question, route)

    async def _route(self, run: Run, parts: Parts, request: MessageRequest, question: Question) -> Route:
        """Direct or recursive, and by which strategy."""
        if request.mode == "auto":
            room = await parts.direct.room_tokens(run, question)
            route = await parts.complexity.judge(run, question, room_tokens=room)
        else:
            route = Route.asked_for(request.mode, run.settings.complexity_threshold)
        if route.decision == "direct":
            return route
        strategy = request.strategy or run.settings.strategy
        return await parts.strategies.choose(run, question, route, strategy)

    async def _in_repl(
        self, run: Run, parts: Parts, request: MessageRequest, question: Question, route: Route
    ) -> Answer:
        """``plan`` or ``loop``. A model that was taken for a programmer by ``auto`` and fails reads passages instead."""
        subcalls = parts.children.subcalls(run, user=request.user if request.stored else None)
        kept_for = request.conversation_id if request.stored else None
        async with parts.workspaces.borrow(question, subcalls, conversation_id=kept_for) as workspace:
            if route.strategy == "plan":
                return await parts.plan.answer(run, question, workspace)
            try:
                return await parts.loop.answer(run, question, workspace, depth=run.budget.limits.max_depth)
            except CannotCode as error:
                chosen_by_us = (request.strategy or run.settings.strategy) == "auto"
                if chosen_by_us and len(question.context):
                    run.warn("cannot_code", f"{error} The material is searched and read in passages instead.")
                    return await parts.reader.answer(run, question)
                return replace(cite(error.last_reply, {}, question.context), partial=True, reason=str(error))

    # --- for callers that wait -----------------------------------------------------------------------------------------

    def ask(
        self,
        question: str,
        context: str | None = None,
        *,
        documents: Sequence[MaterialSource] = (),
        **options: Any,
    ) -> Result:
        """Answer one question and wait for it. ``options`` are those of :meth:`process_message`.

        Raises MaterialError for material that is not there, StoreError when a question cannot be stored.
        """

        async def all_events() -> list[Event]:
            stream = self.process_message(question, documents=documents, context=context, **options)
            return [event async for event in stream]

        with self._opening:
            if self._asking is None:
                self._asking = LoopThread()
            asking = self._asking
        return result_of(asking.run(all_events()))

    def __enter__(self) -> RLMEngine:
        return self

    def __exit__(self, *error: object) -> None:
        asking, self._asking = self._asking or LoopThread(), None
        asking.run(self.close())
        asking.stop()

    # --- for the views ---------------------------------------------------------------------------------------------------

    @property
    def store(self) -> MemoryStore:
        """The memory of this installation, opened when first used. Raises memory_store.StoreLocked when another
        process has it."""
        with self._opening:  # questions are accepted in threads
            if self._store is None:
                from memory_store import MemoryStore

                memory = self.settings.memory
                self._store = MemoryStore(
                    self.data_dir,
                    embedder=memory.embedder,
                    chroma_url=memory.chroma_url,
                    resume=False,
                    reader_tokens=base_estimate,
                )
            return self._store

    async def warm_up(self) -> None:
        """Do in the background what the next message would otherwise wait for: bring up a worker, and let the memory go
        on with what was left to embed. The first message does this too."""
        self._assembly.warm_up()
        await asyncio.to_thread(self.store.resume)

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[Backend]:
        """The model server that answers, open for as long as the block runs."""
        async with self.choice() as choice:
            yield choice.backend

    @asynccontextmanager
    async def choice(self) -> AsyncIterator[Choice]:
        """Which backend answers, why, and how to get a better one, in words. It stays open for as long as the block runs."""
        async with self._assembly.in_use() as assembly:
            yield await assembly.choice()

    async def capabilities(self, model: str | None = None, *, again: bool = False) -> Capabilities:
        """What the model that drives the REPL can do; tried now if it was not yet, or ``again``."""
        run = Run(new_id(), self.settings, Budget(self.settings.limits), CancelToken(), model)
        async with self._assembly.in_use() as assembly:
            return await (await assembly.parts(run)).probe.of(run, again=again)

    async def sandbox_report(self) -> SandboxReport:
        """What the sandbox reaches on this machine, tried inside a locked worker."""
        from rlm_core.repl import self_test

        return await self_test()

    def trace(self, message_id: str) -> list[Event]:
        """The saved events of an answer. Raises FileNotFoundError when there are none."""
        return read_trace(trace_path(self.data_dir, message_id))

    async def apply(self, settings: Settings, *, choose_again: bool = False) -> None:
        """Take over new settings; the next message uses them. Running ones finish with the old. ``choose_again`` looks
        anew which backend answers, because something outside has changed. Raises SettingsError, and takes over nothing, when
        the Chroma server that they name does not answer."""
        old, embedder = self._assembly, self.settings.memory.embedder
        if self._store is not None and settings.memory.chroma_url != self.settings.memory.chroma_url:
            try:
                await asyncio.to_thread(self._store.use_index, settings.memory.chroma_url)
            except StoreError as error:
                raise SettingsError("memory.chroma_url", str(error)) from error
        self.settings = settings
        self._assembly = old.successor(settings, choose_again=choose_again)
        await old.retire(self._assembly)
        if self._store is not None and settings.memory.embedder != embedder:
            await asyncio.to_thread(self._store.use_embedder, settings.memory.embedder)

    async def forget_conversation(self, conversation_id: str) -> None:
        """Delete a conversation with its REPL and the traces of all its answers. One that is being made ends as partial."""
        self._records.forget(conversation_id)
        await self._assembly.forget_workspace(conversation_id)
        for message_id in await asyncio.to_thread(self.store.message_ids, conversation_id):
            trace_path(self.data_dir, message_id).unlink(missing_ok=True)
        await asyncio.to_thread(self.store.delete_conversation, conversation_id)

    async def erase_everything(self) -> None:
        """Delete all conversations with their REPLs, documents, memories and traces of all users. Answers that are being made
        end as partial."""
        self._records.forget()
        await self._assembly.forget_workspaces()
        await asyncio.to_thread(shutil.rmtree, traces_dir(self.data_dir), ignore_errors=True)
        await asyncio.to_thread(self.store.erase_all)

    async def close(self) -> None:
        """End workers, child processes and connections; close the store if this engine opened it."""
        await self._assembly.close()
        try:
            await self._records.store_late()
        except StoreError as error:
            log.warning("an answer is lost, except for what was stored while it was being made: %s", error)
        if self._owns_store and self._store is not None:
            await asyncio.to_thread(self._store.close)
            self._store = None

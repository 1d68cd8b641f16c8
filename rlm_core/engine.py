"""The RLM engine: message in, events out (DESIGN.md 2).

    recall -> complexity -> direct | recursive (loop, plan or retrieve) -> answer

Every message takes this way; a simple one takes its shortest path. The engine knows nothing about pages, HTTP or
terminals: they are views of the events it yields.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_core.asking import LoopThread, result_of
from rlm_core.backends.base import Backend, ChatMessage
from rlm_core.budget import Budget, BudgetExhausted, CancelToken
from rlm_core.citations import cite
from rlm_core.context import Context, Material, MaterialSource
from rlm_core.ending import conclude
from rlm_core.events import Event, RouteEvent
from rlm_core.parts import Parts
from rlm_core.paths import DEFAULT_DATA
from rlm_core.probe import Capabilities
from rlm_core.question import Question, shorten
from rlm_core.recall import recall
from rlm_core.record import Record
from rlm_core.recursion import CannotCode
from rlm_core.repl import ReplError
from rlm_core.results import Answer, Result, Route
from rlm_core.run import Run, new_id
from rlm_core.settings import Limits, Mode, Settings, StrategyName
from rlm_core.trace import read_trace, trace_path, traces_dir
from rlm_core.turns import Turn, accept

if TYPE_CHECKING:
    from memory_store import MemoryStore
    from rlm_core.backends.choose import Choice
    from rlm_core.repl import SandboxReport

__all__ = ["MaterialSource", "RLMEngine", "Turn"]


MESSAGE_AS_MATERIAL_CHARS = 12_000
MESSAGE_CHARS_PER_WINDOW_TOKEN = 1.5
"""A longer message is itself material: what was pasted into it becomes ``context``. In a small window that begins earlier:
a message may take about two fifths of it."""


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
        self._parts = Parts(self.settings, self.data_dir, self._open_store, self._existing_store, backend)
        self._asking: LoopThread | None = None

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
        budget: Budget | Limits | None = None,
        cancel: CancelToken | None = None,
        turn: Turn | None = None,
        user: str = "local",
    ) -> AsyncIterator[Event]:
        """Answer one message; yields events (DESIGN.md 4.5), the last one is ``done``.

        ``documents`` are ids of stored documents, paths, or :class:`Material`; ``context`` is a text. With a
        ``conversation_id`` question and answer are stored; ``turn`` is a question that :meth:`begin` has stored.
        ``mode`` overrules the complexity analysis, ``strategy`` the choice among the recursive strategies, ``model`` the
        roles. Whatever happens, an answer or a clear reason comes, marked partial where it is: only MaterialError
        (before the first event) is raised.
        """
        if turn is None:
            turn = await self.begin(
                message,
                conversation_id=conversation_id,
                documents=documents,
                context=context,
                history=history,
                user=user,
            )
        if not isinstance(budget, Budget):
            budget = Budget(budget or self.settings.limits)
        run = Run(turn.answer_id, self.settings, budget, cancel or CancelToken(), model)
        work = asyncio.create_task(self._work(run, turn, mode, strategy or self.settings.strategy))
        record = Record(turn, self.data_dir, self.store if turn.stored else None)
        try:
            while not record.complete:
                event = await run.events.get()
                await record.keep(event)
                yield event
        finally:
            if not record.complete:
                run.cancel.cancel("Whoever asked went away.")
                await asyncio.shield(record.keep_rest(run.events))
            await work

    async def _work(self, run: Run, turn: Turn, mode: Mode, strategy: StrategyName) -> None:
        """The answer, or what there is of it and why there is no more."""
        question = Question(turn.message, Context(turn.materials), turn.history)
        await conclude(run, question, self._answer(run, turn, question, mode, strategy))

    async def _answer(
        self, run: Run, turn: Turn, question: Question, mode: Mode, strategy: StrategyName
    ) -> Answer:
        """recall -> complexity -> direct | recursive -> answer"""
        parts = await self._parts.opened(run)
        if turn.stored:
            question = await recall(run, turn, question, self.store)
        question = _with_long_message_as_material(question, self.settings.num_ctx)
        route = await self._route(run, parts, question, mode, strategy)
        run.emit(RouteEvent, **asdict(route))
        if route.decision == "direct":
            return await parts.direct.answer(run, question)
        return await self._recursive(run, parts, turn, question, route, may_fall_back=strategy == "auto")

    async def _route(
        self, run: Run, parts: Parts.Opened, question: Question, mode: Mode, strategy: StrategyName
    ) -> Route:
        """Direct or recursive, and by which strategy."""
        if mode == "auto":
            room = await parts.direct.room_tokens(run, question)
            route = await parts.complexity.judge(run, question, room_tokens=room)
        else:
            decision = "direct" if mode == "direct" else "recursive"
            threshold = self.settings.complexity_threshold
            score = 0.0 if mode == "direct" else 1.0
            route = Route(decision, score, threshold, (f"asked for: {mode}",))  # type: ignore[arg-type]
        if route.decision == "direct":
            return route
        if strategy != "auto":
            return replace(route, strategy=strategy)
        chosen: str
        try:
            capabilities = await parts.probe.of(run)
            chosen, why = capabilities.strategy, capabilities.sentence
        except ReplError as error:
            run.warn("no_sandbox", f"{error} Until then the material is searched and read in passages.")
            chosen, why = "retrieve", "code cannot be run safely here"
        except BudgetExhausted as error:
            chosen, why = "retrieve", str(error)
        if chosen == "retrieve" and not len(question.context):
            reasons = (*route.reasons, why, "there is no material to search")
            return replace(route, decision="direct", reasons=reasons)
        return replace(route, strategy=chosen, reasons=(*route.reasons, why))

    async def _recursive(
        self,
        run: Run,
        parts: Parts.Opened,
        turn: Turn,
        question: Question,
        route: Route,
        *,
        may_fall_back: bool,
    ) -> Answer:
        """The chosen strategy; under ``auto`` a model that fails at code reads passages instead."""
        if route.strategy == "retrieve":
            return await parts.reader.answer(run, question)
        depth = run.budget.limits.max_depth
        subcalls = parts.subcalls(run, depth, turn.user if turn.stored else None)
        kept_for = turn.conversation_id if turn.stored else None
        async with parts.workspaces.borrow(question, subcalls, conversation_id=kept_for) as workspace:
            if route.strategy == "plan":
                return await parts.plan.answer(run, question, workspace)
            try:
                return await parts.loop.answer(run, question, workspace, depth=depth)
            except CannotCode as error:
                if may_fall_back and len(question.context):
                    run.warn("cannot_code", f"{error} The material is searched and read in passages instead.")
                    return await parts.reader.answer(run, question)
                return replace(cite(error.last_reply, {}, question.context), partial=True, reason=str(error))

    # --- questions ----------------------------------------------------------------------------------------------------

    async def begin(
        self,
        message: str,
        *,
        conversation_id: str | None = None,
        documents: Sequence[MaterialSource] | None = None,
        context: str | None = None,
        history: Sequence[ChatMessage] = (),
        user: str = "local",
        parent_id: str | None = None,
        question_id: str | None = None,
        incognito: bool = False,
    ) -> Turn:
        """Accept a question: with a ``conversation_id`` it is committed, with an empty answer, when this returns.

        ``documents`` None means those of the previous question of the conversation, an empty list none. ``question_id``
        asks for another answer to a stored question, ``parent_id`` places the question below that message.
        Raises MaterialError for material that is not there.
        """
        return await asyncio.to_thread(
            lambda: accept(
                lambda: self.store,
                message,
                conversation_id=conversation_id,
                documents=documents,
                context=context,
                history=tuple(history),
                user=user,
                parent_id=parent_id,
                question_id=question_id,
                incognito=incognito,
            )
        )

    def ask(
        self,
        question: str,
        context: str | None = None,
        *,
        documents: Sequence[MaterialSource] = (),
        **options: Any,
    ) -> Result:
        """Answer one question and wait for it. ``options`` are those of :meth:`process_message`.

        Raises MaterialError for material that is not there.
        """
        if self._asking is None:
            self._asking = LoopThread()
        return self._asking.run(self._ask(question, context, documents, options))

    async def _ask(
        self,
        question: str,
        context: str | None,
        documents: Sequence[MaterialSource],
        options: dict[str, Any],
    ) -> Result:
        events = [
            event
            async for event in self.process_message(question, documents=documents, context=context, **options)
        ]
        return result_of(events)

    # --- what the views ask for ---------------------------------------------------------------------------------------

    @property
    def store(self) -> MemoryStore:
        """The memory of this installation, opened when first used. Raises memory_store.StoreLocked when another
        process has it."""
        return self._open_store()

    async def backend(self) -> Backend:
        """The model server that answers."""
        return (await self.choice()).backend

    async def choice(self) -> Choice:
        """Which backend answers, why, and how to get a better one, in words."""
        return await self._parts.choice()

    async def apply(self, settings: Settings, *, choose_again: bool = False) -> None:
        """Take over new settings; the next message uses them. Running ones finish with the old. ``choose_again`` looks
        anew which backend answers, because something outside has changed."""
        old, embedder = self._parts, self.settings.memory.embedder
        self.settings = settings
        self._parts = old.with_settings(settings, keep_backend=not choose_again)
        await old.retire()
        if self._store is not None and settings.memory.embedder != embedder:
            await asyncio.to_thread(self._store.use_embedder, settings.memory.embedder)

    async def capabilities(self, model: str | None = None, *, again: bool = False) -> Capabilities:
        """What the model that drives the REPL can do; tried now if it was not yet, or ``again``."""
        run = Run(new_id(), self.settings, Budget(self.settings.limits), CancelToken(), model)
        return await (await self._parts.opened(run)).probe.of(run, again=again)

    async def sandbox_report(self) -> SandboxReport:
        """What the sandbox reaches on this machine, tried inside a locked worker."""
        from rlm_core.repl import self_test

        return await self_test()

    def trace(self, message_id: str) -> list[Event]:
        """The saved events of an answer. Raises FileNotFoundError when there are none."""
        return read_trace(trace_path(self.data_dir, message_id))

    async def forget_conversation(self, conversation_id: str) -> None:
        """Delete a conversation with its REPL and the traces of all its answers."""
        await self._parts.forget_workspace(conversation_id)
        for message_id in await asyncio.to_thread(self.store.message_ids, conversation_id):
            trace_path(self.data_dir, message_id).unlink(missing_ok=True)
        await asyncio.to_thread(self.store.delete_conversation, conversation_id)

    async def erase_everything(self) -> None:
        """Delete all conversations, documents, memories and traces of all users."""
        await asyncio.to_thread(self.store.erase_all)
        await asyncio.to_thread(shutil.rmtree, traces_dir(self.data_dir), ignore_errors=True)

    async def close(self) -> None:
        """End workers, child processes and connections; close the store if this engine opened it."""
        await self._parts.close()
        if self._owns_store and self._store is not None:
            await asyncio.to_thread(self._store.close)
            self._store = None

    def __enter__(self) -> RLMEngine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._asking is not None:
            self._asking.run(self.close())
            self._asking.stop()
            self._asking = None

    def _open_store(self) -> MemoryStore:
        if self._store is None:
            from memory_store import MemoryStore

            memory = self.settings.memory
            self._store = MemoryStore(self.data_dir, embedder=memory.embedder, chroma_url=memory.chroma_url)
        return self._store

    def _existing_store(self) -> MemoryStore | None:
        return self._store


def _with_long_message_as_material(question: Question, window: int) -> Question:
    most = min(MESSAGE_AS_MATERIAL_CHARS, int(MESSAGE_CHARS_PER_WINDOW_TOKEN * window))
    if len(question.text) <= most:
        return question
    materials = [*(part.material for part in question.context.parts), Material("your message", question.text)]
    return replace(question, text=shorten(question.text, most // 4), context=Context(materials))

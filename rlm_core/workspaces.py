"""The REPLs of the conversations: variables stay from message to message, and only so many workers live at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from rlm_core.errors import LocalRLMError
from rlm_core.question import Question
from rlm_core.repl import CellResult, ReplDocument, ReplLimits, ReplSession, ReplTable, WorkerPool
from rlm_core.settings import Settings
from rlm_core.subcalls import SubCalls

LIVE_AT_MOST = 4
"""Idle workers beyond this are closed, the longest unused first; their variables are gone then."""

FUNCTION_NAMES = (
    "llm_query",
    "llm_query_batched",
    "rlm_query",
    "rlm_query_batched",
    "llm_call",
    "memory_search",
)


@dataclass
class Workspace:
    """A REPL with the functions of the message that it works for now. ``variables`` are its user's, as last seen."""

    repl: ReplSession
    subcalls: SubCalls
    variables: tuple[str, ...] = ()
    text: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _cell: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, code: str, *, parent: str | None, seconds: float) -> CellResult:
        """Run one cell, after those that are running. Its model calls are shown under ``parent``. Raises TimeoutError
        when it has not ended after ``seconds``."""
        async with asyncio.timeout(max(0.01, seconds)), self._cell:
            self.subcalls.parent = parent
            return await self.repl.run(code)


class Workspaces:
    """Lends out workspaces. Conversations keep theirs; a message without a conversation, and a child RLM, gets one
    that ends with it."""

    def __init__(self, settings: Settings) -> None:
        self._limits = ReplLimits(
            seconds=settings.repl.seconds,
            memory_mb=settings.repl.memory_mb,
            output_chars=settings.repl.output_chars,
            minimum_level="language-only" if settings.repl.accept_weak_sandbox else "standard",
        )
        self._pool = WorkerPool()
        self._kept: OrderedDict[str, Workspace] = OrderedDict()

    @asynccontextmanager
    async def borrow(
        self, question: Question, subcalls: SubCalls, *, conversation_id: str | None = None
    ) -> AsyncIterator[Workspace]:
        """A workspace with the question's material in it, for as long as the block runs."""
        if conversation_id is None:
            workspace = await self._open(question, subcalls)
            async with AsyncExitStack() as stack:
                stack.push_async_callback(workspace.repl.close)
                yield workspace
            return
        kept = self._kept.get(conversation_id)
        if kept is None:
            kept = self._kept[conversation_id] = await self._open(question, subcalls)
            await self._close_oldest()
        self._kept.move_to_end(conversation_id)
        async with kept.lock:
            kept.subcalls = subcalls
            await self._prepare(kept, question)
            yield kept

    async def close(self) -> None:
        """End all workers."""
        workspaces = list(self._kept.values())
        self._kept.clear()
        for workspace in workspaces:
            await workspace.repl.close()
        await self._pool.close()

    async def forget(self, conversation_id: str) -> None:
        """Close the workspace of a conversation that is deleted."""
        workspace = self._kept.pop(conversation_id, None)
        if workspace is not None:
            await workspace.repl.close()

    async def _open(self, question: Question, subcalls: SubCalls) -> Workspace:
        holder: list[Workspace] = []

        def late(name: str) -> Callable[..., Awaitable[Any]]:
            async def call(*arguments: Any, **named: Any) -> Any:
                available = holder[0].subcalls.functions()
                if name not in available:
                    raise LocalRLMError(
                        f"{name} is not available: this message allows no model calls from code."
                    )
                return await available[name](*arguments, **named)

            return call

        available = subcalls.functions()
        repl = ReplSession(
            question.context.text,
            limits=self._limits,
            functions={name: late(name) for name in FUNCTION_NAMES if name in available},
            query=question.text,
            documents=_documents(question),
            tables=_tables(question),
            pool=self._pool,
        )
        await repl.start()
        holder.append(Workspace(repl, subcalls, text=question.context.text))
        return holder[0]

    async def _prepare(self, workspace: Workspace, question: Question) -> None:
        text = question.context.text
        await workspace.repl.prepare(
            query=question.text,
            context=None if text == workspace.text else text,
            documents=_documents(question),
            tables=_tables(question),
        )
        workspace.text = text

    async def _close_oldest(self) -> None:
        for conversation_id in list(self._kept)[:-1]:
            if len(self._kept) <= LIVE_AT_MOST:
                return
            if not self._kept[conversation_id].lock.locked():
                await self.forget(conversation_id)


def _documents(question: Question) -> list[ReplDocument]:
    return [ReplDocument(part.material.name, part.start, part.end) for part in question.context.parts]


def _tables(question: Question) -> list[ReplTable]:
    return [ReplTable(table.name, table.columns, table.rows) for table in question.context.tables]

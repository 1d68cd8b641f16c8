"""The REPLs of the conversations: variables stay from message to message, and only so many workers live at a time.

The longest unused ones are parked: their workers end, their plain variables and definitions are kept as text and are back
when the conversation goes on. What could not be kept is named to the model by the next cell.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from rlm_core.errors import LocalRLMError
from rlm_core.question import Question
from rlm_core.repl import (
    CellResult,
    ReplDocument,
    ReplError,
    ReplLimits,
    ReplMemory,
    ReplSession,
    ReplTable,
    WorkerPool,
)
from rlm_core.settings import Settings
from rlm_core.subcalls import SubCalls

log = logging.getLogger(__name__)

LIVE_AT_MOST = 4
"""Idle workers beyond this are parked, the longest unused first."""
PARKED_CHARS = 64 * 1024 * 1024
"""What all parked conversations together may keep; beyond it the longest unused start anew."""

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
    """A REPL with the functions of the message that it works for now. It is lent out while its worker still starts: the
    first cell waits for it."""

    repl: ReplSession
    subcalls: SubCalls
    _starting: asyncio.Task[None] | None = None
    _cell: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def variables(self) -> tuple[str, ...]:
        """``name: type, size`` of the variables that cells have made."""
        return self.repl.variables

    @property
    def draft(self) -> str | None:
        """What ``answer["content"]`` held when the last cell ended, also one that was stopped."""
        return self.repl.draft

    async def run(self, code: str, *, parent: str | None, seconds: float) -> CellResult:
        """Run one cell, after those that are running. Its model calls are shown under ``parent``. Raises TimeoutError
        when it has not ended after ``seconds``, ReplError when there is no worker for it."""
        async with asyncio.timeout(max(0.01, seconds)), self._cell:
            await self.ready()
            self.subcalls.parent = parent
            return await self.repl.run(code)

    async def ready(self) -> None:
        """Wait until the worker is up. Raises ReplError if it did not start; the next cell tries again."""
        starting, self._starting = self._starting, None
        if starting is not None:
            await starting

    async def close(self) -> None:
        """End the worker."""
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            await asyncio.wait((starting,))
            if not starting.cancelled() and (error := starting.exception()) is not None:
                log.warning("A message ran no code, and could not have: %s", error)
        await self.repl.close()


@dataclass
class _Seat:
    """A conversation's place: its workspace while a worker lives, else what was parked of it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    """Those who work here or wait for it."""
    workspace: Workspace | None = None
    parked: ReplMemory | None = None

    @property
    def live(self) -> bool:
        return self.users > 0 or self.workspace is not None

    async def park(self) -> None:
        if self.workspace is not None:
            self.parked = self.workspace.repl.memory
            await self.close()

    async def close(self) -> None:
        if self.workspace is not None:
            workspace, self.workspace = self.workspace, None
            await workspace.close()


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
        self._pool = WorkerPool(ready=False)
        self._seats: OrderedDict[str, _Seat] = OrderedDict()

    @asynccontextmanager
    async def borrow(
        self, question: Question, subcalls: SubCalls, *, conversation_id: str | None = None
    ) -> AsyncIterator[Workspace]:
        """A workspace with the question's material in it, for as long as the block runs."""
        if conversation_id is None:
            workspace = await self._open(question, subcalls)
            try:
                yield workspace
            finally:
                await workspace.close()
            return
        seat = self._seats.setdefault(conversation_id, _Seat())
        self._seats.move_to_end(conversation_id)
        seat.users += 1
        try:
            async with seat.lock:
                yield await self._seated(seat, question, subcalls)
        finally:
            seat.users -= 1
            if self._seats.get(conversation_id) is not seat:  # forgotten meanwhile
                await seat.close()
            await self._park_idle()
            self._pool.make_ready()

    def warm_up(self) -> None:
        """Have a worker ready for the first code."""
        self._pool.make_ready()

    async def close(self) -> None:
        """End all workers."""
        await self._pool.close()
        await self.forget_all()

    async def forget_all(self) -> None:
        """Close the workspaces of all conversations, and drop what was parked."""
        seats = list(self._seats.values())
        self._seats.clear()
        for seat in seats:
            await seat.close()

    async def forget(self, conversation_id: str) -> None:
        """Close the workspace of a conversation that is deleted, and drop what was parked of it."""
        seat = self._seats.pop(conversation_id, None)
        if seat is not None:
            await seat.close()

    async def _seated(self, seat: _Seat, question: Question, subcalls: SubCalls) -> Workspace:
        """The workspace of the seat, prepared for this message; the caller holds the seat's lock."""
        workspace = seat.workspace
        if workspace is not None:
            workspace.subcalls = subcalls
            try:
                await workspace.ready()
            except ReplError as error:  # this message tries again
                log.warning("The last message ran no code, and could not have: %s", error)
            await workspace.repl.prepare(
                query=question.text,
                context=question.context.text,
                documents=_documents(question),
                tables=_tables(question),
            )
            return workspace
        await self._park_idle()
        workspace = seat.workspace = await self._open(question, subcalls, seat.parked)
        seat.parked = None
        return workspace

    async def _park_idle(self) -> None:
        """End the longest unused idle workers beyond the limit, and forget the oldest of too much that is parked."""
        live = [seat for seat in self._seats.values() if seat.live]
        idle = [seat for seat in live if not seat.users]
        for seat in idle[: max(0, len(live) - LIVE_AT_MOST)]:
            if not seat.users:  # nobody came while another one was parked
                await seat.park()
        kept = 0
        for conversation_id, seat in reversed(list(self._seats.items())):
            kept += seat.parked.chars if seat.parked else 0
            if not seat.live and (seat.parked is None or not seat.parked.names or kept > PARKED_CHARS):
                del self._seats[conversation_id]

    async def _open(
        self, question: Question, subcalls: SubCalls, memory: ReplMemory | None = None
    ) -> Workspace:
        """A workspace whose worker starts; with ``memory`` it is up, and knows which variables are back."""
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
            memory=memory,
        )
        workspace = Workspace(repl, subcalls, asyncio.create_task(repl.start()))
        holder.append(workspace)
        if memory is not None and memory.names:
            try:
                await workspace.ready()
            except BaseException:
                await workspace.close()
                raise
        return workspace


def _documents(question: Question) -> list[ReplDocument]:
    return [ReplDocument(part.material.name, part.start, part.end) for part in question.context.parts]


def _tables(question: Question) -> list[ReplTable]:
    return [ReplTable(table.name, table.columns, table.rows) for table in question.context.tables]

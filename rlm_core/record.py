"""Every event of a message is written down before anybody sees it: in the trace, and in the growing answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from memory_store.errors import NotFound
from rlm_core.budget import CancelToken
from rlm_core.events import DoneEvent, Event, ModelCallFinishedEvent, ModelCallStartedEvent, PhaseEvent
from rlm_core.journal import Journal
from rlm_core.trace import TraceWriter, trace_path
from rlm_core.turns import Turn

if TYPE_CHECKING:
    from memory_store import MemoryStore

UNHURRIED = (PhaseEvent, ModelCallStartedEvent, ModelCallFinishedEvent)
GATHERING_SECONDS = 0.01
"""How long these wait for more, or for another event: writing down what has begun would hold up what is to begin, when a batch
of calls does."""
DELETED = "The answer was deleted while it was being made."


class Record:
    """The trace and the journal of one message. A question asked incognito has no trace, one that is not stored
    (``store`` None) no journal. ``cancel`` stops the work when the answer is deleted in the meantime."""

    def __init__(self, turn: Turn, data_dir: Path, store: MemoryStore | None, cancel: CancelToken) -> None:
        self.complete = False
        self.conversation_id = turn.request.conversation_id if store is not None else None
        self._cancel = cancel
        self._happened: list[Event] = []
        self._last: Event | None = None
        self._journal = Journal(store, turn.answer_id) if store is not None else None
        self._trace = None if turn.request.incognito else TraceWriter(trace_path(data_dir, turn.answer_id))

    async def keep(self, events: asyncio.Queue[Event]) -> list[Event]:
        """Wait for an event; what has happened by then is written down together and returned. The last event is returned
        alone, when the whole answer is committed: the record is ``complete`` then. Called again after it was
        cancelled, it loses nothing."""
        if self._last is None:
            happened = await self._noted(events)
            if happened:
                return happened
        assert self._last is not None
        await self._save(last=True)
        self.complete = True
        return [self._last]

    async def _noted(self, events: asyncio.Queue[Event]) -> list[Event]:
        happened = self._happened
        if not happened:
            happened.append(await self._next(events))
        if isinstance(happened[-1], UNHURRIED):
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHERING_SECONDS):
                    while isinstance(happened[-1], UNHURRIED):
                        happened.append(await events.get())
        while not events.empty():
            happened.append(events.get_nowait())
        self._happened = []
        if self._journal is not None:
            self._journal.note(happened)
        if self._trace is not None:
            self._trace.write(*happened)
        if isinstance(happened[-1], DoneEvent):
            self._last = happened.pop()
            if self._trace is not None:
                self._trace.close()
        else:
            await self._save(last=False)
        return happened

    async def _next(self, events: asyncio.Queue[Event]) -> Event:
        """The next event. What was said is committed in time, also while none comes."""
        while self._journal is not None and (due := self._journal.due) is not None:
            try:
                async with asyncio.timeout(due):
                    return await events.get()
            except TimeoutError:
                await self._save(last=False)
        return await events.get()

    async def _save(self, *, last: bool) -> None:
        if self._journal is None:
            return
        try:
            await self._journal.save(last=last)
        except NotFound:  # somebody deleted it in the store
            self.forget()

    def forget(self) -> None:
        """The answer is deleted: the work stops, nothing more of it is written down, and its trace is gone."""
        self._cancel.cancel(DELETED)
        self._journal = None
        trace, self._trace = self._trace, None
        if trace is not None:
            trace.discard()

    async def keep_rest(self, events: asyncio.Queue[Event]) -> None:
        """Write down all that is still to come, for a message that nobody listens to any more."""
        while not self.complete:
            await self.keep(events)

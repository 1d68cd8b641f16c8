"""Every event of a message is written down before anybody sees it: in the trace, and in the growing answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from memory_store.errors import NotFound, StoreError
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
NOT_STORED = "not_stored"
"""The code of the warning that the store does not take the answer."""


class Record:
    """The trace and the journal of one message. A question asked incognito has no trace, one that is not stored
    (``store`` None) no journal. ``cancel`` stops the work when the answer is deleted in the meantime; ``warn`` is told (code and
    text) when the store does not take it. ``stored`` is False then, until :meth:`store_late`."""

    def __init__(
        self,
        turn: Turn,
        data_dir: Path,
        store: MemoryStore | None,
        cancel: CancelToken,
        warn: Callable[[str, str], None],
    ) -> None:
        self.complete = False
        self.stored = True
        self.conversation_id = turn.request.conversation_id if store is not None else None
        self._cancel = cancel
        self._warn = warn
        self._happened: list[Event] = []
        self._last: Event | None = None
        self._tried = False  # to store the whole answer
        self._journal = Journal(store, turn.answer_id) if store is not None else None
        self._trace = None if turn.request.incognito else TraceWriter(trace_path(data_dir, turn.answer_id))

    async def keep(self, events: asyncio.Queue[Event]) -> list[Event]:
        """Wait for an event; what has happened by then is written down together and returned. The last event is returned
        alone, when the whole answer is committed, or the store has refused it: the record is ``complete`` then. Called again
        after it was cancelled, it loses nothing."""
        if self._last is None:
            happened = await self._noted(events)
            if happened:
                return happened
        assert self._last is not None
        if not self._tried:
            await self._save(last=True)
            self._tried = True
        if not events.empty():  # the store does not take it: this is said before the last event
            return await self._noted(events)
        if self._trace is not None:
            self._trace.write(self._last)
            self._trace.close()
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
        for event in happened:
            if isinstance(event, DoneEvent):  # a warning of the store may stand behind it
                self._last = event
        happened = [event for event in happened if event is not self._last]
        if self._journal is not None:
            self._journal.note(happened)
        if self._trace is not None:
            self._trace.write(*happened)
        if self._last is None:
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
        except StoreError as error:
            self.stored = False
            self._warn(NOT_STORED, f"This answer could not be stored when it was made. {error}")
        else:
            self.stored |= last

    async def store_late(self) -> None:
        """Store an answer that is complete and that the store did not take. Raises StoreError when it still does not."""
        if self._journal is not None:
            with suppress(NotFound):
                await self._journal.save(last=True)
        self.stored = True

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


class Records:
    """Those of one engine: of the answers that are being made, and of those that the store did not take."""

    def __init__(self) -> None:
        self._records: set[Record] = set()

    def add(self, record: Record) -> None:
        self._records.add(record)

    def complete(self, record: Record) -> None:
        """Nothing more comes."""
        if record.stored:
            self._records.discard(record)

    async def store_late(self) -> None:
        """Store the answers that the store did not take. Raises StoreError when it still does not."""
        for record in [record for record in self._records if record.complete and not record.stored]:
            await record.store_late()
            self._records.discard(record)

    def forget(self, conversation_id: str | None = None) -> None:
        """The answers of a conversation (None: all) are deleted."""
        for record in list(self._records):
            if conversation_id is None or record.conversation_id == conversation_id:
                record.forget()

"""An answer in the making is a job: it outlives the browser tab, and any number of views can follow it.

The engine writes question and growing answer to the store; a job runs the engine, keeps the events for those who come
later, and is the one place where an answer is stopped. Answers wait in one fair line in front of the model, and a
conversation is answered once at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rlm_core.budget import CancelToken
from rlm_core.errors import LocalRLMError
from rlm_core.events import DoneEvent, ErrorEvent, Event, PhaseEvent
from rlm_core.line import Line, Ticket
from rlm_core.request import MessageRequest
from rlm_core.turns import Turn

if TYPE_CHECKING:
    from rlm_core.engine import RLMEngine

log = logging.getLogger(__name__)

KEPT_AFTER_DONE = 64
"""Finished jobs whose events stay in memory for views that are a moment late."""


class ConversationBusy(LocalRLMError):
    """The conversation's last question is still being answered."""


class Job:
    """One answer being made. ``events`` grows until the last one, a ``done`` event. The material is not kept here: a
    job outlives its work."""

    def __init__(self, turn: Turn) -> None:
        self.message = turn.request.message
        self.message_id = turn.answer_id
        self.question_id = turn.question_id
        self.conversation_id = turn.request.conversation_id
        self.user = turn.request.user
        self.stored = turn.request.stored
        self.started_at = time.time()
        self.cancel_token = CancelToken()
        self.events: list[Event] = []
        self._grown = asyncio.Condition()

    @property
    def done(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], DoneEvent)

    def cancel(self) -> None:
        """Stop: the running model stream and the running cell end, what is there becomes a partial answer."""
        self.cancel_token.cancel()

    async def follow(self, start: int = 0) -> AsyncGenerator[Event, None]:
        """The events from number ``start`` on, those that are there at once and the others as they come."""
        position = start
        while True:
            async with self._grown:
                while len(self.events) <= position:
                    await self._grown.wait()
                fresh = self.events[position:]
            for event in fresh:
                yield event
                if isinstance(event, DoneEvent):
                    return
            position += len(fresh)

    async def wait(self) -> None:
        """Until the job is done."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.done)

    async def add(self, event: Event) -> None:
        async with self._grown:
            self.events.append(event)
            self._grown.notify_all()


class Jobs:
    """The jobs of one engine. ``at_once`` answers are made at the same time, the others wait in line."""

    def __init__(self, engine: RLMEngine, *, at_once: int = 2) -> None:
        self._engine = engine
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._line = Line(at_once)
        self._tickets: dict[str, Ticket] = {}
        self._beginning: set[str] = set()

    async def start(self, request: MessageRequest) -> Job:
        """Begin to answer. The question is committed to the store when this returns, if it is one to be stored.

        Raises :class:`ConversationBusy`, and MaterialError for documents that are not there.
        """
        conversation_id = request.conversation_id
        if conversation_id is not None and (
            conversation_id in self._beginning or self.running(conversation_id) is not None
        ):
            raise ConversationBusy(
                "The last question of this conversation is still being answered. Stop it first."
            )
        with self._beginning_in(conversation_id):
            turn = await self._engine.begin(request)
            job = Job(turn)
            self._forget_old()
            self._jobs[job.message_id] = job
        task = asyncio.create_task(self._work(job, turn), name=f"answer {job.message_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    @contextmanager
    def _beginning_in(self, conversation_id: str | None) -> Iterator[None]:
        """Keeps a conversation while its question is being committed and there is no job yet."""
        if conversation_id is None:
            yield
            return
        self._beginning.add(conversation_id)
        try:
            yield
        finally:
            self._beginning.discard(conversation_id)

    def get(self, message_id: str) -> Job | None:
        """The job that makes, or just made, this answer."""
        return self._jobs.get(message_id)

    def running(self, conversation_id: str) -> Job | None:
        """The job that is answering in this conversation right now."""
        return next(
            (job for job in self._jobs.values() if job.conversation_id == conversation_id and not job.done),
            None,
        )

    @property
    def active(self) -> list[Job]:
        """All jobs that are not done, those in line last."""
        return [job for job in self._jobs.values() if not job.done]

    def place_in_line(self, job: Job) -> int:
        """0 when its turn has come, 1 when it is the next, and so on."""
        ticket = self._tickets.get(job.message_id)
        return self._line.ahead(ticket) if ticket is not None else 0

    async def close(self) -> None:
        """Stop all jobs and wait until what they have is saved."""
        for job in self.active:
            job.cancel_token.cancel("The app was closed.")
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, job: Job, turn: Turn) -> None:
        ticket = self._line.enter(job.user)
        self._tickets[job.message_id] = ticket
        try:
            await self._wait_in_line(job, ticket)
            async for event in self._engine.answer(turn, cancel=job.cancel_token):
                await job.add(event)
        except Exception:
            log.exception("The answer %s failed in an unforeseen way", job.message_id)
            await self._fail(job)
        finally:
            del self._tickets[job.message_id]
            self._line.leave(ticket)

    async def _wait_in_line(self, job: Job, ticket: Ticket) -> None:
        """Until the job's turn has come or it is cancelled; says each time how many are before it."""
        task = asyncio.current_task()
        assert task is not None
        told = 0
        try:
            with job.cancel_token.watching(task):
                while not ticket.turn.done():
                    ahead = self._line.ahead(ticket)
                    if ahead != told:
                        await self._tell_place(job, ahead)
                        told = ahead
                    await self._line.moved()
        except asyncio.CancelledError:
            if not job.cancel_token.cancelled:
                raise
            task.uncancel()

    async def _tell_place(self, job: Job, ahead: int) -> None:
        text = f"queued: {f'{ahead} answers have' if ahead > 1 else '1 answer has'} to finish first"
        now = time.time()
        await job.add(
            PhaseEvent(id=f"queued-{ahead}", parent_id=None, message_id=job.message_id, ts=now, text=text)
        )

    async def _fail(self, job: Job) -> None:
        text = "Something went wrong inside LocalRLM. What was said so far is saved; the log has the details."
        now, message_id = time.time(), job.message_id
        await job.add(
            ErrorEvent(id="failed", parent_id=None, message_id=message_id, ts=now, code="internal", text=text)
        )
        await job.add(DoneEvent(id="failed-done", parent_id=None, message_id=message_id, ts=now))

    def _forget_old(self) -> None:
        finished = [job for job in self._jobs.values() if job.done]
        for job in finished[: max(0, len(finished) - KEPT_AFTER_DONE)]:
            del self._jobs[job.message_id]

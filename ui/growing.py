"""An answer in the making, as the chat draws it: some pictures a second, whatever the speed of the model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from rlm_core.backends.base import ChatMessage as Said
from rlm_core.events import CodeEvent, Event, PhaseEvent, TokenEvent, TurnStartedEvent
from rlm_core.jobs import Job
from ui.chat_view import AnswerState, ChatMessage, answer, unstored
from ui.html import block, esc
from ui.steps import doing, steps_html

FRAME, LONGEST_FRAME = 0.055, 0.15
"""Seconds between two pictures (about 18 a second). The browser draws the whole conversation anew at each of them, so in a long
one there are fewer, down to 7 a second, and it stays smooth to scroll and type in."""
SHORT = 40
"""Messages up to which a conversation is short."""
LOOK_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Frame:
    """One picture of a growing answer: its messages, and the line that says what is going on."""

    messages: list[ChatMessage]
    phase: str


def first_frame(job: Job) -> Frame:
    """The picture at once, without its steps."""
    return Frame(answer(state_of(job), ""), phase_line(going_on(job.events), job.started_at))


async def frames(job: Job, beside: int = 0) -> AsyncIterator[Frame | None]:
    """Pictures until the answer is done, ``beside`` so many messages. None after a second without any news: a chance to
    leave."""
    pause = min(FRAME * max(1.0, beside / SHORT), LONGEST_FRAME)
    seen, steps, drawn = 0, "", -1
    while not (job.done and seen == len(job.events)):
        if not await _news(job, seen):
            yield None
            continue
        await asyncio.sleep(pause)
        seen = len(job.events)
        worth = sum(not isinstance(event, TokenEvent | PhaseEvent) for event in job.events)
        if worth != drawn:
            drawn, steps = worth, steps_html(job.events, job.message_id, live=True)
        yield Frame(answer(state_of(job), steps), phase_line(going_on(job.events), job.started_at))


def state_of(job: Job) -> AnswerState:
    """The answer as far as it has come."""
    return AnswerState.live(job.message_id, job.events)


def phase_line(text: str, since: float) -> str:
    """What is going on, with a clock that counts from ``since`` (seconds since the epoch)."""
    clock = f'<span class="elapsed since-{since * 1000:.0f}"></span>'
    return block(f'<div class="phase" role="status"><span class="spinner"></span>{esc(text)} {clock}</div>')


def without_store(job: Job, *, grows: bool) -> list[ChatMessage]:
    """Question and answer of a conversation that is not stored; while the answer grows, only the question."""
    if grows:
        return unstored(job.message, None)
    return unstored(job.message, state_of(job), steps_html(job.events, job.message_id, live=False))


def history_of(jobs: Sequence[Job]) -> list[Said]:
    """What was said in a conversation that is not stored."""
    pairs = ((Said("user", job.message), Said("assistant", state_of(job).text)) for job in jobs)
    return [message for pair in pairs for message in pair if message.content.strip()]


def going_on(events: Sequence[Event]) -> str:
    """What is going on: ``turn 2: searching``; once the answer's text comes, that it is being written."""
    words = ""
    for event in reversed(events):
        match event:
            case TokenEvent():
                return "writing"
            case CodeEvent() if words in ("", "running code"):
                words = doing(event.code)
            case PhaseEvent() if not words:
                words = event.text
            case TurnStartedEvent():
                turn = event.title or f"turn {event.iteration}"
                return f"{turn}: {words}" if words else turn
    return words or "starting"


async def _news(job: Job, seen: int) -> bool:
    """True as soon as there are events after number ``seen``; False after a second without any."""

    async def first() -> bool:
        async with aclosing(job.follow(seen)) as stream:
            async for _ in stream:
                return True
        return False

    try:
        return await asyncio.wait_for(first(), LOOK_UP_SECONDS)
    except TimeoutError:
        return False

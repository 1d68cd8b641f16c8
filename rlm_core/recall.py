"""What was said before, for one question: the working memory, and what long-term memory adds to it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from rlm_core.backends.base import ChatMessage
from rlm_core.events import PhaseEvent, RecalledMemory, RecallEvent
from rlm_core.question import Question, shorten
from rlm_core.request import MessageRequest
from rlm_core.run import Run
from rlm_core.settings import Settings
from rlm_core.turns import Turn

if TYPE_CHECKING:
    from memory_store import MemoryStore, Message, Recall

MEMORY_CHARS = 500
"""What a prompt carries of one recalled message."""
PREVIEW_CHARS = 200
_GREETING = re.compile(r"\W*(?:\w+\W*){1,2}")
"""One or two words: nothing to remember by."""


def foresee(request: MessageRequest, settings: Settings, store: MemoryStore) -> None:
    """What :func:`recall` will need and can be had before the question is stored. Blocks."""
    if _worth_recalling(request, settings):
        store.expect(request.message)


async def recall(run: Run, turn: Turn, question: Question, store: MemoryStore) -> Question:
    """The question with the last messages of its conversation, and the messages of all the user's conversations that
    have to do with it (DESIGN.md 4.8 ``memory``)."""
    run.emit(PhaseEvent, text="remembering")
    working, hits = await asyncio.to_thread(_look_back, turn, run.settings, store)
    if hits:
        run.emit(RecallEvent, memories=tuple(_remembered(hit) for hit in hits))
    return replace(question, history=_as_chat(working), memories=_lines(hits))


def _look_back(
    turn: Turn, settings: Settings, store: MemoryStore
) -> tuple[Sequence[Message], Sequence[Recall]]:
    """The last messages of the conversation, and what else has to do with the question."""
    request = turn.request
    assert request.conversation_id is not None
    asking = (turn.question_id, turn.answer_id)
    said = [m for m in store.messages(request.conversation_id) if m.id not in asking and m.text.strip()]
    working = said[max(0, len(said) - settings.memory.working_messages) :]
    if not _worth_recalling(request, settings):
        return working, ()
    in_prompt = {*asking, *(message.id for message in working)}
    return working, store.recall(
        request.message, settings.memory.recall, user=request.user, exclude=in_prompt
    )


def _worth_recalling(request: MessageRequest, settings: Settings) -> bool:
    return request.stored and settings.memory.recall > 0 and not _GREETING.fullmatch(request.message)


def _as_chat(messages: Sequence[Message]) -> tuple[ChatMessage, ...]:
    return tuple(ChatMessage("assistant" if m.role == "assistant" else "user", m.text) for m in messages)


def _remembered(hit: Recall) -> RecalledMemory:
    return RecalledMemory(
        hit.message_id, hit.role, shorten(hit.text, PREVIEW_CHARS), hit.score, hit.created_at
    )


def _lines(hits: Sequence[Recall]) -> tuple[str, ...]:
    """As they stand in prompts, oldest first."""
    return tuple(
        f"({datetime.fromtimestamp(hit.created_at):%Y-%m-%d}, {hit.role}) {shorten(hit.text, MEMORY_CHARS)}"
        for hit in sorted(hits, key=lambda hit: hit.created_at)
    )

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
from rlm_core.run import Run
from rlm_core.turns import Turn

if TYPE_CHECKING:
    from memory_store import MemoryStore, Message, Recall

MEMORY_CHARS = 500
"""What a prompt carries of one recalled message."""
PREVIEW_CHARS = 200
_GREETING = re.compile(r"\W*(?:\w+\W*){1,2}")
"""One or two words: nothing to remember by."""


async def recall(run: Run, turn: Turn, question: Question, store: MemoryStore) -> Question:
    """The question with the last messages of its conversation, and the messages of all the user's conversations that
    have to do with it (DESIGN.md 4.8 ``memory``)."""
    request = turn.request
    assert request.conversation_id is not None
    run.emit(PhaseEvent, text="remembering")
    memory = run.settings.memory
    said = await asyncio.to_thread(store.messages, request.conversation_id)
    before = [m for m in said if m.id not in (turn.question_id, turn.answer_id) and m.text.strip()]
    working = before[max(0, len(before) - memory.working_messages) :]
    question = replace(question, history=_as_chat(working))
    if not memory.recall or _GREETING.fullmatch(request.message):
        return question
    in_prompt = {turn.question_id, turn.answer_id, *(message.id for message in working)}
    hits = await asyncio.to_thread(
        lambda: store.recall(request.message, memory.recall, user=request.user, exclude=in_prompt)
    )
    if hits:
        run.emit(RecallEvent, memories=tuple(_remembered(hit) for hit in hits))
    return replace(question, memories=_lines(hits))


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

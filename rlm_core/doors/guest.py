"""A question that comes through somebody else's protocol (OpenAI's, Ollama's).

Unlike an answer asked for at our own doors it belongs to the line it came over: when the client goes away, the engine
stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from rlm_core.doors.foreign import Said, as_question
from rlm_core.doors.house import House
from rlm_core.errors import ModelMissing
from rlm_core.jobs import Job
from rlm_core.request import MessageRequest

RLM, RLM_DIRECT = "rlm", "rlm-direct"
MODELS = (RLM, RLM_DIRECT)
_LOOK_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Guest:
    """``model`` is ``rlm``, ``rlm-direct`` or a model of the backend."""

    house: House
    user: str
    model: str
    chat: tuple[Said, ...]
    conversation_id: str | None = None
    documents: list[str] | None = None

    async def until_done_or_gone(self, job: Job, request: Request) -> None:
        """Wait for the whole answer, or stop it when nobody is there any more to read it."""
        done = asyncio.ensure_future(job.wait())
        try:
            while not done.done():
                await asyncio.wait({done}, timeout=_LOOK_EVERY_SECONDS)
                if not done.done() and await request.is_disconnected():
                    job.cancel()
                    await done
        finally:
            done.cancel()


async def ask_for(guest: Guest) -> Job:
    """Begin to answer. Raises NoQuestion, NotHere, ModelMissing, ConversationBusy."""
    house = guest.house
    asked = as_question(guest.chat)
    await asyncio.to_thread(house.may_answer_in, guest.conversation_id, guest.documents, guest.user)
    model = guest.model.removesuffix(":latest")
    own = model in MODELS
    if not own:
        await _check_model(house, guest.model)
    stored = guest.conversation_id is not None
    request = MessageRequest(
        asked.question,
        conversation_id=guest.conversation_id,
        documents=guest.documents,
        context=asked.context,
        history=() if stored else asked.history,
        mode="direct" if model == RLM_DIRECT else "auto",
        model=None if own else guest.model,
        user=guest.user,
        incognito=not stored,
    )
    return await house.jobs.start(request)


async def _check_model(house: House, name: str) -> None:
    async with house.engine.backend() as backend:
        installed = [info.name for info in await backend.models()]
    if name not in installed and f"{name}:latest" not in installed:
        raise ModelMissing(name, f"Use 'rlm', or one of: {', '.join(installed) or 'none installed'}.")


def content_text(parts: Sequence[tuple[str, str | None]]) -> str:
    """The text of a message that comes in parts; pictures and sounds are left out, and the text says so."""
    return "\n".join(
        text if text is not None and kind == "text" else f"[{kind} left out: only text is read]"
        for kind, text in parts
    )

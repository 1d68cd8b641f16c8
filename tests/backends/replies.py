"""Reading a backend's stream in a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlm_core.backends.base import Backend, CallUsage, ChatMessage, ChatOptions


@dataclass(frozen=True)
class Whole:
    """A reply read to its end."""

    text: str
    thinking: str
    reason: str | None
    usage: CallUsage | None
    pieces: int


def user(text: str) -> list[ChatMessage]:
    return [ChatMessage("user", text)]


def options(**values: Any) -> ChatOptions:
    return ChatOptions(**{"num_ctx": 4096, "temperature": 0.0, **values})


async def whole(
    backend: Backend, model: str, messages: list[ChatMessage], chat_options: ChatOptions
) -> Whole:
    chunks = [chunk async for chunk in backend.chat(model, messages, chat_options)]
    return Whole(
        text="".join(chunk.text for chunk in chunks),
        thinking="".join(chunk.thinking for chunk in chunks),
        reason=chunks[-1].finish_reason,
        usage=chunks[-1].usage,
        pieces=sum(1 for chunk in chunks if chunk.text),
    )


async def collect(
    backend: Backend, model: str, messages: list[ChatMessage], chat_options: ChatOptions, into: list[str]
) -> None:
    """Read a reply into a list that outlives an exception."""
    async for chunk in backend.chat(model, messages, chat_options):
        into.append(chunk.text)

"""The streamed reply of the OpenAI chat protocol: server-sent events in, pieces of the reply out.

Two backends read it: OpenAI-compatible servers, and the embedded llama.cpp, which speaks it too and adds ``timings``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rlm_core.backends.base import CallUsage, ChatChunk
from rlm_core.backends.http_client import Lines
from rlm_core.backends.thinking import ThinkSplitter


class ServerError(Exception):
    """The server reported an error in the middle of the stream; the message is its own."""


class OpenAIStream:
    """Feed it bytes. It is ``done`` when the server said so; a stream that ends before was broken off.

    The counts come after the last piece of text, so the chunk with the finish reason is handed out by :meth:`finish`.
    """

    def __init__(self) -> None:
        self.done = False
        self.characters = 0
        self._lines = Lines()
        self._splitter = ThinkSplitter()
        self._reason: str | None = None
        self._usage: CallUsage | None = None

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """The chunks that these bytes complete, each before what follows is looked at. Raises ServerError, and ValueError
        on anything but JSON."""
        for line in filter(None, self._lines.feed(data)):
            kind, _, value = line.decode("utf-8", "replace").strip().partition(":")
            value = value.strip()
            if kind == "error" or (kind == "data" and value.startswith('{"error"')):
                raise ServerError(value)
            if kind != "data" or not value:
                continue
            if value == "[DONE]":
                self.done = True
                continue
            text, thinking = self._said(json.loads(value))
            if text or thinking:
                yield ChatChunk(text, thinking)

    def finish(self) -> ChatChunk:
        """The last chunk, with the finish reason and the counts. For a stream that is ``done``, or that ended after the
        server gave its finish reason (some servers leave out the last line)."""
        thinking, text = self._splitter.finish()
        return ChatChunk(text, thinking, self._reason or "stop", self._usage)

    @property
    def complete(self) -> bool:
        """Whether the reply is whole."""
        return self.done or self._reason is not None

    def _said(self, part: dict[str, Any]) -> tuple[str, str]:
        """The text and the thinking in it."""
        self._count(part)
        choices = part.get("choices") or []
        if not choices:
            return "", ""
        choice = choices[0]
        delta = choice.get("delta") or {}
        if choice.get("finish_reason"):
            self._reason = "length" if choice["finish_reason"] == "length" else "stop"
        inline, text = self._splitter.feed(delta.get("content") or "")
        stated = delta.get("reasoning_content") or delta.get("reasoning") or ""
        self.characters += len(text)
        return text, (stated if isinstance(stated, str) else "") + inline

    def _count(self, part: dict[str, Any]) -> None:
        timings = part.get("timings")
        usage = part.get("usage")
        if usage:
            details = usage.get("prompt_tokens_details") or {}
            self._usage = CallUsage(
                tokens_in=usage.get("prompt_tokens") or 0,
                tokens_out=usage.get("completion_tokens") or 0,
                tokens_cached=details.get("cached_tokens") or 0,
            )
        if timings:
            cached = max(0, timings.get("cache_n", 0))
            self._usage = CallUsage(
                tokens_in=cached + timings.get("prompt_n", 0),
                tokens_out=timings.get("predicted_n", 0),
                tokens_cached=cached,
                prompt_seconds=timings.get("prompt_ms", 0.0) / 1000,
                reply_seconds=timings.get("predicted_ms", 0.0) / 1000,
            )

"""What a script is: a plain function from a chat request to a reply, and how a reply is played to a client.

Token counting here is deterministic: a token is a word of up to seven letters with the space before it, up to three
digits, a run of white space, or one other character (English text comes to about 4 characters a token). A prompt
costs its tokens, 4 more for each message and 3 for the start of the reply. A streamed piece is exactly one token.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tests.scripted.wire import Dropped, Exchange, WireServer

_TOKEN = re.compile(r" ?[^\W\d_]{1,7}|\d{1,3}|\s+|[\w]|[^\w\s]")
PER_MESSAGE = 4
PER_REPLY = 3


def tokenize(text: str) -> list[str]:
    """The tokens of a text; joined they are the text again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    return sum(1 for _ in _TOKEN.finditer(text))


@dataclass(frozen=True)
class Message:
    role: str
    content: str


def prompt_tokens(messages: Iterable[Message]) -> int:
    return PER_REPLY + sum(count(message.content) + PER_MESSAGE for message in messages)


@dataclass(frozen=True)
class ChatRequest:
    """What the model is given. ``body`` is the request's whole JSON, ``tokens`` the size of the prompt."""

    model: str
    messages: tuple[Message, ...]
    tokens: int
    window: int
    schema: dict[str, Any] | None
    think: bool | None
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return "\n".join(message.content for message in self.messages if message.role == "system")

    @property
    def last(self) -> str:
        """The last message's text."""
        return self.messages[-1].content

    @property
    def text(self) -> str:
        """Everything that the model can see."""
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True)
class Reply:
    """What the model says, and what goes wrong on the way.

    ``tokens_per_second`` None is as fast as possible. ``drop_after`` breaks the connection after that many characters
    of text; with ``error`` it sends an error line there instead. ``hold_after`` stops there and keeps the connection
    open until the client leaves. ``status`` other than 200 answers with ``error`` and no stream, 0 breaks the connection
    without an answer. ``content_null`` sends null instead of text. ``done_reason`` and the counts replace those that the
    server would report; ``no_usage`` leaves the counts out.
    """

    text: str = ""
    thinking: str = ""
    tokens_per_second: float | None = None
    drop_after: int | None = None
    hold_after: int | None = None
    status: int = 200
    error: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    content_null: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    no_usage: bool = False


Script = Callable[[ChatRequest], "str | Reply"]


@dataclass(frozen=True)
class Piece:
    """One step of a reply: a token of ``thinking`` or ``text``, or an ``error`` in the middle of it."""

    kind: Literal["thinking", "text", "error"]
    text: str


@dataclass(frozen=True)
class Cut:
    """A reply after the limits of the request: how much of it is said, and why it ends."""

    thinking: list[str]
    text: list[str]
    reason: str

    @property
    def tokens(self) -> int:
        return len(self.thinking) + len(self.text)


def cut(reply: Reply, limit: int | None, stop: Iterable[str]) -> Cut:
    """Apply a token limit and stop sequences to a reply."""
    text, reason = reply.text, reply.done_reason or "stop"
    for ending in stop:
        text = text.split(ending, 1)[0]
    thinking, tokens = tokenize(reply.thinking), tokenize(text)
    if limit is not None and len(thinking) + len(tokens) > limit:
        reason = "length"
        thinking = thinking[:limit]
        tokens = tokens[: limit - len(thinking)]
    return Cut(thinking, tokens, reason)


class ScriptedServer(WireServer):
    """What both protocols share: the script, the record of what was asked, the measured prompts.

    ``requests`` are the JSON bodies of all chat requests in order, ``aborted`` the number of streams that the client
    closed, ``largest_prompt`` the size in tokens of the largest prompt that a script was given, ``peak_parallel`` the
    most chats under way at once. The script is called in a thread, several calls may run at once.
    """

    def __init__(
        self, script: Script, *, port: int = 0, window: int = 8192, tokens_per_second: float | None = None
    ) -> None:
        super().__init__(port)
        self.script = script
        self.window = window
        self.tokens_per_second = tokens_per_second
        self.requests: list[dict[str, Any]] = []
        self.aborted = 0
        self.largest_prompt = 0
        self.peak_parallel = 0
        self._in_flight = 0
        self._changed = threading.Condition()

    @staticmethod
    def count(text: str) -> int:
        """Tokens of a text, without the cost of the message around it."""
        return count(text)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        """Block until a fact about this server holds, for example ``lambda: server.aborted == 1``."""
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise AssertionError(f"The scripted server did not get there within {seconds} s.")

    def note(self, **changes: int) -> None:
        """Add to counters and wake those who wait for them."""
        with self._changed:
            for name, amount in changes.items():
                setattr(self, name, getattr(self, name) + amount)
            self.peak_parallel = max(self.peak_parallel, self._in_flight)
            self._changed.notify_all()

    async def ask_script(self, request: ChatRequest) -> Reply:
        with self._changed:
            self.largest_prompt = max(self.largest_prompt, request.tokens)
        reply = await asyncio.to_thread(self.script, request)
        return Reply(reply) if isinstance(reply, str) else reply

    async def play(self, exchange: Exchange, reply: Reply, said: Cut) -> AsyncIterator[Piece]:
        """The pieces of a reply at its speed, with the accidents that it asks for.

        Raises Dropped after breaking the connection, ClientGone when the client left.
        """
        limit = reply.drop_after if reply.drop_after is not None else reply.hold_after
        text = said.text if limit is None else tokenize("".join(said.text)[:limit])
        pieces = [Piece("thinking", token) for token in said.thinking] + [
            Piece("text", token) for token in text
        ]
        speed = reply.tokens_per_second or self.tokens_per_second
        started = time.monotonic()
        for number, piece in enumerate(pieces):
            if speed:
                await exchange.pause(max(0.0, started + number / speed - time.monotonic()))
            yield piece
        if reply.hold_after is not None:
            await exchange.pause(None)
        if reply.drop_after is not None:
            if reply.error is None:
                exchange.drop()
                raise Dropped
            yield Piece("error", reply.error)


def echo(request: ChatRequest) -> str:
    """The simplest script: says back what it was told last."""
    return f"You said: {request.last}"

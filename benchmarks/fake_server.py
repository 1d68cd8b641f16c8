"""A model server for measurements: the OpenAI chat protocol on loopback, replies by rote, arrival times on record.

It answers as fast as it can (or after a fixed delay) and knows no model. Connections stay open. What the clients do
between a reply and their next request is then all their own. It shares the processor with them, so it takes requests apart
as they arrive, without streams and tasks: that costs it half as much.
"""

from __future__ import annotations

import asyncio
import json
import re
import selectors
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any

MODEL = "fake"
MODELS = {
    "object": "list",
    "data": [{"id": MODEL, "object": "model", "owned_by": "nobody", "max_model_len": 131_072}],
}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Exchange:
    """One chat request and its reply. Times in seconds on the machine's monotonic clock, the same in every
    process; ``answered`` is just before the reply goes out."""

    is_root: bool
    arrived: float
    answered: float
    prompt_chars: int


Reply = Callable[[Sequence[dict[str, Any]], bool], tuple[str, float]]
"""From the messages and whether the root model asks, to the text of the reply and its delay in seconds."""


class FakeServer:
    """Serves in a thread of its own while the ``with`` block runs. A request in which ``question`` stands is the root's,
    any other a sub-call."""

    def __init__(self, reply: Reply, question: str) -> None:
        self.reply = reply
        self.question = question
        self.exchanges: list[Exchange] = []
        # the usual selector of Linux counts in milliseconds: replies would come up to one too late
        self._loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        starting = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=256)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def take(self) -> list[Exchange]:
        """What came in since the last time."""
        taken, self.exchanges = self.exchanges, []
        return taken


class _Connection(asyncio.Protocol):
    """A client's connection: one request after the other."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, rest = self._unread.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not end or len(rest) < size:
            return
        arrived = time.monotonic()
        self._unread = rest[size:]
        if head.startswith(b"POST"):
            self._chat(json.loads(rest[:size]), arrived)
        else:
            self._transport.write(_framed("application/json", json.dumps(MODELS)))

    def _chat(self, request: dict[str, Any], arrived: float) -> None:
        messages = request["messages"]
        is_root = any(self._server.question in str(message["content"]) for message in messages)
        text, delay = self._server.reply(messages, is_root)
        chars = sum(len(str(message["content"])) for message in messages)
        reply = _streamed(text, chars) if request.get("stream") else _whole(text, chars)

        def answer() -> None:
            self._server.exchanges.append(Exchange(is_root, arrived, time.monotonic(), chars))
            self._transport.write(reply)  # into the void if the client is gone

        if delay:
            asyncio.get_running_loop().call_later(delay, answer)
        else:
            answer()


def _usage(chars: int) -> dict[str, int]:
    return {"prompt_tokens": chars // 4, "completion_tokens": 10, "total_tokens": chars // 4 + 10}


@lru_cache
def _streamed(text: str, chars: int) -> bytes:
    """The reply as server-sent events."""
    said = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    over = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunk = {"id": "x", "created": 0, "model": MODEL, "object": "chat.completion.chunk"}
    parts = ({"choices": [said]}, {"choices": [over]}, {"choices": [], "usage": _usage(chars)})
    events = "".join(f"data: {json.dumps(chunk | part)}\n\n" for part in parts)
    return _framed("text/event-stream", f"{events}data: [DONE]\n\n")


@lru_cache
def _whole(text: str, chars: int) -> bytes:
    """The reply as one object."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    common = {"id": "x", "created": 0, "model": MODEL, "object": "chat.completion"}
    return _framed("application/json", json.dumps({**common, "choices": [choice], "usage": _usage(chars)}))


def _framed(kind: str, text: str) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n\r\n"
    return head.encode() + body

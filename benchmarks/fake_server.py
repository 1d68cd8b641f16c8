"""A model server for measurements: the OpenAI chat protocol on loopback, replies by rote, arrival times on record.

It answers as fast as it can (or after a fixed delay) and knows no model. Connections stay open. What the clients do
between a reply and their next request is then all their own.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

MODEL = "fake"


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
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256, limit=2**24)
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                arrived = time.monotonic()
                if head.startswith("post"):
                    await self._chat(json.loads(body), arrived, writer)
                else:
                    listed = {"id": MODEL, "object": "model", "owned_by": "nobody", "max_model_len": 131_072}
                    await _send(writer, "application/json", json.dumps({"object": "list", "data": [listed]}))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _chat(self, request: dict[str, Any], arrived: float, writer: asyncio.StreamWriter) -> None:
        messages = request["messages"]
        is_root = any(self.question in str(message["content"]) for message in messages)
        text, delay = self.reply(messages, is_root)
        chars = sum(len(str(message["content"])) for message in messages)
        usage = {"prompt_tokens": chars // 4, "completion_tokens": 10, "total_tokens": chars // 4 + 10}
        if delay:
            await asyncio.sleep(delay)
        common = {"id": "x", "created": 0, "model": MODEL}
        if request.get("stream"):
            chunk = {**common, "object": "chat.completion.chunk"}
            said = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
            over = {"index": 0, "delta": {}, "finish_reason": "stop"}
            parts = [
                {**chunk, "choices": [said]},
                {**chunk, "choices": [over]},
                {**chunk, "choices": [], "usage": usage},
            ]
            events = "".join(f"data: {json.dumps(part)}\n\n" for part in parts) + "data: [DONE]\n\n"
            self.exchanges.append(Exchange(is_root, arrived, time.monotonic(), chars))
            await _send(writer, "text/event-stream", events)
        else:
            whole = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": whole, "finish_reason": "stop"}
            answer = {**common, "object": "chat.completion", "choices": [choice], "usage": usage}
            body = json.dumps(answer)
            self.exchanges.append(Exchange(is_root, arrived, time.monotonic(), chars))
            await _send(writer, "application/json", body)


async def _send(writer: asyncio.StreamWriter, kind: str, text: str) -> None:
    body = text.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()

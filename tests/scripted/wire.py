"""A small HTTP/1.1 server in a thread of its own, with control over what a web framework hides.

It can break a connection in the middle of an answer, hold a stream open, and see at once that a client went away.
It knows nothing about models.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class ClientGone(Exception):
    """The client closed its connection before the answer was complete."""


class Dropped(ClientGone):
    """We broke the connection, because the script asked for it."""


@dataclass(frozen=True)
class HttpRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; an empty body is an empty object. Raises ValueError."""
        return json.loads(self.body) if self.body else {}


class _Protocol(asyncio.StreamReaderProtocol):
    """Tells the handler at once when the client leaves."""

    gone: asyncio.Event

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


class Exchange:
    """One request and the answer to it."""

    def __init__(self, request: HttpRequest, writer: asyncio.StreamWriter, gone: asyncio.Event) -> None:
        self.request = request
        self.gone = gone
        self._writer = writer
        self._streaming = False

    async def send_json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        await self._send(status, "application/json; charset=utf-8", body, headers)

    async def send_text(self, status: int, text: str) -> None:
        await self._send(status, "text/plain", text.encode())

    async def start_stream(self, content_type: str) -> None:
        self._streaming = True
        await self._write(self._head(200, content_type, {"Transfer-Encoding": "chunked"}))

    async def stream(self, data: bytes) -> None:
        """One chunk of a stream. Raises ClientGone."""
        await self._write(b"%x\r\n%b\r\n" % (len(data), data))

    async def finish_stream(self) -> None:
        await self._write(b"0\r\n\r\n")

    async def pause(self, seconds: float | None) -> None:
        """Wait; ``None`` means until the client leaves. Raises ClientGone as soon as it does."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), seconds)
        if self.gone.is_set():
            raise ClientGone

    def drop(self) -> None:
        """Break the connection without ending the answer."""
        self._writer.transport.abort()

    async def _send(
        self, status: int, content_type: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        head = self._head(status, content_type, {"Content-Length": str(len(body)), **(headers or {})})
        await self._write(head + body)

    @staticmethod
    def _head(status: int, content_type: str, headers: dict[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"Content-Type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def _write(self, data: bytes) -> None:
        if self.gone.is_set():
            raise ClientGone
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError:
            raise ClientGone from None


class WireServer:
    """``with WireServer() as server: server.url``. A subclass answers in :meth:`handle`.

    ``port`` 0 takes a free one; the port stays the same when the server is stopped and started again. ``connections``
    counts those that clients opened.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self.connections = 0
        self.crashes: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._transports: set[asyncio.WriteTransport] = set()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def handle(self, exchange: Exchange) -> None:
        raise NotImplementedError

    def start(self) -> Self:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        self.port = listener.getsockname()[1]
        listener.listen(512)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready), name="scripted", daemon=True
        )
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Stop listening and break every open connection, as a killed server does."""
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None and self.crashes:
            raise AssertionError("The scripted server or its script failed:\n" + "\n".join(self.crashes))

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        loop = self._loop = asyncio.new_event_loop()

        def connection() -> _Protocol:
            reader = asyncio.StreamReader(limit=1 << 20, loop=loop)
            protocol = _Protocol(reader, self._serve, loop=loop)
            protocol.gone = asyncio.Event()
            return protocol

        server = loop.run_until_complete(loop.create_server(connection, sock=listener))
        ready.set()
        loop.run_forever()
        loop.run_until_complete(self._end(server))
        loop.close()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        for transport in list(self._transports):
            transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        protocol = transport.get_protocol()
        assert isinstance(protocol, _Protocol)
        self.connections += 1
        self._transports.add(transport)
        try:
            while (request := await _read_request(reader)) is not None:
                await self.handle(Exchange(request, writer, protocol.gone))
        except (ClientGone, ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception:
            self.crashes.append(traceback.format_exc())
            transport.abort()
        finally:
            self._transports.discard(transport)
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return HttpRequest(method, path.partition("?")[0], headers, body)

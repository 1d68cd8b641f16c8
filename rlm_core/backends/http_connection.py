"""One HTTP/1.1 connection to a model server, and the answer that streams out of it.

Many tokens arrive as many small packets: whoever reads is woken once and gets all that has come since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

# The longest silence in an answer: loading a large model from a slow disk and reading a long prompt both say nothing.
SILENCE_SECONDS = 900.0
UNREAD_BYTES = 1 << 20
"""So much of an answer may wait to be read before the server is held back."""


class HttpError(Exception):
    """The request was not answered."""


class NotConnected(HttpError):
    """Nothing answers at that address."""


class BrokenOff(HttpError):
    """The connection ended before the answer was whole, or what came is not HTTP."""


class Silent(HttpError):
    """The server said nothing for too long."""


class Response:
    """The answer to one request: ``status`` and ``headers`` (names in small letters) at once, the body as it comes."""

    def __init__(self, connection: Connection) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self._connection = connection
        self._pieces: list[bytes] = []
        self._unread = 0
        self._error: HttpError | None = None
        self._waiting: asyncio.Future[None] | None = None

    def __aiter__(self) -> Response:
        return self

    async def __anext__(self) -> bytes:
        """What has arrived since the last time. Raises BrokenOff and Silent."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.complete:
                raise StopAsyncIteration
            await self._news()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._unread = 0
        if not self.complete:
            self._connection.hold_back(False)
        return data

    async def read(self) -> bytes:
        """All the rest."""
        return b"".join([piece async for piece in self])

    def close(self) -> None:
        """Done with it. What is still to come is not waited for: the connection is closed, and the server stops."""
        if not self.complete:
            self._connection.end()

    # for the connection

    async def headed(self) -> None:
        """Until the head is there."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._news()

    def begin(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers
        self._wake()

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self._unread += len(data)
        if self._unread > UNREAD_BYTES:
            self._connection.hold_back(True)
        self._wake()

    def end(self, error: HttpError | None = None) -> None:
        self.complete, self._error = error is None, error
        self._wake()

    async def _news(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Connection(asyncio.Protocol):
    """Answers one request at a time. ``free`` takes it back when an answer is whole, ``gone`` is told when it has ended."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        free: Callable[[Connection], None],
        gone: Callable[[Connection], None],
    ) -> None:
        self.was_stale = False
        """Whether the server had closed it, after earlier answers, when the last request was on its way."""
        self._loop = loop
        self._free = free
        self._gone = gone
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._transport: asyncio.Transport
        self._response: Response | None = None
        self._used_before = False
        self._heard = loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self._held_back = False

    async def ask(self, request: bytes) -> Response:
        """Send a request and wait for the head of its answer."""
        response = self._response = Response(self)
        self._heard = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_later(SILENCE_SECONDS, self._still_there)
        self._transport.write(request)
        try:
            await response.headed()
        except BaseException:
            self.end()
            raise
        return response

    def age(self) -> float:
        """Seconds since it was last used."""
        return self._loop.time() - self._heard

    def hold_back(self, stop: bool) -> None:
        """Let the server wait until what it has sent is read."""
        if stop != self._held_back and not self._transport.is_closing():
            self._held_back = stop
            (self._transport.pause_reading if stop else self._transport.resume_reading)()

    def end(self) -> None:
        """Close it now."""
        self._transport.abort()

    def _still_there(self) -> None:
        self._watch = None
        left = SILENCE_SECONDS - self.age()
        if self._response is None:
            return
        if left > 0 or self._held_back:
            self._watch = self._loop.call_later(max(left, 1.0), self._still_there)
        else:
            self._fail(Silent(f"nothing came for {SILENCE_SECONDS:g} s"))

    def _fail(self, error: HttpError) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.end(error)
        self.end()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BrokenOff(f"what came is not HTTP ({error})"))

    def connection_lost(self, error: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._gone(self)
        response = self._response
        if response is None:
            return
        sized = "content-length" in response.headers or "transfer-encoding" in response.headers
        if response.status and not sized and error is None:
            self._response = None
            response.end()  # without a size the answer lasts until the connection ends
        else:
            self.was_stale = self._used_before and not response.status
            self._fail(BrokenOff(str(error or "the server closed the connection")))

    # httptools

    def on_message_begin(self) -> None:
        if self._response is None:  # a server that speaks without being asked
            self.end()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, {}
        status = self._parser.get_status_code()
        if self._response is not None and status >= 200:  # below: 100 Continue and its like
            self._response.begin(status, headers)

    def on_body(self, data: bytes) -> None:
        if self._response is not None:
            self._response.add(data)

    def on_message_complete(self) -> None:
        response = self._response
        if response is None or not response.status:
            return
        self._response = None
        self._used_before = True
        self.hold_back(False)
        response.end()
        if self._parser.should_keep_alive():
            self._free(self)
        else:
            self.end()

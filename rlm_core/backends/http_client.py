"""HTTP to a model server: requests out, streamed bytes back, and nothing of what they mean.

Over aiohttp, because whatever a client costs is paid at every turn and for each of many parallel sub-calls: it finds a
free connection at once, however many calls are under way. No proxies (a model server is on this machine or in the
home network), no redirects, no cookies.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar
from weakref import finalize

import aiohttp

T = TypeVar("T")

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 900.0
"""The longest silence in an answer: loading a large model from a slow disk and reading a long prompt both say nothing."""
KEPT_SECONDS = 4.0
"""How long an idle connection is kept: common servers close theirs after five seconds, perhaps as a request arrives."""


class HttpError(Exception):
    """The request was not answered."""


class NotConnected(HttpError):
    """Nothing answers at that address."""


class BrokenOff(HttpError):
    """The connection ended before the answer was whole, or what came is not HTTP."""


class Silent(HttpError):
    """The server said nothing for too long."""


class PerLoop(Generic[T]):
    """One object for each event loop that asks for it.

    A connection belongs to the event loop it was opened on, but a backend outlives loops: a script that calls
    ``asyncio.run`` twice runs two of them. What was made for a loop that is closed is let go.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}
        self._lock = threading.Lock()

    def get(self) -> T:
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._made:
                self._made = {other: made for other, made in self._made.items() if not other.is_closed()}
                self._made[loop] = self._make()
            return self._made[loop]

    async def close(self, closing: Callable[[T], Awaitable[object]]) -> None:
        """Close the running loop's object; those of other loops went with their loops."""
        with self._lock:
            mine = self._made.pop(asyncio.get_running_loop(), None)
            self._made.clear()
        if mine is not None:
            await closing(mine)


class Response:
    """The answer to one request: ``status`` and ``headers`` (names in any case) at once, the body as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces; each is all that has arrived since the one before. Raises BrokenOff and Silent."""
        content = self._response.content
        with _IN_OUR_WORDS:
            while data := await content.readany():
                yield data

    async def read(self) -> bytes:
        """All the rest. Raises BrokenOff and Silent."""
        return b"".join([piece async for piece in self])

    def close(self) -> None:
        """Done with it. What is still to come is not waited for: the connection is closed, and the server stops."""
        self._response.close()


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Raises ValueError when the body is not JSON."""
        return json.loads(self.body)


class _Connector(aiohttp.TCPConnector):
    """Connections that may also end with their event loop or with the process."""

    def __del__(self, _warnings: Any = None) -> None:
        """Says nothing: a script that asks and ends has done nothing wrong."""


class HttpClient:
    """Requests to one server, on one event loop. ``headers`` go with each of them; ``keep_alive`` says whether a connection
    is used again. One that is not closed lets go of its connections when nobody needs it any more."""

    def __init__(
        self, base_url: str, headers: Mapping[str, str] | None = None, *, keep_alive: bool = True
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers or {})
        self._keep_alive = keep_alive
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Ask, with ``body`` as JSON; returns when the head of the answer is there. The caller closes the response.

        Raises NotConnected, BrokenOff and Silent.
        """
        if self._session is None:
            self._session = self._opened()
            finalize(self, self._session.detach)  # or aiohttp complains of it on the user's screen
        data = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        with _IN_OUR_WORDS:
            return Response(
                await self._session.request(
                    method,
                    self._base_url + path,
                    data=data and data.encode("utf-8", "replace"),
                    headers=headers,
                    allow_redirects=False,
                )
            )

    async def ask(
        self, method: str, path: str, body: object = None, *, seconds: float = SILENCE_SECONDS
    ) -> Answer:
        """Ask and wait for the whole answer. Raises as :meth:`send`; Silent also when it takes longer than ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                response = await self.send(method, path, body)
                try:
                    return Answer(response.status, await response.read())
                finally:
                    response.close()
        except TimeoutError:
            raise Silent(f"no answer within {seconds:g} s") from None

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        keeping: dict[str, Any] = (
            {"keepalive_timeout": KEPT_SECONDS} if self._keep_alive else {"force_close": True}
        )
        return aiohttp.ClientSession(
            connector=_Connector(limit=0, use_dns_cache=False, **keeping),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "Content-Type": "application/json", **self._headers},
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
            ),
            trust_env=False,
        )


class _InOurWords:
    """aiohttp's errors as ours, while a block runs."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        match error:
            case (
                aiohttp.ClientConnectorError()
                | aiohttp.ConnectionTimeoutError()
                | aiohttp.InvalidURL()
                | aiohttp.NonHttpUrlClientError()
                | UnicodeError()
            ):
                raise NotConnected(str(error)) from None
            case TimeoutError():
                raise Silent(f"nothing came for {SILENCE_SECONDS:g} s") from None
            case aiohttp.ClientError() | OSError():
                raise BrokenOff(str(error) or "the server closed the connection") from None


_IN_OUR_WORDS = _InOurWords()


class Lines:
    """Splits a stream of bytes at line feeds, and only there (a text may contain other line separators)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their line feeds."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        return complete

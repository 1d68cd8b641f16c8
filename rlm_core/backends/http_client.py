"""HTTP to a model server: requests out, streamed bytes back, and nothing of what they mean.

A small client of our own, because whatever it costs is paid at every turn and for each of many parallel sub-calls. It does
what model servers need and no more: connections are used again, the one used last first; no proxies (a model server is
on this machine or in the home network), no redirects, no cookies, no compression.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote, urlsplit
from weakref import WeakKeyDictionary

from rlm_core.backends.http_connection import (
    SILENCE_SECONDS,
    BrokenOff,
    Connection,
    NotConnected,
    Response,
    Silent,
)

T = TypeVar("T")

CONNECT_SECONDS = 5.0
KEPT_CONNECTIONS = 64
# A router may forget a connection that nobody uses, without telling either end.
KEPT_SECONDS = 60.0


class PerLoop(Generic[T]):
    """One object for each event loop that asks for it.

    A connection belongs to the event loop it was opened on, but a backend outlives loops: a script that calls the
    blocking interface twice runs two of them.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self) -> T:
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._made:
                self._made[loop] = self._make()
            return self._made[loop]

    async def close(self, closing: Callable[[T], Awaitable[object]]) -> None:
        """Close the running loop's object; those of other loops went with their loops."""
        with self._lock:
            mine = self._made.pop(asyncio.get_running_loop(), None)
            self._made.clear()
        if mine is not None:
            await closing(mine)


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


class HttpClient:
    """Requests to one server, on one event loop. ``headers`` go with each of them."""

    def __init__(self, base_url: str, headers: Mapping[str, str] | None = None) -> None:
        self._base_url = base_url
        self._headers = dict(headers or {})
        self._target: _Target | None = None
        self._idle: list[Connection] = []

    async def send(self, method: str, path: str, body: object = None) -> Response:
        """Ask, with ``body`` as JSON; returns when the head of the answer is there. The caller closes the response.

        Raises NotConnected, BrokenOff and Silent.
        """
        if self._target is None:
            self._target = _Target.of(self._base_url, self._headers)
        request = self._target.request(method, path, body)
        kept = self._kept()
        if kept is not None:
            try:
                return await kept.ask(request)
            except BrokenOff:
                if not kept.was_stale:
                    raise
        return await (await self._connect(self._target)).ask(request)

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
        """Close the connections that nobody uses."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.end()

    def _kept(self) -> Connection | None:
        """The open connection that was used last."""
        while self._idle:
            connection = self._idle.pop()
            if connection.age() < KEPT_SECONDS:
                return connection
            connection.end()
        return None

    def _keep(self, connection: Connection) -> None:
        if len(self._idle) < KEPT_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.end()

    def _forget(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    async def _connect(self, target: _Target) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._keep, self._forget),
                    target.host,
                    target.port,
                    ssl=target.tls,
                    happy_eyeballs_delay=0.25,
                )
        except TimeoutError:
            raise NotConnected(f"no connection within {CONNECT_SECONDS:g} s") from None
        except (OSError, UnicodeError) as error:
            raise NotConnected(str(error)) from None
        return connection


@dataclass(frozen=True)
class _Target:
    """Where the requests go, and what all of them have in common."""

    host: str
    port: int
    path: str
    head: str
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, base_url: str, headers: Mapping[str, str]) -> _Target:
        """Raises NotConnected when ``base_url`` is no address."""
        try:
            parts = urlsplit(base_url)
            host, port, secure = parts.hostname, parts.port, parts.scheme == "https"
        except ValueError as error:
            raise NotConnected(f"{base_url} is not an address: {error}") from None
        if parts.scheme not in {"http", "https"} or not host:
            raise NotConnected(f"{base_url} does not begin with http:// or https://")
        lines = {"Host": parts.netloc.rpartition("@")[2], "Accept-Encoding": "identity", **headers}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        return cls(
            host,
            port or (443 if secure else 80),
            quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~"),
            "".join(f"{name}: {value}\r\n" for name, value in lines.items()),
            ssl.create_default_context() if secure else None,
        )

    def request(self, method: str, path: str, body: object) -> bytes:
        head = f"{method} {self.path}{path} HTTP/1.1\r\n{self.head}"
        if body is None:
            return f"{head}\r\n".encode()
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


class Lines:
    """Splits a stream of bytes at line feeds, and only there (a text may contain other line separators)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their line feeds."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        return complete

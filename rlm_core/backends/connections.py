"""HTTP connections to a model server, and the pieces of bytes that come out of them.

It knows nothing about any protocol. Every client here ignores proxies of the environment: a model server is on this
machine or in the home network, never behind a proxy.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import httpx

T = TypeVar("T")

CONNECT_SECONDS = 5.0
# The longest silence in an answer: loading a large model from a slow disk and reading a long prompt both say nothing.
SILENCE_SECONDS = 900.0


class PerLoop(Generic[T]):
    """One object for each event loop that asks for it.

    An HTTP client belongs to the event loop it was first used on, but a backend outlives loops: a script that calls the
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


def http_client(
    base_url: str, headers: dict[str, str] | None = None, *, keep_alive: bool = True
) -> httpx.AsyncClient:
    """A client that has room for many calls at once; ``keep_alive`` says whether it uses a connection again."""
    return httpx.AsyncClient(
        base_url=base_url,
        headers=headers,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64 if keep_alive else 0),
    )


class Lines:
    """Splits a stream of bytes at line feeds, and only there (a text may contain other line separators)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their line feeds."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        return complete

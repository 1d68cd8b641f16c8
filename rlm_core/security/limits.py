"""How much and how often: sizes of requests, writes a second, wrong passwords."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rlm_core.security.network import is_loopback
from rlm_core.security.refusal import refuse

MIB = 2**20
LARGEST_UPLOAD = 512 * MIB
LARGEST_BODY = 64 * MIB
_UPLOAD_PATHS = ("/documents", "/gradio_api/upload")
_MOST_ADDRESSES = 10_000


def client_address(scope: Scope) -> str:
    """The address a request comes from; an IPv6 client is its whole /64 network, which is what one household gets."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 6 and not address.is_loopback:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class BodyLimit:
    """Refuses bodies that are too large with 413, whether or not they say so beforehand."""

    def __init__(self, app: ASGIApp, upload: int = LARGEST_UPLOAD, other: int = LARGEST_BODY) -> None:
        self.app = app
        self.upload = upload
        self.other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.upload if scope["path"].rstrip("/") in _UPLOAD_PATHS else self.other
        sentence = f"The request is too large: at most {limit // MIB} MiB are accepted here."
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            await refuse(scope, receive, send, 413, sentence, {"Connection": "close"})
            return
        received = 0
        answering = False

        async def counted_receive() -> Message:
            nonlocal received
            if received > limit:
                return {"type": "http.disconnect"}
            message = await receive()
            received += len(message.get("body", b""))
            return {"type": "http.disconnect"} if received > limit else message

        async def watched_send(message: Message) -> None:
            nonlocal answering
            if received > limit and not answering:
                return  # the application's own idea of what went wrong: ours is told below
            answering = True
            await send(message)

        try:
            await self.app(scope, counted_receive, watched_send)
        except Exception:
            if received <= limit or answering:
                raise
        if received > limit and not answering:
            await refuse(scope, receive, send, 413, sentence, {"Connection": "close"})


@dataclass
class _Bucket:
    tokens: float
    at: float


class WriteRate:
    """At most ``burst`` writes at once and ``rate`` a second from one address of the network; this computer is free."""

    def __init__(
        self,
        app: ASGIApp,
        rate: float = 20.0,
        burst: float = 200.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writes = scope["type"] == "http" and scope["method"] not in {"GET", "HEAD", "OPTIONS"}
        if not writes or self._take(client_address(scope)):
            await self.app(scope, receive, send)
        else:
            await refuse(scope, receive, send, 429, "Too many requests. Wait a second.", {"Retry-After": "1"})

    def _take(self, address: str) -> bool:
        if is_loopback(address):
            return True
        now = self._clock()
        if len(self._buckets) >= _MOST_ADDRESSES:
            self._buckets = {
                key: value for key, value in self._buckets.items() if now - value.at < self.burst / self.rate
            }
        bucket = self._buckets.setdefault(address, _Bucket(self.burst, now))
        bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.at) * self.rate)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


@dataclass
class _Failures:
    count: int
    at: float


class LoginAttempts:
    """After five wrong passwords an address waits: 30 s, then twice as long each time, at most 15 minutes."""

    FREE = 5
    FIRST_WAIT = 30.0
    LONGEST_WAIT = 900.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        failures = self._failures.get(address)
        if failures is None or failures.count < self.FREE:
            return 0.0
        pause: float = min(self.LONGEST_WAIT, self.FIRST_WAIT * 2 ** min(failures.count - self.FREE, 20))
        return max(0.0, failures.at + pause - self._clock())

    def failed(self, address: str) -> None:
        now = self._clock()
        if len(self._failures) >= _MOST_ADDRESSES:
            self._failures = {
                key: value for key, value in self._failures.items() if now - value.at < self.LONGEST_WAIT
            }
        failures = self._failures.setdefault(address, _Failures(0, now))
        if now - failures.at > self.LONGEST_WAIT * 2:
            failures.count = 0
        failures.count += 1
        failures.at = now

    def succeeded(self, address: str) -> None:
        self._failures.pop(address, None)

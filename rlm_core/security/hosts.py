"""Only requests that name this server, from pages of this server.

A page on the internet can make the browser send requests here. Two things give it away: the Host header, when it has
pointed its own name at this computer (DNS rebinding), and the Origin and Sec-Fetch-Site headers otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rlm_core.security.refusal import refuse

_SAFE_METHODS = frozenset({"GET", "HEAD"})


class HostAndOrigin:
    """``knows_host`` decides about names without port; origins must be this very server, port included."""

    def __init__(self, app: ASGIApp, knows_host: Callable[[str], bool]) -> None:
        self.app = app
        self.knows_host = knows_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.knows_host(host_name(hosts[0])):
            await refuse(scope, receive, send, 400, "This server does not answer under that name.")
        elif not _from_here(scope, headers, hosts[0]):
            await refuse(scope, receive, send, 403, "Requests from pages of other sites are not accepted.")
        else:
            await self.app(scope, receive, send)


def _from_here(scope: Scope, headers: Headers, host: str) -> bool:
    origins = headers.getlist("origin")
    if origins:
        encrypted = scope.get("scheme") in {"https", "wss"}
        return all(_same_place(origin, host, encrypted) for origin in origins)
    site = headers.get("sec-fetch-site", "none")
    if site in {"same-origin", "none"}:
        return True
    # A link on another site that leads here is fine; a form, a script or an image of another site is not.
    return scope.get("method") in _SAFE_METHODS and headers.get("sec-fetch-mode") == "navigate"


def _same_place(origin: str, host: str, encrypted: bool) -> bool:
    """Whether a page's origin is this server. A server that speaks HTTPS is no place of ``http:`` pages; the other way
    round there may be a proxy in between that encrypts."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ({"https"} if encrypted else {"http", "https"}) or parts.hostname is None:
        return False
    default = 443 if parts.scheme == "https" else 80
    name, host_port = _split(host)
    return parts.hostname == name and (port or default) == (host_port or default)


def host_name(host: str) -> str:
    """The name in a Host header, without the port; empty when it cannot be read."""
    return _split(host)[0]


def _split(host: str) -> tuple[str, int | None]:
    """Name and port of a Host header; an empty name when it cannot be read."""
    try:
        parts = urlsplit(f"//{host}")
        if parts.path or parts.query or parts.fragment or parts.username is not None:
            return "", None
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None

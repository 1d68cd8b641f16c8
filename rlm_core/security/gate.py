"""Nobody gets past here without being somebody: each request is given its user, or refused."""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rlm_core.security.accounts import OWNER_SCOPE, Account, Accounts
from rlm_core.security.refusal import refuse

COOKIE = "localrlm_session"
_USER = "localrlm.user"
_ACCOUNT = "localrlm.account"
_OPEN_PATHS = frozenset({"/login"})


def current_user(connection: HTTPConnection) -> str:
    """Under which name the store keeps what belongs to whoever sent this request: ``local`` for the owner.

    Raises KeyError when the request did not come through the :class:`Gate`.
    """
    user: str = connection.scope[_USER]
    return user


def current_account(connection: HTTPConnection) -> Account | None:
    """The account that is logged in; None when nobody has to log in."""
    account: Account | None = connection.scope.get(_ACCOUNT)
    return account


class Gate:
    """Without ``accounts`` everybody is the owner (only this computer can reach the server)."""

    def __init__(self, app: ASGIApp, accounts: Accounts | None) -> None:
        self.app = app
        self.accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        account = self._who(headers)
        if self.accounts is None:
            scope[_USER] = OWNER_SCOPE
        elif account is not None:
            scope[_USER], scope[_ACCOUNT] = account.scope, account
        elif scope["path"] not in _OPEN_PATHS:
            await self._refuse(scope, receive, send, headers)
            return
        await self.app(scope, receive, send)

    def _who(self, headers: Headers) -> Account | None:
        if self.accounts is None:
            return None
        kind, _, key = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.accounts.by_key(key.strip())
        token = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        return self.accounts.by_session(token) if token else None

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        navigates = scope.get("method") == "GET" and "text/html" in headers.get("accept", "")
        if scope["type"] == "http" and navigates:
            target = scope["path"] if scope["path"].startswith("/") else "/"
            await RedirectResponse(f"/login?next={quote(target)}", 303)(scope, receive, send)
            return
        await refuse(
            scope,
            receive,
            send,
            401,
            "Log in first: at /login in a browser, or with an API key as 'Authorization: Bearer rlm-...'.",
            {"WWW-Authenticate": 'Bearer realm="LocalRLM"'},
        )

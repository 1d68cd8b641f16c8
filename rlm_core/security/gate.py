"""Nobody gets past here without being somebody: each request is given its user, or refused."""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rlm_core.security.access import Access
from rlm_core.security.accounts import OWNER_NAME, OWNER_SCOPE, Account
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
    """Who is logged in is who they are; else this computer itself is its owner, where :class:`Access` says so."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        account = self._account(headers)
        user = self._user(scope, account)
        if user is not None:
            scope[_USER] = user
            scope[_ACCOUNT] = account or self._owner()
        elif self.access.accounts is None:
            await refuse(scope, receive, send, 403, "LocalRLM is open to its own computer only.")
            return
        elif scope["path"] not in _OPEN_PATHS:
            await self._refuse(scope, receive, send, headers)
            return

        async def receive_while_welcome() -> Message:
            """A WebSocket lives on when the log-in by which it came in is ended: each message asks again."""
            message = await receive()
            if message["type"] == "websocket.receive" and self._user(scope, self._account(headers)) != user:
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        await self.app(scope, receive_while_welcome if scope["type"] == "websocket" else receive, send)

    def _account(self, headers: Headers) -> Account | None:
        """Who this is by key or by session."""
        accounts = self.access.accounts
        if accounts is None:
            return None
        kind, _, key = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return accounts.by_key(key.strip())
        token = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        return accounts.by_session(token) if token else None

    def _user(self, scope: Scope, account: Account | None) -> str | None:
        if account is not None:
            return account.scope
        return OWNER_SCOPE if self.access.lets_in_without_log_in(scope) else None

    def _owner(self) -> Account | None:
        accounts = self.access.accounts
        return accounts.account(OWNER_NAME) if accounts is not None else None

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

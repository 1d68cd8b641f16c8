"""Closes the doors of Gradio that this application does not need, and keeps its users apart.

Gradio fetches URLs for whoever asks (``/gradio_api/file=http...``), answers ``/monitoring``, serves an upload to
everybody who knows its path, and lets an event name any file of this computer, any URL, and anybody's browser tab.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rlm_core.security.gate import current_user
from rlm_core.security.refusal import refuse

_CLOSED = (
    "/monitoring",
    "/gradio_api/proxy",
    "/gradio_api/vibe",
    "/gradio_api/undo-vibe",
    "/gradio_api/run-history",
    "/gradio_api/runs",
    "/gradio_api/dev",
    "/gradio_api/profiling",
    "/gradio_api/process_recording",
    "/gradio_api/deep_link",
    "/gradio_api/token",
    "/gradio_api/call",
    "/gradio_api/api/",
    "/gradio_api/component_server",
    "/gradio_api/stream",
)
_API = "/gradio_api/"
_FILE = ("/gradio_api/file=", "/gradio_api/file/")
_UPLOAD = "/gradio_api/upload"
_HEARTBEAT = "/gradio_api/heartbeat/"
_MOST_TABS = 100_000
_LONGEST_TAB = 200
_MOST_DECODINGS = 4


class GradioPaths:
    """Remembers for as long as the app runs whose each upload and each browser tab is; nothing else has an owner, so
    nothing else may be read or named. (What earlier runs uploaded is deleted when the app starts.)"""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._uploads: dict[str, set[str]] = {}
        self._tabs: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = _plain(scope["path"])
        if path is None or path.startswith(_CLOSED) or not self._may_read(scope, path):
            await refuse(scope, receive, send, 404, "There is nothing here.")
        elif path.rstrip("/") == _UPLOAD and scope["method"] == "POST":
            await self._upload(scope, receive, send)
        elif path.startswith(_API) and scope["method"] not in {"GET", "HEAD"}:
            await self._event(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _may_read(self, scope: Scope, path: str) -> bool:
        if not path.startswith(_API):
            return True
        user = current_user(HTTPConnection(scope))
        if path.startswith(_FILE):
            return self._uploaded(path[len(_FILE[0]) :], user)
        tabs = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [])
        if path.startswith(_HEARTBEAT):
            tabs.append(path[len(_HEARTBEAT) :].strip("/"))
        return all(self._sits_at(tab, user) for tab in tabs)

    def _uploaded(self, file: str, user: str) -> bool:
        return "\0" not in file and user in self._uploads.get(_place(file), ())

    def _sits_at(self, tab: str, user: str) -> bool:
        """Whether this browser tab is the user's; an unknown one belongs to whoever names it first."""
        if len(tab) > _LONGEST_TAB:
            return False  # Gradio's have 11 characters; these are kept
        owner = self._tabs.setdefault(tab, user)
        if len(self._tabs) > _MOST_TABS:
            del self._tabs[next(iter(self._tabs))]
        return owner == user

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the answer in passing: a JSON list of the paths at which the files lie."""
        user = current_user(HTTPConnection(scope))
        body = bytearray()

        async def listening_send(message: Message) -> None:
            if message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    self._note(bytes(body), user)
            await send(message)

        await self.app(scope, receive, listening_send)

    def _note(self, answer: bytes, user: str) -> None:
        paths = _json(answer)  # an error page is none: nothing was uploaded
        for path in paths if isinstance(paths, list) else ():
            if isinstance(path, str):
                self._uploads.setdefault(_place(path), set()).add(user)

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets an event pass only if it comes from a tab of this user and names only files that this user uploaded."""
        messages = [await receive()]
        while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
            messages.append(await receive())
        said = _json(b"".join(message.get("body", b"") for message in messages))
        user = current_user(HTTPConnection(scope))
        tab = said.get("session_hash") if isinstance(said, dict) else None
        if not all(self._uploaded(file, user) for file in _files(said)):
            await refuse(scope, receive, send, 403, "This file was not uploaded by you. Add it again.")
        elif isinstance(tab, str) and not self._sits_at(tab, user):
            await refuse(scope, receive, send, 404, "There is nothing here.")
        else:
            again = iter(messages)

            async def receive_again() -> Message:
                return next(again, None) or await receive()

            await self.app(scope, receive_again, send)


def _files(said: Any) -> Iterator[str]:
    """The path of each file that is named anywhere in an event's data."""
    waiting = [said]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("path"), str):
                yield part["path"]
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _json(body: bytes) -> Any:
    """None for what is not JSON; Gradio refuses that itself."""
    try:
        return json.loads(body)
    except ValueError:
        return None
    except RecursionError:
        return {"path": ""}  # nobody's file: nested like this, nothing of ours is


def _place(file: str) -> str:
    """Under which name a file is known here. The disk is not asked: on Windows, to look at ``//elsewhere/x`` is to log in
    there, and a page of another site can lead the browser to any path."""
    return os.path.normcase(os.path.abspath(file))


def _plain(path: str) -> str | None:
    """Decoded to the end, because Gradio decodes what stands behind ``file=`` once more than the server did. None for what
    is encoded more often than anybody needs: a long address would take minutes."""
    for _ in range(_MOST_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    else:
        return None
    return "/" + path.lstrip("/").replace("\\", "/") if path.startswith(("//", "\\")) else path

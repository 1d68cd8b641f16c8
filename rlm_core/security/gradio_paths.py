"""Closes the doors of Gradio that this application does not need, and keeps uploads apart.

Gradio fetches URLs for whoever asks (``/gradio_api/file=http...``), answers ``/monitoring``, and serves an upload to
everybody who knows its path.
"""

from __future__ import annotations

import json
import os
from urllib.parse import unquote

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
)
_FILE = ("/gradio_api/file=", "/gradio_api/file/")
_UPLOAD = "/gradio_api/upload"


class GradioPaths:
    """Remembers whose each upload is, for as long as the app runs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._owners: dict[str, set[str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = _plain(scope["path"])
        if path.startswith(_CLOSED) or (path.startswith(_FILE) and not self._may_read(scope, path)):
            await refuse(scope, receive, send, 404, "There is nothing here.")
        elif path == _UPLOAD and scope["method"] == "POST":
            await self._upload(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _may_read(self, scope: Scope, path: str) -> bool:
        file = path[len(_FILE[0]) :]
        if "://" in file or file.startswith(("http:", "https:", "//", "ftp:", "data:")):
            return False
        owners = self._owners.get(os.path.realpath(file))
        return owners is None or current_user(HTTPConnection(scope)) in owners

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
        try:
            paths = json.loads(answer)
        except ValueError:
            return  # an error page: nothing was uploaded
        for path in paths if isinstance(paths, list) else ():
            if isinstance(path, str):
                self._owners.setdefault(os.path.realpath(path), set()).add(user)


def _plain(path: str) -> str:
    """Decoded once more than the server did: Gradio does the same with what stands behind ``file=``."""
    while (decoded := unquote(path)) != path:
        path = decoded
    return "/" + path.lstrip("/").replace("\\", "/") if path.startswith(("//", "\\")) else path

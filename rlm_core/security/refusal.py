"""How this server says no: one sentence, in the shape that the protocol of the path has for errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send


def error_response(
    path: str, status: int, sentence: str, field: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """``field`` names the value that was not accepted."""
    body: dict[str, Any]
    if path.startswith("/v1/"):
        kind = "invalid_request_error" if status < 500 else "server_error"
        code = {401: "invalid_api_key", 404: "not_found", 409: "busy"}.get(status)
        body = {"error": {"message": sentence, "type": kind, "param": field, "code": code}}
    elif path.startswith("/api/"):
        body = {"error": sentence}
    else:
        body = {"detail": sentence, "field": field}
    return JSONResponse(body, status, headers)


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    sentence: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer instead of the application. A WebSocket is refused before it opens (the client sees HTTP 403)."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})
    else:
        response = error_response(scope["path"], status, sentence, headers=headers)
        await response(scope, receive, send)

"""How a middleware says no: a sentence as JSON over HTTP, a closed door for a WebSocket."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    sentence: str,
    headers: dict[str, str] | None = None,
) -> None:
    """Answer instead of the application. A WebSocket is refused before it opens (the client sees HTTP 403)."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})
    else:
        await JSONResponse({"detail": sentence, "field": None}, status, headers)(scope, receive, send)

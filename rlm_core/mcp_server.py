"""The Model Context Protocol door: `ask`, `search_documents`, `recall` and `add_document` for other agents.

Over streamable HTTP it is a part of the HTTP server (``/mcp``); over stdio it is ``python -m rlm_core mcp``. Each call is
made for the user who sent it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import mcp.types as types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

import rlm_core
from memory_store import StoreError
from rlm_core.doors.house import House, NotHere
from rlm_core.doors.library import file_name
from rlm_core.doors.outcome import Outcome
from rlm_core.errors import LocalRLMError
from rlm_core.events import Event, PhaseEvent, RouteEvent, TurnStartedEvent
from rlm_core.request import MessageRequest
from rlm_core.security import OWNER_SCOPE, current_user
from rlm_core.security.limits import LARGEST_BODY

if TYPE_CHECKING:
    from mcp.server.session import ServerSession

_TEXT = {"type": "string", "minLength": 1}
_DOCUMENTS = {"type": "array", "items": {"type": "string"}, "description": "ids of documents"}
_HOW_MANY = {"type": "integer", "minimum": 1, "maximum": 100}


def _tool(name: str, description: str, required: str, /, **values: dict[str, Any]) -> types.Tool:
    """A tool whose arguments are ``values`` and nothing else, one of them required."""
    schema = {
        "type": "object",
        "required": [required],
        "additionalProperties": False,
        "properties": values,
    }
    return types.Tool(name=name, description=description, inputSchema=schema)


TOOLS = [
    _tool(
        "ask",
        "Ask LocalRLM, a recursive language model on this computer. It reads material far larger than a context window. Give "
        "the material as ids of uploaded documents or as text.",
        "question",
        question=_TEXT,
        documents=_DOCUMENTS,
        context={"type": "string", "description": "material as text"},
        mode={"type": "string", "enum": ["auto", "direct", "recursive"]},
        conversation_id={
            "type": "string",
            "description": "continue this conversation; left out: nothing is stored",
        },
    ),
    _tool(
        "search_documents",
        "Find passages in the uploaded documents, by words and by meaning, with their offsets.",
        "query",
        query=_TEXT,
        k=_HOW_MANY,
        documents=_DOCUMENTS,
    ),
    _tool(
        "recall",
        "Find past messages of this user's conversations that have to do with the query.",
        "query",
        query=_TEXT,
        k=_HOW_MANY,
    ),
    _tool(
        "add_document",
        "Store a document: a text, or a file's bytes in base64 (PDF, DOCX, XLSX, CSV and others).",
        "name",
        name={**_TEXT, "description": "file name with its ending"},
        text={"type": "string"},
        base64={"type": "string"},
    ),
]

Told = Callable[[str], Awaitable[None]]


class Tools:
    """What the tools do, for one user. Raises errors whose text is for the calling agent."""

    def __init__(self, house: House, user: str) -> None:
        self._house = house
        self._user = user

    async def call(self, name: str, values: dict[str, Any], tell: Told) -> dict[str, Any]:
        """``tell`` is given short sentences about the progress."""
        if name == "ask":
            return await self._ask(values, tell)
        if name == "search_documents":
            return await asyncio.to_thread(self._search, values)
        if name == "recall":
            return await asyncio.to_thread(self._recall, values)
        if name == "add_document":
            return await self._add_document(values)
        raise NotHere(f"There is no tool '{name}'.")

    async def _ask(self, values: dict[str, Any], tell: Told) -> dict[str, Any]:
        conversation_id, documents = values.get("conversation_id"), values.get("documents")
        await asyncio.to_thread(self._house.may_answer_in, conversation_id, documents, self._user)
        stored = conversation_id is not None
        job = await self._house.jobs.start(
            MessageRequest(
                values["question"],
                conversation_id=conversation_id,
                documents=documents,
                context=values.get("context"),
                mode=values.get("mode", "auto"),
                user=self._user,
                incognito=not stored,
            )
        )
        try:
            async for event in job.follow():
                sentence = _progress(event)
                if sentence:
                    await tell(sentence)
        finally:
            job.cancel()  # a cancelled call stops the engine; a finished job does not mind
        outcome = Outcome.of(job.events)
        if outcome.nothing_but_an_error:
            raise NotHere(outcome.error or "")
        return {**outcome.as_json(), "trace_id": job.message_id if stored else None}

    def _search(self, values: dict[str, Any]) -> dict[str, Any]:
        for document_id in values.get("documents") or ():
            self._house.document(document_id, self._user)
        hits = self._house.store.search_documents(
            values["query"], values.get("k", 8), values.get("documents"), user=self._user
        )
        fields = ("document_id", "document_name", "place", "start", "end", "text")
        return {"passages": [_some(hit, fields) for hit in hits]}

    def _recall(self, values: dict[str, Any]) -> dict[str, Any]:
        hits = self._house.store.recall(values["query"], values.get("k", 5), user=self._user)
        fields = ("message_id", "conversation_id", "role", "text", "created_at")
        return {"memories": [_some(hit, fields) for hit in hits]}

    async def _add_document(self, values: dict[str, Any]) -> dict[str, Any]:
        text, encoded = values.get("text"), values.get("base64")
        if (text is None) == (encoded is None):
            raise NotHere("Give either 'text' or 'base64'.")
        try:
            data = base64.b64decode(encoded, validate=True) if encoded is not None else str(text).encode()
        except (binascii.Error, UnicodeEncodeError, ValueError):
            raise NotHere("The content cannot be decoded.") from None
        document = await asyncio.to_thread(
            self._house.store.add_document, file_name(values["name"]), data, user=self._user
        )
        return _some(document, ("id", "name", "kind", "characters", "tokens_estimate"))


def make_server(house: House) -> Server[Any, Any]:
    """The protocol's side of the tools."""
    server: Server[Any, Any] = Server("LocalRLM", version=rlm_core.__version__)

    @server.list_tools()  # type: ignore[no-untyped-call, untyped-decorator]
    async def list_tools() -> list[types.Tool]:
        return TOOLS

    @server.call_tool()  # type: ignore[untyped-decorator]
    async def call_tool(name: str, arguments: dict[str, Any]) -> list[types.TextContent]:
        context = server.request_context
        request = context.request
        user = current_user(request) if isinstance(request, Request) else OWNER_SCOPE
        tell = _teller(context.session, context.meta, str(context.request_id))
        try:
            result = await Tools(house, user).call(name, arguments, tell)
        except (NotHere, LocalRLMError, StoreError) as error:
            raise ValueError(str(error)) from None  # becomes a tool result with isError
        return [types.TextContent(type="text", text=json.dumps(result, ensure_ascii=False))]

    return server


class McpOverHttp:
    """Streamable HTTP as an ASGI application; it works inside :meth:`running`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._manager = StreamableHTTPSessionManager(
            make_server(self._house), stateless=True, max_request_body_size=LARGEST_BODY
        )
        async with self._manager.run():
            yield
        self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._manager is None:
            raise RuntimeError("The MCP door is not open: the application's lifespan has not started.")
        await self._manager.handle_request(scope, receive, send)


async def serve_stdio(house: House) -> None:
    """Serve one client over standard input and output until it hangs up."""
    server = make_server(house)
    options = server.create_initialization_options(NotificationOptions())
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, options)


def _some(record: object, fields: Sequence[str]) -> dict[str, Any]:
    return {field: getattr(record, field) for field in fields}


def _teller(session: ServerSession, meta: types.RequestParams.Meta | None, request_id: str) -> Told:
    token = meta.progressToken if meta else None
    count = 0

    async def tell(sentence: str) -> None:
        nonlocal count
        count += 1
        if token is not None:
            await session.send_progress_notification(
                token, count, message=sentence, related_request_id=request_id
            )

    return tell


def _progress(event: Event) -> str | None:
    if isinstance(event, PhaseEvent):
        return event.text
    if isinstance(event, RouteEvent):
        return f"{event.decision}{f', {event.strategy}' if event.strategy else ''}"
    if isinstance(event, TurnStartedEvent):
        return f"step {event.iteration} of {event.of} {event.title}".strip()
    return None

"""`POST /chat`, whole or as server-sent events, and `WS /ws/chat`: the engine's events as they are.

An answer asked for here is a job and is kept: it goes on when the client goes away, and can be followed again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError

from memory_store import StoreError
from rlm_core.doors.house import House, NotHere, TheHouse, User
from rlm_core.doors.outcome import EVENT_STREAM, Outcome, with_heartbeat
from rlm_core.doors.problems import first_problem
from rlm_core.doors.schemas import ChatReply, ChatRequest, Id, Problem, Stopped
from rlm_core.errors import LocalRLMError
from rlm_core.events import to_json
from rlm_core.jobs import Job
from rlm_core.request import MessageRequest
from rlm_core.run import new_id

router = APIRouter(tags=["chat"])

HEARTBEAT_SECONDS = 15.0


@router.post(
    "/chat",
    response_model=ChatReply,
    responses={
        200: {"content": EVENT_STREAM},
        404: {"model": Problem},
        409: {"model": Problem},
        503: {"model": Problem},
    },
)
async def chat(wish: ChatRequest, house: TheHouse, user: User) -> Response:
    """Answer one message. With ``stream`` the events come one by one (server-sent events), else the whole answer.

    An unknown ``conversation_id`` begins a conversation of that name; without one a new conversation is begun.
    503 means that the model server failed before a word of the answer was there.
    """
    job = await start(house, wish, user)
    if wish.stream:
        return StreamingResponse(_server_sent(job, 0), media_type="text/event-stream")
    await job.wait()
    outcome = Outcome.of(job.events)
    if outcome.nothing_but_an_error:
        return JSONResponse(Problem(detail=outcome.error or "").model_dump(), 503)
    return JSONResponse(reply_of(job, outcome))


@router.get(
    "/chat/{message_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": EVENT_STREAM}, 404: {"model": Problem}},
)
async def follow(message_id: Id, house: TheHouse, user: User, start: int = 0) -> StreamingResponse:
    """The events of an answer in the making from number ``start`` on, as server-sent events."""
    return StreamingResponse(
        _server_sent(house.job(message_id, user), max(0, start)), media_type="text/event-stream"
    )


@router.post("/chat/{message_id}/cancel", responses={404: {"model": Problem}})
async def cancel(message_id: Id, house: TheHouse, user: User) -> Stopped:
    """Stop an answer; what is there of it is kept as a partial answer."""
    job = house.job(message_id, user)
    stopped = not job.done
    job.cancel()
    return Stopped(message_id=message_id, stopped=stopped)


@router.websocket("/ws/chat")
async def websocket_chat(socket: WebSocket, house: TheHouse, user: User) -> None:
    """One JSON object a message. In: what ``POST /chat`` takes (without ``stream``), ``{"type": "cancel"}``, or
    ``{"type": "follow", "message_id": ..., "start": 0}``. Out: the events, each with its ``conversation_id``."""
    await socket.accept()
    await _Line(socket, house, user).serve()


class _Line:
    """One WebSocket. It shows one answer at a time; the answer itself does not depend on the line."""

    def __init__(self, socket: WebSocket, house: House, user: str) -> None:
        self._socket = socket
        self._house = house
        self._user = user
        self._job: Job | None = None
        self._showing: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        try:
            while (message := await self._socket.receive())["type"] != "websocket.disconnect":
                text = message.get("text")
                await self._take(text if text is not None else message["bytes"].decode("utf-8", "replace"))
        except WebSocketDisconnect:
            pass  # the answer goes on; it can be followed again
        finally:
            if self._showing is not None:
                self._showing.cancel()

    async def _take(self, text: str) -> None:
        try:
            values = json.loads(text)
            if not isinstance(values, dict):
                raise ValueError
        except (ValueError, RecursionError):
            await self._problem("bad_request", 'Send one JSON object, for example {"message": "Hello"}.')
            return
        kind = values.pop("type", "message")
        try:
            if kind == "cancel":
                await self._cancel()
            elif kind == "follow":
                start = values.get("start", 0)
                self._show(
                    self._house.job(str(values.get("message_id", "")), self._user),
                    start if isinstance(start, int) and start > 0 else 0,
                )
            elif kind == "message":
                await self._ask(values)
            else:
                await self._problem("bad_request", f"There is no message type {str(kind)[:50]!r}.")
        except ValidationError as error:
            problem = first_problem(error.errors())
            await self._problem("bad_request", problem.detail)
        except NotHere as error:
            await self._problem("not_found", str(error))
        except (LocalRLMError, StoreError) as error:
            await self._problem("refused", str(error))

    async def _ask(self, values: dict[str, Any]) -> None:
        if self._job is not None and not self._job.done:
            await self._problem(
                "busy", 'The last answer is still being made. Send {"type": "cancel"} to stop it.'
            )
            return
        wish = ChatRequest.model_validate(values)
        self._show(await start(self._house, wish, self._user), 0)

    async def _cancel(self) -> None:
        if self._job is None or self._job.done:
            await self._problem("nothing_to_cancel", "No answer is being made on this connection.")
        else:
            self._job.cancel()

    def _show(self, job: Job, start: int) -> None:
        if self._showing is not None:
            self._showing.cancel()
        self._job = job
        self._showing = asyncio.create_task(self._send_events(job, start))

    async def _send_events(self, job: Job, start: int) -> None:
        try:
            async for event in job.follow(start):
                values = {**to_json(event), "conversation_id": job.conversation_id}
                await self._socket.send_text(json.dumps(values))
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client went away in mid-sentence; serve() hears of it too

    async def _problem(self, code: str, text: str) -> None:
        await self._socket.send_json(
            {
                "type": "error",
                "id": "",
                "parent_id": None,
                "message_id": "",
                "ts": time.time(),
                "code": code,
                "text": text,
            }
        )


async def start(house: House, wish: ChatRequest, user: str) -> Job:
    """Begin to answer. Raises NotHere, ConversationBusy, MaterialError."""
    if wish.conversation_id is not None or wish.documents:
        await asyncio.to_thread(house.may_answer_in, wish.conversation_id, wish.documents, user)
    request = MessageRequest(
        wish.message,
        conversation_id=wish.conversation_id or new_id(),
        documents=wish.documents,
        context=wish.context,
        mode=wish.mode,
        strategy=wish.strategy,
        model=wish.model,
        user=user,
    )
    return await house.jobs.start(request)


def reply_of(job: Job, outcome: Outcome) -> dict[str, Any]:
    """The body of a whole answer."""
    return {
        "conversation_id": job.conversation_id,
        "message_id": job.message_id,
        **outcome.as_json(),
        "trace_id": job.message_id,
    }


async def _server_sent(job: Job, start: int) -> AsyncIterator[str]:
    async for event in with_heartbeat(job.follow(start), HEARTBEAT_SECONDS):
        if event is None:
            yield ": still working\n\n"
        else:
            values = {**to_json(event), "conversation_id": job.conversation_id}
            yield f"event: {event.type}\ndata: {json.dumps(values)}\n\n"

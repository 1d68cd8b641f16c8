"""`/v1/chat/completions` and `/v1/models`: an existing OpenAI client needs only another base URL.

Model ``rlm`` is the engine, ``rlm-direct`` the engine without recursion; any other name is a model of the backend, used by
the engine for all roles. How the messages become a question stands in :mod:`rlm_core.doors.foreign`. Sampling
parameters and tools are accepted and not used: the engine decides about both.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from rlm_core.doors.foreign import Said
from rlm_core.doors.guest import MODELS, Guest, ask_for, content_text
from rlm_core.doors.house import TheHouse, User
from rlm_core.doors.outcome import EVENT_STREAM, Outcome, now, with_heartbeat
from rlm_core.doors.schemas import LARGEST_CONTEXT, Id
from rlm_core.errors import LocalRLMError
from rlm_core.events import ThinkingEvent, TokenEvent
from rlm_core.jobs import Job
from rlm_core.security.refusal import error_response

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])

HEARTBEAT_SECONDS = 10.0


class Part(BaseModel):
    model_config = ConfigDict(extra="ignore")
    type: str
    text: str | None = Field(default=None, max_length=LARGEST_CONTEXT)


class ChatTurn(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str, Field(max_length=LARGEST_CONTEXT)] | list[Part] | None = None


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class CompletionRequest(BaseModel):
    """``conversation_id`` and ``documents`` are ours: with the first the chat is stored, with the second uploaded
    documents are the material."""

    model_config = ConfigDict(extra="ignore")
    model: str = Field(default="rlm", min_length=1, max_length=300)
    messages: list[ChatTurn] = Field(min_length=1, max_length=10_000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=1, ge=1, le=1)
    conversation_id: Id | None = None
    documents: list[Id] | None = Field(default=None, max_length=1000)


class CompletionUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]


class CompletionMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str


class CompletionChoice(BaseModel):
    index: int = 0
    message: CompletionMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class Completion(BaseModel):
    """``localrlm`` holds what the protocol has no place for: route, citations, partial, reason, trace_id."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage
    localrlm: dict[str, Any]


class ModelEntry(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelEntry]


class OpenAIError(BaseModel):
    error: dict[str, Any]


_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIError} for status in (400, 404, 409, 422, 503)
}


@router.get("/models")
async def models(house: TheHouse, user: User) -> ModelList:
    """``rlm``, ``rlm-direct``, and the models of the backend when it answers."""
    entries = [ModelEntry(id=name, created=0, owned_by="localrlm") for name in MODELS]
    try:
        async with house.engine.backend() as backend:
            found = await backend.models()
        entries += [ModelEntry(id=info.name, created=0, owned_by=backend.name) for info in found]
    except LocalRLMError:
        pass  # the engine's own names stay valid; a question will say what is wrong
    return ModelList(data=entries)


@router.get("/models/{name:path}", responses={404: {"model": OpenAIError}}, response_model=ModelEntry)
async def model(name: str, house: TheHouse, user: User, request: Request) -> ModelEntry | Response:
    """One model by name."""
    found = (entry for entry in (await models(house, user)).data if entry.id == name)
    return next(found, None) or error_response(request.url.path, 404, f"There is no model '{name}'.", "model")


@router.post(
    "/chat/completions",
    response_model=Completion,
    responses={200: {"content": EVENT_STREAM}, **_ERRORS},
)
async def chat_completions(
    wish: CompletionRequest, house: TheHouse, user: User, request: Request
) -> Response:
    """One answer. When the client goes away, the engine stops."""
    guest = Guest(
        house=house,
        user=user,
        model=wish.model,
        chat=tuple(Said(turn.role, _text(turn)) for turn in wish.messages),
        conversation_id=wish.conversation_id,
        documents=wish.documents,
    )
    job = await ask_for(guest)
    if wish.stream:
        with_usage = bool(wish.stream_options and wish.stream_options.include_usage)
        return StreamingResponse(_chunks(job, wish.model, with_usage), media_type="text/event-stream")
    await guest.until_done_or_gone(job, request)
    outcome = Outcome.of(job.events)
    if outcome.nothing_but_an_error:
        return error_response(request.url.path, 503, outcome.error or "")
    return JSONResponse(
        Completion(
            id=f"chatcmpl-{job.message_id}",
            created=now(),
            model=wish.model,
            choices=[
                CompletionChoice(
                    message=CompletionMessage(content=outcome.text),
                    finish_reason="length" if outcome.partial else "stop",
                )
            ],
            usage=_usage(outcome),
            localrlm=_ours(job, outcome),
        ).model_dump()
    )


def _text(turn: ChatTurn) -> str:
    if isinstance(turn.content, str):
        return turn.content
    return content_text([(part.type, part.text) for part in turn.content or ()])


def _usage(outcome: Outcome) -> CompletionUsage:
    used = outcome.usage_json()
    return CompletionUsage(
        prompt_tokens=used["tokens_in"],
        completion_tokens=used["tokens_out"],
        total_tokens=used["tokens_in"] + used["tokens_out"],
        prompt_tokens_details={"cached_tokens": used["tokens_cached"]},
    )


def _ours(job: Job, outcome: Outcome) -> dict[str, Any]:
    kept = ("route", "strategy", "citations", "partial", "reason")
    values = outcome.as_json()
    trace = job.message_id if job.stored else None
    return {**{key: values[key] for key in kept}, "trace_id": trace}


async def _chunks(job: Job, model: str, with_usage: bool) -> AsyncIterator[str]:
    common = {
        "id": f"chatcmpl-{job.message_id}",
        "object": "chat.completion.chunk",
        "created": now(),
        "model": model,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _data({**common, "choices": [choice], **more})

    sent = ""
    try:
        yield chunk({"role": "assistant", "content": ""})
        async for event in with_heartbeat(job.follow(), HEARTBEAT_SECONDS):
            if event is None:
                yield ": still working\n\n"
            elif isinstance(event, TokenEvent):
                sent += event.text
                yield chunk({"content": event.text})
            elif isinstance(event, ThinkingEvent):
                yield chunk({"reasoning_content": event.text})
        outcome = Outcome.of(job.events)
        if outcome.nothing_but_an_error:
            error = {"message": outcome.error, "type": "server_error", "code": outcome.error_code}
            yield _data({"error": error})
            return
        if outcome.text.startswith(sent) and outcome.text != sent:
            yield chunk({"content": outcome.text[len(sent) :]})
        finish = "length" if outcome.partial else "stop"
        yield chunk({}, finish, localrlm=_ours(job, outcome))
        if with_usage:
            yield _data({**common, "choices": [], "usage": _usage(outcome).model_dump()})
        yield "data: [DONE]\n\n"
    finally:
        job.cancel()


def _data(values: dict[str, Any]) -> str:
    return f"data: {json.dumps(values)}\n\n"

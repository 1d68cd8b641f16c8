"""Ollama's `/api/chat`, `/api/tags` and `/api/version`, so that tools which know only Ollama can use the engine.

The same rules as at the OpenAI door: model ``rlm`` is the engine, nothing is stored, and options are left to the engine.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

import rlm_core
from rlm_core.doors.foreign import Said
from rlm_core.doors.guest import MODELS, RLM, Guest, ask_for
from rlm_core.doors.house import TheHouse, User
from rlm_core.doors.outcome import Outcome
from rlm_core.doors.schemas import LARGEST_CONTEXT
from rlm_core.errors import LocalRLMError
from rlm_core.events import ThinkingEvent, TokenEvent
from rlm_core.jobs import Job
from rlm_core.security.refusal import error_response

router = APIRouter(prefix="/api", tags=["Ollama-compatible"])


class OllamaTurn(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: str = Field(min_length=1, max_length=50)
    content: str = Field(default="", max_length=LARGEST_CONTEXT)


class OllamaChatRequest(BaseModel):
    model_config = ConfigDict(extra="ignore")
    model: str = Field(default=RLM, min_length=1, max_length=300)
    messages: list[OllamaTurn] = Field(min_length=1, max_length=10_000)
    stream: bool | None = True


class OllamaMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str


class OllamaChatReply(BaseModel):
    """Times in nanoseconds, as Ollama has them."""

    model: str
    created_at: str
    message: OllamaMessage
    done: bool
    done_reason: str
    total_duration: int
    load_duration: int
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int


class OllamaDetails(BaseModel):
    parent_model: str = ""
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaModel(BaseModel):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: OllamaDetails


class OllamaTags(BaseModel):
    models: list[OllamaModel]


class OllamaVersion(BaseModel):
    version: str


class OllamaError(BaseModel):
    error: str


@router.get("/version")
async def version(user: User) -> OllamaVersion:
    """The version of LocalRLM."""
    return OllamaVersion(version=rlm_core.__version__)


@router.get("/tags")
async def tags(house: TheHouse, user: User) -> OllamaTags:
    """``rlm``, ``rlm-direct``, and the models of the backend when it answers."""
    entries = [_entry(name, family="localrlm") for name in MODELS]
    try:
        async with house.engine.backend() as backend:
            found = await backend.models()
        for info in found:
            entries.append(
                _entry(
                    info.name,
                    family=info.family or "",
                    size=info.size or 0,
                    digest=info.digest,
                    parameters=info.parameters or "",
                    quantization=info.quantization or "",
                )
            )
    except LocalRLMError:
        pass  # the engine's own names stay valid; a question will say what is wrong
    return OllamaTags(models=entries)


@router.post(
    "/chat",
    response_model=OllamaChatReply,
    responses={
        200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
        **{status: {"model": OllamaError} for status in (400, 404, 409, 422, 503)},
    },
)
async def chat(wish: OllamaChatRequest, house: TheHouse, user: User, request: Request) -> Response:
    """One answer, as lines of JSON unless ``stream`` is false. When the client goes away, the engine stops."""
    guest = Guest(
        house=house,
        user=user,
        model=wish.model,
        chat=tuple(Said(turn.role, turn.content) for turn in wish.messages),
    )
    started = time.monotonic()
    job = await ask_for(guest)
    if wish.stream is not False:
        return StreamingResponse(_lines(job, wish.model, started), media_type="application/x-ndjson")
    await guest.until_done_or_gone(job, request)
    outcome = Outcome.of(job.events)
    if outcome.nothing_but_an_error:
        return error_response(request.url.path, 503, outcome.error or "")
    return JSONResponse(_last(outcome, wish.model, outcome.text, started))


async def _lines(job: Job, model: str, started: float) -> AsyncIterator[str]:
    sent = ""
    try:
        async for event in job.follow():
            if isinstance(event, TokenEvent):
                sent += event.text
                yield _line(model, {"content": event.text})
            elif isinstance(event, ThinkingEvent):
                yield _line(model, {"content": "", "thinking": event.text})
        outcome = Outcome.of(job.events)
        if outcome.nothing_but_an_error:
            yield json.dumps({"error": outcome.error}) + "\n"
            return
        rest = outcome.text[len(sent) :] if outcome.text.startswith(sent) else ""
        yield json.dumps(_last(outcome, model, rest, started)) + "\n"
    finally:
        job.cancel()


def _line(model: str, message: dict[str, str]) -> str:
    values = {
        "model": model,
        "created_at": _timestamp(),
        "message": {"role": "assistant", **message},
        "done": False,
    }
    return json.dumps(values) + "\n"


def _last(outcome: Outcome, model: str, content: str, started: float) -> dict[str, Any]:
    used = outcome.usage_json()
    return OllamaChatReply(
        model=model,
        created_at=_timestamp(),
        message=OllamaMessage(content=content),
        done=True,
        done_reason="length" if outcome.partial else "stop",
        total_duration=int((time.monotonic() - started) * 1e9),
        load_duration=0,
        prompt_eval_count=used["tokens_in"],
        prompt_eval_duration=0,
        eval_count=used["tokens_out"],
        eval_duration=int(used["seconds"] * 1e9),
    ).model_dump()


def _entry(
    name: str,
    *,
    family: str,
    size: int = 0,
    digest: str | None = None,
    parameters: str = "",
    quantization: str = "",
) -> OllamaModel:
    full = name if ":" in name else f"{name}:latest"
    return OllamaModel(
        name=full,
        model=full,
        modified_at="1970-01-01T00:00:00Z",
        size=size,
        digest=digest or hashlib.sha256(name.encode()).hexdigest(),
        details=OllamaDetails(
            format="gguf",
            family=family,
            families=[family],
            parameter_size=parameters,
            quantization_level=quantization,
        ),
    )


def _timestamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")

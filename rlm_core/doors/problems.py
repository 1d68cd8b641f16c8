"""Every error that leaves a door is one sentence in the shape its protocol has for errors, never a stack trace."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from memory_store import DocumentError, NotFound, StoreError
from rlm_core.doors.foreign import NoQuestion
from rlm_core.doors.house import NotHere, Refused
from rlm_core.doors.schemas import Problem
from rlm_core.errors import (
    BackendError,
    LocalRLMError,
    MaterialError,
    ModelMissing,
    PromptTooLong,
    SettingsError,
)
from rlm_core.jobs import ConversationBusy
from rlm_core.security import AccountsError

log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotHere, 404),
    (NotFound, 404),
    (Refused, 403),
    (NoQuestion, 400),
    (SettingsError, 422),
    (AccountsError, 422),
    (MaterialError, 422),
    (DocumentError, 422),
    (ConversationBusy, 409),
    (ModelMissing, 404),
    (PromptTooLong, 422),
    (BackendError, 503),
    (StoreError, 503),
    (LocalRLMError, 400),
)
"""First match counts: subclasses stand before their bases."""

INTERNAL = "Something went wrong inside LocalRLM. The log has the details."


def install(app: FastAPI) -> None:
    """Let ``app`` answer errors in our shapes."""
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for kind, _ in _STATUS:
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(Exception, _unforeseen)


def first_problem(errors: Sequence[Any]) -> Problem:
    """The first of pydantic's complaints as a sentence that names the field."""
    first = errors[0]
    field = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path"})
    return Problem(detail=f"'{field}': {first['msg']}." if field else f"{first['msg']}.", field=field or None)


def answer(
    request: Request, status: int, text: str, field: str | None = None, **headers: str
) -> JSONResponse:
    """An error in the shape of the protocol that the path belongs to."""
    path = request.url.path
    body: dict[str, Any]
    if path.startswith("/v1/"):
        kind = "invalid_request_error" if status < 500 else "server_error"
        code = {401: "invalid_api_key", 404: "not_found", 409: "busy"}.get(status)
        body = {"error": {"message": text, "type": kind, "param": field, "code": code}}
    elif path.startswith("/api/"):
        body = {"error": text}
    else:
        body = Problem(detail=text, field=field).model_dump()
    return JSONResponse(body, status, headers or None)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = first_problem(error.errors())
    return answer(request, 422, problem.detail, problem.field)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = {404: "There is nothing here.", 405: "This address does not take that method."}
    text = sentence.get(error.status_code, str(error.detail))
    return answer(request, error.status_code, text, **dict(error.headers or {}))


async def _known(request: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    field = error.field if isinstance(error, SettingsError) else None
    return answer(request, status, str(error), field)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed in an unforeseen way", request.method, request.url.path, exc_info=error)
    return answer(request, 500, INTERNAL)

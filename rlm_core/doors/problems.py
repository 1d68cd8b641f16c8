"""Every error that leaves a door is one sentence in the shape its protocol has for errors, never a stack trace."""

from __future__ import annotations

import errno
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
    SettingsNotKept,
)
from rlm_core.jobs import ConversationBusy
from rlm_core.security import AccountsError
from rlm_core.security.refusal import error_response

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
    (SettingsNotKept, 500),
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
    app.add_exception_handler(OSError, _disk)
    app.add_exception_handler(Exception, _unforeseen)


def first_problem(errors: Sequence[Any]) -> Problem:
    """The first of pydantic's complaints as a sentence that names the field."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return Problem(
            detail=f"The request is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}."
        )
    field = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path"})
    return Problem(detail=f"'{field}': {first['msg']}." if field else f"{first['msg']}.", field=field or None)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = first_problem(error.errors())
    return error_response(request.url.path, 422, problem.detail, problem.field)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = {404: "There is nothing here.", 405: "This address does not take that method."}
    text = sentence.get(error.status_code, str(error.detail))
    return error_response(request.url.path, error.status_code, text, headers=error.headers)


async def _known(request: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    field = error.field if isinstance(error, SettingsError) else None
    return error_response(request.url.path, status, str(error), field)


async def _disk(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, OSError) or error.errno != errno.ENOSPC:
        return await _unforeseen(request, error)
    where = f" on which {error.filename} lies" if error.filename else ""
    return error_response(request.url.path, 503, f"The disk{where} is full. Make room there, then try again.")


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed in an unforeseen way", request.method, request.url.path, exc_info=error)
    return error_response(request.url.path, 500, INTERNAL)

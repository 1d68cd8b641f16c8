"""What the page's script and its links fetch: the script itself, an answer's text, downloads."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import FileResponse, PlainTextResponse, Response
from starlette.background import BackgroundTask

from memory_store import StoreError
from rlm_core.events import Event, to_json
from rlm_core.export import official_log
from rlm_core.security import Access, current_user
from ui.desk import Desk
from ui.exports import as_json, as_markdown, file_name
from ui.tab import NotYours
from ui.trace_table import as_csv

HERE = Path(__file__).parent
User = Annotated[str, Depends(current_user)]


def page_routes(desk: Desk, access: Access) -> APIRouter:
    """Everything under ``/page``. What is not the user's answers 404, as if it were not there."""
    router = APIRouter(prefix="/page", include_in_schema=False)
    store = desk.engine.store

    @router.get("/page.js")
    def script() -> FileResponse:
        return FileResponse(HERE / "page.js", media_type="text/javascript")

    @router.get("/style.css")
    def style() -> FileResponse:
        return FileResponse(HERE / "style.css", media_type="text/css")

    @router.get("/text/{message_id}")
    def text(message_id: str, user: User) -> PlainTextResponse:
        try:
            return PlainTextResponse(desk.text(message_id, user))
        except NotYours as error:
            raise HTTPException(404, str(error)) from None

    @router.get("/conversations/{conversation_id}.{ending}")
    def conversation(conversation_id: str, ending: str, user: User) -> Response:
        write = {"md": as_markdown, "json": as_json}.get(ending)
        if write is None:
            raise HTTPException(404, "Conversations are exported as .md and .json.")
        try:
            known = desk.conversation(conversation_id, user)
        except NotYours as error:
            raise HTTPException(404, str(error)) from None
        body = write(known, store.messages(conversation_id))
        return _download(
            body, file_name(known, ending), "text/markdown" if ending == "md" else "application/json"
        )

    @router.get("/traces/{name}")
    def trace(name: str, user: User) -> Response:
        message_id, _, ending = name.partition(".")
        write = {"csv": as_csv, "jsonl": _as_jsonl, "rlm.jsonl": official_log}.get(ending)
        if write is None:
            raise HTTPException(404, "Traces are exported as .csv, .jsonl and .rlm.jsonl.")
        try:
            desk.message(message_id, user)
            body = write(desk.engine.trace(message_id))
        except (NotYours, FileNotFoundError):
            raise HTTPException(404, "There is no trace of this answer.") from None
        return _download(
            body, f"trace-{message_id[:8]}.{ending}", "text/csv" if ending == "csv" else "application/jsonl"
        )

    @router.get("/everything.zip")
    def everything(user: User) -> Response:
        if not access.is_owner(user):
            raise HTTPException(403, "Only the owner of this LocalRLM may export everything.")
        folder = desk.books.uploads  # which is emptied at the next start, if this one ends in the middle
        folder.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(".zip", "export-", folder)
        os.close(handle)
        file = Path(name)
        try:
            store.export_all(file)
        except StoreError:
            file.unlink()
            raise
        return FileResponse(
            file,
            filename="localrlm.zip",
            media_type="application/zip",
            background=BackgroundTask(file.unlink),
        )

    return router


def _as_jsonl(events: Sequence[Event]) -> str:
    return "".join(json.dumps(to_json(event), ensure_ascii=False) + "\n" for event in events)


def _download(body: str, name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type=f"{media_type}; charset=utf-8", headers=headers)

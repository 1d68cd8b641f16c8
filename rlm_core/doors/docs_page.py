"""`/docs`: the OpenAPI description as a page of our own, with nothing loaded from anywhere else."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from rlm_core.doors.login import page

router = APIRouter(include_in_schema=False)


@router.get("/docs", response_class=HTMLResponse)
async def docs() -> HTMLResponse:
    return HTMLResponse(page("docs"))

"""The HTTP application: all doors on one server, behind one set of guards (DESIGN.md 4.6).

It knows nothing about the page: ``app.py`` mounts that at ``/`` afterwards, so that it stands behind the same guards.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

import rlm_core
from rlm_core.doors import chat, docs_page, library, login, ollama_door, openai_door, past, problems, system
from rlm_core.doors.house import House
from rlm_core.doors.login import LoginDesk
from rlm_core.doors.schemas import Problem
from rlm_core.mcp_server import McpOverHttp
from rlm_core.security import Access
from rlm_core.security.gate import Gate
from rlm_core.security.gradio_paths import GradioPaths
from rlm_core.security.headers import SecurityHeaders
from rlm_core.security.hosts import HostAndOrigin
from rlm_core.security.limits import BodyLimit, WriteRate

if TYPE_CHECKING:
    from rlm_core.engine import RLMEngine
    from rlm_core.jobs import Jobs

_DOORS = (chat, system, library, past, openai_door, ollama_door, login, docs_page)


def create_app(
    engine: RLMEngine,
    jobs: Jobs,
    *,
    config_path: str | Path | None = None,
    access: Access | None = None,
) -> FastAPI:
    """The application with every route and every guard.

    ``config_path`` is where changed settings are written (default ``config/settings.json``); ``access`` says who may
    come in (default: this computer only). Engine and jobs stay the caller's: they are not closed here.
    """
    access = access or Access.loopback()
    house = House(engine, jobs, Path(config_path) if config_path is not None else None, access)
    mcp = McpOverHttp(house)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with mcp.running():
            yield

    app = FastAPI(
        title="LocalRLM",
        version=rlm_core.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={422: {"model": Problem}},
    )
    app.state.house = house
    app.state.access = access
    app.state.login_desk = LoginDesk()
    problems.install(app)
    for door in _DOORS:
        app.include_router(door.router)
    app.router.routes.append(Route("/mcp", mcp))

    # The last one added is the first one asked.
    app.add_middleware(CORSMiddleware, allow_origins=[])  # nobody; and it tells Gradio not to add its own
    app.add_middleware(GradioPaths)
    app.add_middleware(Gate, access=access)
    app.add_middleware(BodyLimit)
    app.add_middleware(WriteRate)
    app.add_middleware(HostAndOrigin, knows_host=access.knows_host)
    app.add_middleware(SecurityHeaders)
    return app

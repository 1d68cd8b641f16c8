"""`/models`, `/status` and `/settings`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request

import rlm_core
from memory_store import StoreError
from rlm_core.backends.base import ModelInfo
from rlm_core.doors.house import House, Refused, TheHouse, User
from rlm_core.doors.schemas import (
    BackendOut,
    LoadedModel,
    MemoryOut,
    ModelOut,
    ModelsOut,
    Problem,
    QueueOut,
    StatusOut,
)
from rlm_core.errors import BackendError, LocalRLMError
from rlm_core.settings import Settings

router = APIRouter(tags=["system"])

HIDDEN = "********"
"""Stands for a key that is set. Sent back unchanged, it leaves the key as it is."""


@router.get("/models", responses={503: {"model": Problem}})
async def models(house: TheHouse, user: User) -> ModelsOut:
    """The installed models of the backend, with the roles they play by the settings."""
    roles = house.engine.settings.models.model_dump()
    async with house.engine.backend() as backend:
        found = await backend.models()
    return ModelsOut(
        backend=backend.name,
        models=[
            ModelOut(
                name=info.name,
                size=info.size,
                context_length=info.context_length,
                parameters=info.parameters,
                quantization=info.quantization,
                family=info.family,
                loaded=info.loaded,
                vram=info.vram,
                roles=[role for role, name in roles.items() if name == info.name],
            )
            for info in found
        ],
        roles=roles,
    )


@router.get("/status")
async def status(house: TheHouse, user: User) -> StatusOut:
    """Whether the model server answers, what is loaded, how long the line is. Never fails because something is down."""
    backend, choice, loaded = await _backend(house)
    sizes = [info.vram for info in loaded if info.vram is not None]
    active = house.jobs.active
    return StatusOut(
        version=rlm_core.__version__,
        user=user,
        backend=backend,
        choice=choice,
        models_loaded=[
            LoadedModel(name=info.name, vram=info.vram, context=info.loaded_context) for info in loaded
        ],
        vram=sum(sizes) if sizes else None,
        queue=QueueOut(
            active=len(active),
            waiting=sum(1 for job in active if house.jobs.place_in_line(job) > 0),
        ),
        memory=await asyncio.to_thread(_memory, house),
    )


async def _backend(house: House) -> tuple[BackendOut, str, list[ModelInfo]]:
    """How the model server is, why it was chosen, and what it has in memory."""
    try:
        async with house.engine.choice() as choice:
            state = await choice.backend.status()
            try:
                found = await choice.backend.models() if state.running else []
            except BackendError:
                found = []  # went down between the two questions; the next call will say so
    except LocalRLMError as error:  # for example `openai` without an address
        name = house.engine.settings.backend
        down = BackendOut(name=name, running=False, sentence=str(error), version=None, address=None)
        return down, str(error), []
    backend = BackendOut(
        name=state.name,
        running=state.running,
        sentence=state.sentence,
        version=state.version,
        address=state.address,
    )
    return backend, choice.sentence, [info for info in found if info.loaded]


@router.get("/settings")
async def read_settings(house: TheHouse, user: User) -> Settings:
    """All settings. Keys are hidden."""
    return _without_secrets(house.engine.settings)


@router.post("/settings", responses={403: {"model": Problem}})
async def change_settings(
    request: Request,
    house: TheHouse,
    user: User,
    values: Annotated[dict[str, Any], Body(examples=[{"temperature": 0.2}])],
) -> Settings:
    """Change some settings, for example ``{"limits": {"max_depth": 1}}``; they hold from the next message on and are
    written to the settings file. 422 names the field that was not accepted."""
    house.owner_only(user)
    if values.get("api_key") == HIDDEN:
        values = {key: value for key, value in values.items() if key != "api_key"}
    settings = house.engine.settings.changed(values)
    opens = settings.server.lan != house.engine.settings.server.lan
    if opens and not house.access.lets_in_without_log_in(request.scope):
        raise Refused("The home network is opened and closed on the computer that runs LocalRLM only.")
    await house.engine.apply(settings)
    await asyncio.to_thread(_save, house.config_path, values)
    return _without_secrets(settings)


def _save(file: Path | None, values: dict[str, Any]) -> None:
    """Into the file goes what was asked for, not what environment and command line say for this run."""
    Settings.load(file, environment={}).changed(values).save(file)


def _without_secrets(settings: Settings) -> Settings:
    return settings.model_copy(update={"api_key": HIDDEN}) if settings.api_key else settings


def _memory(house: House) -> MemoryOut | None:
    try:
        state = house.store.status()
    except StoreError as error:
        return MemoryOut(
            conversations=0, messages=0, documents=0, pending=0, embedder="", index="", problem=str(error)
        )
    return MemoryOut(
        conversations=state.conversations,
        messages=state.messages,
        documents=state.documents,
        pending=state.pending,
        embedder=state.embedder,
        index=state.index,
        problem=state.problem,
    )

"""New settings while answers are being made: those finish as they began, the next message takes the new ones."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from rlm_core.backends.ollama_client import OllamaBackend
from rlm_core.events import PhaseEvent
from tests.conformance.stage import Actor, Stage, fence, finish
from tests.scripted.ollama_server import ScriptedOllama
from tests.scripted.script import ChatRequest


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of the backends that were closed, in order."""
    addresses: list[str] = []
    close = OllamaBackend.close

    async def noted(backend: OllamaBackend) -> None:
        addresses.append(backend.base_url)
        await close(backend)

    monkeypatch.setattr(OllamaBackend, "close", noted)
    return addresses


async def test_an_answer_finishes_with_the_server_it_began_with(tmp_path: Path, closed: list[str]) -> None:
    gate = threading.Event()

    def one(request: ChatRequest) -> str:
        gate.wait(60)
        return fence('reply = llm_query("and you?")')

    actor = Actor(root=[one, finish("reply")], sub="From the old one.", direct="unused")
    with ScriptedOllama(Actor(direct="From the new one.")) as other:
        async with Stage(actor, tmp_path) as stage:
            running = stage.start(strategy="loop")
            await stage.reaches(lambda: len(stage.server.requests) == 1)
            await stage.engine.apply(stage.engine.settings.changed({"base_url": other.url}))
            assert closed == []
            outcome = await stage.ask(mode="direct")
            assert outcome.answer == "From the new one."
            stage.spent -= 1  # made by the other server
            gate.set()
            outcome = await running.end()
            assert outcome.answer == "From the old one."
            assert not outcome.partial
            assert closed == [stage.server.url]
        assert closed == [stage.server.url, other.url]


async def test_an_idle_server_is_left_at_once(tmp_path: Path, closed: list[str]) -> None:
    async with Stage(Actor(), tmp_path) as stage:
        await stage.ask(mode="direct")
        await stage.engine.apply(stage.engine.settings.changed({"base_url": "http://127.0.0.1:9"}))
        assert closed == [stage.server.url]


async def test_a_message_that_comes_while_the_old_server_is_left_goes_to_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving, left = asyncio.Event(), asyncio.Event()
    close = OllamaBackend.close

    async def slowly(backend: OllamaBackend) -> None:
        leaving.set()
        await left.wait()
        await close(backend)

    with ScriptedOllama(Actor(direct="From the new one.")) as other:
        async with Stage(Actor(), tmp_path) as stage:
            await stage.ask(mode="direct")
            monkeypatch.setattr(OllamaBackend, "close", slowly)
            settings = stage.engine.settings.changed({"base_url": other.url})
            applying = asyncio.create_task(stage.engine.apply(settings))
            await leaving.wait()
            outcome = await stage.ask(mode="direct")
            stage.spent -= 1  # made by the other server
            left.set()
            await applying
    assert outcome.answer == "From the new one."


async def test_other_settings_keep_the_server_and_the_variables(tmp_path: Path, closed: list[str]) -> None:
    actor = Actor(root=[fence("kept = 'still here'"), finish('"done"'), fence("print(kept)"), finish("kept")])
    async with Stage(actor, tmp_path) as stage:
        await stage.ask(conversation_id="talk")
        await stage.engine.apply(stage.engine.settings.changed({"temperature": 0.1, "recursive": False}))
        outcome = await stage.ask(conversation_id="talk")
        assert outcome.answer == "still here"
        assert closed == []


async def test_a_running_cell_keeps_its_repl_when_the_limits_of_the_repl_change(tmp_path: Path) -> None:
    gate = threading.Event()

    def waits(request: ChatRequest) -> str:
        gate.wait(60)
        return "late"

    actor = Actor(root=[fence("x = 41\ny = llm_query('wait')"), finish("f'{x + 1} {y}'")], sub=waits)
    async with Stage(actor, tmp_path) as stage:
        running = stage.start(strategy="loop", conversation_id="talk")
        await running.sees(lambda event: isinstance(event, PhaseEvent) and event.text == "running code")
        await stage.reaches(lambda: len(stage.server.requests) == 2)
        await stage.engine.apply(stage.engine.settings.changed({"repl": {"seconds": 20}}))
        gate.set()
        outcome = await running.end()
    assert outcome.answer == "42 late"
    assert not outcome.partial


async def test_whoever_asks_the_server_something_keeps_it_until_it_has_answered(
    tmp_path: Path, closed: list[str]
) -> None:
    async with Stage(Actor(), tmp_path) as stage:
        async with stage.engine.backend() as backend:
            await stage.engine.apply(stage.engine.settings.changed({"base_url": "http://127.0.0.1:9"}))
            assert closed == []
            assert await backend.models()
        assert closed == [stage.server.url]

"""The store of an engine: opened once, when it is needed, with the embedder that the settings name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from memory_store import MemoryStore
from rlm_core import RLMEngine, Settings
from rlm_core.errors import SettingsError
from rlm_core.request import MessageRequest


def test_an_engine_that_answered_nothing_gives_its_folder_free(tmp_path: Path) -> None:
    settings = Settings().changed({"memory": {"embedder": "off"}})
    with RLMEngine(settings, data_dir=tmp_path) as engine:
        engine.store.add_message("c", "user", "the walrus sleeps")
    with MemoryStore(tmp_path, embedder=None) as store:
        assert [message.text for message in store.messages("c")] == ["the walrus sleeps"]


async def test_a_changed_embedder_is_used_by_the_open_store(tmp_path: Path) -> None:
    settings = Settings().changed({"memory": {"embedder": "off"}})
    engine = RLMEngine(settings, data_dir=tmp_path)
    try:
        engine.store.add_message("c", "user", "the walrus sleeps")
        assert engine.store.status().embedder == "off: recall by words only"
        await engine.apply(settings.changed({"memory": {"embedder": str(tmp_path / "nowhere")}}))
        engine.store.flush()
        problem = engine.store.status().problem
        assert problem is not None
        assert str(tmp_path / "nowhere") in problem
        assert engine.store.recall("walrus")[0].text == "the walrus sleeps"
        await engine.apply(settings)
        assert engine.store.status().problem is None
    finally:
        await engine.close()


async def test_questions_that_come_at_once_open_the_store_once(tmp_path: Path) -> None:
    engine = RLMEngine(Settings().changed({"memory": {"embedder": "off"}}), data_dir=tmp_path)
    requests = [MessageRequest(f"Question {n}", conversation_id=f"talk {n}") for n in range(8)]
    try:
        turns = await asyncio.gather(*map(engine.begin, requests))
        stored = [engine.store.message(turn.question_id) for turn in turns]
        assert [message.text for message in stored if message] == [request.message for request in requests]
    finally:
        await engine.close()


def test_the_bundled_model_is_the_default_and_no_model_at_all_is_called_off() -> None:
    assert Settings().memory.embedder == "minilm"
    with pytest.raises(SettingsError, match=r"memory\.embedder"):
        Settings().changed({"memory": {"embedder": None}})

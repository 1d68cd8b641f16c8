"""`memory.embedder` reaches the store: when it is opened, and when the setting changes while it is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_core import RLMEngine, Settings
from rlm_core.errors import SettingsError


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


def test_the_bundled_model_is_the_default_and_no_model_at_all_is_called_off() -> None:
    assert Settings().memory.embedder == "minilm"
    with pytest.raises(SettingsError, match=r"memory\.embedder"):
        Settings().changed({"memory": {"embedder": None}})

"""Another place for the vectors takes effect at once, and an address where no Chroma server answers is refused."""

from pathlib import Path

import pytest

from rlm_core import RLMEngine, Settings
from rlm_core.errors import SettingsError
from rlm_core.security import Access
from ui.control import Control
from ui.tab import Tab

NOBODY = "http://127.0.0.1:9"


async def test_an_address_without_a_server_is_refused_with_its_field_and_nothing_changes(
    tmp_path: Path,
) -> None:
    settings = Settings().changed({"backend": "embedded", "memory": {"embedder": "off"}})
    engine = RLMEngine(settings, data_dir=tmp_path)
    engine.store.add_message("c", "user", "the walrus sleeps")
    with pytest.raises(SettingsError, match="No Chroma server answers at") as refused:
        await engine.apply(settings.changed({"memory": {"chroma_url": NOBODY}}))
    assert refused.value.field == "memory.chroma_url"
    assert engine.settings == settings

    config = tmp_path / "settings.json"
    settings.save(config)
    control = Control(engine, Access.loopback(host="127.0.0.1", port=8000), config)
    sentence = await control.save(Tab("", "local"), "memory.chroma_url", NOBODY)
    assert sentence is not None
    assert sentence.startswith(f"Not saved: No Chroma server answers at {NOBODY}")
    assert Settings.load(config, environment={}).memory.chroma_url is None
    assert engine.store.recall("walrus")[0].text == "the walrus sleeps"
    await control.close()
    await engine.close()

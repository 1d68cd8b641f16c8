"""Which backend answers, and what the page says about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rlm_core.backends.choose import choose_backend, open_backend
from rlm_core.errors import SettingsError
from rlm_core.settings import Settings
from tests.scripted.ollama_server import ScriptedModel, ScriptedOllama
from tests.scripted.openai_server import ScriptedOpenAI
from tests.scripted.script import echo

NOWHERE = "http://127.0.0.1:9"


async def test_auto_takes_ollama_when_it_answers_with_a_model() -> None:
    with ScriptedOllama(echo) as server:
        choice = await choose_backend(Settings(base_url=server.url))
        await choice.backend.close()
    assert choice.backend.name == "ollama"
    assert server.url in choice.sentence
    assert "3 models" in choice.sentence


@pytest.mark.parametrize("models", [[], [ScriptedModel("big:cloud", remote=True)]])
async def test_auto_takes_the_embedded_model_when_ollama_has_none(models: list[ScriptedModel]) -> None:
    with ScriptedOllama(echo, models=models) as server:
        choice = await choose_backend(Settings(base_url=server.url))
    assert choice.backend.name == "embedded"
    assert "no model is installed" in choice.sentence
    assert "ollama pull qwen3:8b" in choice.sentence


async def test_auto_takes_the_embedded_model_when_ollama_is_away() -> None:
    choice = await choose_backend(Settings(base_url=NOWHERE))
    assert choice.backend.name == "embedded"
    assert f"Ollama does not answer at {NOWHERE}" in choice.sentence
    assert "ollama serve" in choice.sentence
    assert "demonstration model" in choice.sentence


async def test_a_named_ollama_is_taken_even_when_it_is_away() -> None:
    choice = await choose_backend(Settings(backend="ollama", base_url=NOWHERE))
    assert choice.backend.name == "ollama"
    assert "does not answer" in choice.sentence


async def test_openai_needs_an_address() -> None:
    with pytest.raises(SettingsError) as caught:
        await open_backend(Settings(backend="openai"))
    assert caught.value.field == "base_url"
    with ScriptedOpenAI(echo, api_key="k") as server:
        choice = await choose_backend(Settings(backend="openai", base_url=server.url, api_key="k"))
        assert choice.backend.name == "openai"
        assert "answers at" in choice.sentence
        await choice.backend.close()


@pytest.mark.parametrize("field", ["base_url", "models"])
async def test_the_embedded_backend_takes_a_named_file(field: str, tmp_path: Path) -> None:
    from rlm_core.backends.llama_cpp import _bundled_file

    own = tmp_path / "mine.GGUF"
    own.symlink_to(_bundled_file())
    value = str(own) if field == "base_url" else {"fast": str(own)}
    backend = await open_backend(
        Settings.model_validate({"backend": "embedded", field: value, "num_ctx": 1024})
    )
    (info,) = await backend.models()
    assert (info.name, info.context_length) == ("mine", 1024)


async def test_a_named_file_that_is_not_there_is_a_settings_error() -> None:
    with pytest.raises(SettingsError) as caught:
        await open_backend(Settings(backend="embedded", base_url="/nowhere/model.gguf"))
    assert caught.value.field == "base_url"


def test_importing_the_engine_loads_no_http_client() -> None:
    code = "import sys, rlm_core; print([m for m in ('httpx', 'ollama', 'torch', 'chromadb', 'gradio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

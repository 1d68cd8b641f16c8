"""Defaults < file < environment < arguments; nothing unknown, nothing lost."""

import json
import logging
from pathlib import Path

import pytest

from rlm_core import Settings
from rlm_core.errors import SettingsError


def load(path: Path, environment: dict[str, str] | None = None, **arguments: object) -> Settings:
    return Settings.load(path, environment=environment or {}, **arguments)


def test_the_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    settings = load(tmp_path / "none.json")
    assert settings.backend == "auto"
    assert settings.models.model_dump() == {
        "fast": "qwen3:8b",
        "tools": "glm-z1:9b",
        "quality": "qwen3:30b-a3b",
    }
    assert (settings.num_ctx, settings.temperature, settings.complexity_threshold) == (8192, 0.7, 0.5)
    assert settings.limits.model_dump() == {
        "max_depth": 2,
        "max_iterations": 12,
        "max_llm_calls": 64,
        "max_tokens": None,
        "max_seconds": 300,
        "max_parallel": 4,
    }
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)


def test_arguments_beat_the_environment_and_that_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"num_ctx": 1024, "temperature": 0.1, "limits": {"max_depth": 1, "max_seconds": 10}}')
    settings = load(
        file,
        {
            "LOCALRLM_TEMPERATURE": "0.2",
            "LOCALRLM_LIMITS__MAX_DEPTH": "0",
            "LOCALRLM_BASE_URL": "null",
            "PATH": "x",
        },
        limits={"max_depth": 3},
        base_url=None,
    )
    assert (settings.num_ctx, settings.temperature) == (1024, 0.2)
    assert (settings.limits.max_depth, settings.limits.max_seconds) == (3, 10)
    assert settings.base_url is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"colour": "blue"}, "colour"),
        ({"limits": {"max_dept": 1}}, "limits.max_dept"),
        ({"num_ctx": "large"}, "num_ctx"),
        ({"limits": {"max_depth": -1}}, "limits.max_depth"),
        ({"temperature": 3}, "temperature"),
        ({"routing": "random"}, "routing"),
        ({"server": {"port": 0}}, "server.port"),
        ({"server": {"host": ""}}, "server.host"),
        ({"models": {"fast": ""}}, "models.fast"),
        ({"keep_alive": "half an hour"}, "keep_alive"),
        ({"keep_alive": ""}, "keep_alive"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_field(
    values: dict[str, object], field: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "none.json").changed(values)
    assert caught.value.field == field
    assert field in str(caught.value)
    (tmp_path / "settings.json").write_text(json.dumps(values))
    with pytest.raises(SettingsError):
        load(tmp_path / "settings.json")


@pytest.mark.parametrize("content", ["{broken", "[1, 2]", "", "\x00\xff"])
def test_a_damaged_file_is_kept_aside_and_named(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(content.encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        settings = load(file)
    assert settings == load(tmp_path / "none.json")
    aside = tmp_path / "settings.json.damaged-1"
    assert aside.read_bytes() == content.encode("latin-1")
    assert str(aside) in caplog.text


def test_a_file_of_a_windows_editor_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(b"\xef\xbb\xbf" + b'{"num_ctx": 4096}')
    assert load(file).num_ctx == 4096
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


@pytest.mark.parametrize("value", ["30m", "1h30m", "1.5h", "300", "-1", 0, -1])
def test_a_time_to_keep_a_model_is_a_duration_as_ollama_takes_it(value: str | int, tmp_path: Path) -> None:
    assert load(tmp_path / "none.json").changed({"keep_alive": value}).keep_alive == str(value)


def test_saved_settings_are_loaded_again(tmp_path: Path) -> None:
    settings = load(tmp_path / "none.json").changed(
        {"limits": {"max_depth": 1}, "models": {"fast": "gemma3:4b"}}
    )
    file = settings.save(tmp_path / "config" / "settings.json")
    assert load(file) == settings
    assert list(file.parent.iterdir()) == [file]


def test_a_partial_change_leaves_the_rest_of_its_group(tmp_path: Path) -> None:
    settings = load(tmp_path / "none.json").changed({"limits": {"max_depth": 1}})
    assert settings.limits.max_iterations == 12

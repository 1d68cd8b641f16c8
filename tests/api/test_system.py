"""`/models`, `/status`, `/settings` and the description of the interface."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.api.server import RunningApp
from tests.scripted.ollama_server import ScriptedOllama


def test_the_models_are_listed_with_their_roles(client: httpx.Client) -> None:
    body = client.get("/models").json()
    roles = {model["name"]: model["roles"] for model in body["models"]}
    assert roles["qwen3:8b"] == ["fast"]
    assert roles["glm-z1:9b"] == ["tools"]
    assert body["backend"] == "ollama"


def test_the_status_says_what_answers_and_what_is_loaded(client: httpx.Client) -> None:
    client.post("/chat", json={"message": "Hi!"})
    body = client.get("/status").json()
    assert body["backend"]["running"] is True
    assert body["models_loaded"]
    assert body["memory"]["messages"] >= 2
    assert body["queue"] == {"active": 0, "waiting": 0}
    assert body["version"]


def test_the_status_is_there_when_the_model_server_is_not(tmp_path: Path) -> None:
    with (
        RunningApp(tmp_path, "http://127.0.0.1:9") as app,
        httpx.Client(base_url=app.url, timeout=30) as client,
    ):
        body = client.get("/status").json()
        assert body["backend"]["running"] is False
        assert "does not answer" in body["backend"]["sentence"]
        assert client.get("/models").status_code == 503
        assert [m["id"] for m in client.get("/v1/models").json()["data"]] == ["rlm", "rlm-direct"]
        answer = client.post("/chat", json={"message": "Hi!"})
        assert answer.status_code == 503
        assert "does not answer" in answer.json()["detail"]


def test_the_status_says_what_is_missing_in_the_settings(ollama: ScriptedOllama, tmp_path: Path) -> None:
    with RunningApp(tmp_path, ollama.url) as app, httpx.Client(base_url=app.url) as client:
        assert client.post("/settings", json={"backend": "openai", "base_url": None}).status_code == 200
        body = client.get("/status").json()
        assert body["backend"]["running"] is False
        assert "base_url" in body["backend"]["sentence"]
        assert [m["id"] for m in client.get("/v1/models").json()["data"]] == ["rlm", "rlm-direct"]
        assert client.get("/models").status_code == 422


@pytest.fixture
def fresh(ollama: ScriptedOllama, tmp_path: Path) -> RunningApp:
    return RunningApp(tmp_path, ollama.url, api_key="sk-very-secret")


def test_settings_change_in_part_hold_at_once_and_are_written(fresh: RunningApp) -> None:
    with fresh as app, httpx.Client(base_url=app.url) as client:
        changed = client.post("/settings", json={"temperature": 0.2, "limits": {"max_depth": 1}}).json()
        assert changed["temperature"] == 0.2
        assert client.get("/settings").json()["limits"]["max_depth"] == 1
        assert app.engine.settings.limits.max_depth == 1
        assert app.engine.settings.limits.max_seconds == 60
        written = json.loads(app.config.read_text())
        assert written["temperature"] == 0.2
        assert written["base_url"] is None, "what the command line says is not written into the file"
        assert client.post("/chat", json={"message": "Hi!"}).json()["answer"] == "Hello there, friend."


def test_the_key_of_the_model_server_is_never_shown(fresh: RunningApp) -> None:
    with fresh as app, httpx.Client(base_url=app.url) as client:
        shown = client.get("/settings")
        assert "very-secret" not in shown.text
        assert client.post("/settings", json={"api_key": shown.json()["api_key"]}).status_code == 200
        assert app.engine.settings.api_key == "sk-very-secret"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"temperature": 9}, "temperature"),
        ({"limits": {"max_depth": -1}}, "limits.max_depth"),
        ({"limits": {"depth": 1}}, "limits.depth"),
        ({"colour": "red"}, "colour"),
        ({"models": "qwen3:8b"}, "models"),
    ],
)
def test_a_bad_setting_is_named(client: httpx.Client, values: dict[str, object], field: str) -> None:
    response = client.post("/settings", json=values)
    assert response.status_code == 422
    assert response.json()["field"] == field
    assert client.post("/settings", json=[1]).status_code == 422


def test_the_docs_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    text = client.get("/docs").text
    assert "https://" not in text
    assert "http://" not in text
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/chat", "/models", "/status", "/settings", "/documents", "/v1/chat/completions"):
        assert path in paths

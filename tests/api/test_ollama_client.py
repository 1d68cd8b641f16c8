"""The official `ollama` client, pointed at us instead of at an Ollama."""

from __future__ import annotations

import ollama
import pytest

from tests.api.conftest import STORY
from tests.api.server import RunningApp


@pytest.fixture
def client(app: RunningApp) -> ollama.Client:
    return ollama.Client(host=app.url, timeout=30)


def test_the_engine_is_among_the_models(client: ollama.Client) -> None:
    names = [model.model for model in client.list().models]
    assert names[:2] == ["rlm:latest", "rlm-direct:latest"]
    assert "qwen3:8b" in names


@pytest.mark.parametrize("model", ["rlm", "rlm:latest", "rlm-direct", "qwen3:8b"])
def test_a_whole_answer(client: ollama.Client, model: str) -> None:
    reply = client.chat(model=model, messages=[{"role": "user", "content": "Hi!"}])
    assert reply.message.content == "Hello there, friend."
    assert reply.done_reason == "stop"
    assert reply.eval_count is not None
    assert reply.eval_count > 0


def test_a_streamed_answer(client: ollama.Client) -> None:
    parts = list(
        client.chat(model="rlm", messages=[{"role": "user", "content": "Tell me a STORY"}], stream=True)
    )
    assert "".join(part.message.content or "" for part in parts) == STORY
    assert [part.done for part in parts[:-1]] == [False] * (len(parts) - 1)
    assert parts[-1].done


def test_thinking_is_kept_apart(client: ollama.Client) -> None:
    parts = client.chat(model="rlm", messages=[{"role": "user", "content": "THINK first"}], stream=True)
    assert "".join(part.message.thinking or "" for part in parts) == "Let me see."


def test_errors_are_those_that_the_client_knows(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="not installed"):
        client.chat(model="nothing", messages=[{"role": "user", "content": "Hi!"}])
    with pytest.raises(ollama.ResponseError, match="crashed"):
        client.chat(model="rlm", messages=[{"role": "user", "content": "BREAK"}])
    with pytest.raises(ollama.ResponseError, match="crashed"):
        list(client.chat(model="rlm", messages=[{"role": "user", "content": "BREAK"}], stream=True))

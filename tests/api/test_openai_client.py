"""The official `openai` client: only the base URL is ours."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.api.conftest import STORY, Home
from tests.api.server import RunningApp
from tests.scripted.ollama_server import ScriptedOllama


@pytest.fixture
def ai(app: RunningApp) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{app.url}/v1", api_key="unused", max_retries=0, timeout=30) as client:
        yield client


def test_a_whole_answer_with_usage(ai: openai.OpenAI) -> None:
    completion = ai.chat.completions.create(model="rlm", messages=[{"role": "user", "content": "Hi!"}])
    assert completion.choices[0].message.content == "Hello there, friend."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert (
        completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    assert completion.usage.completion_tokens > 0


def test_a_streamed_answer_comes_in_pieces_and_ends_with_usage(ai: openai.OpenAI) -> None:
    chunks = list(
        ai.chat.completions.create(
            model="rlm",
            messages=[{"role": "user", "content": "Tell me a STORY"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == STORY
    assert len(pieces) > 10
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 100


def test_thinking_is_kept_apart_from_the_answer(ai: openai.OpenAI) -> None:
    chunks = ai.chat.completions.create(
        model="rlm", messages=[{"role": "user", "content": "THINK first"}], stream=True
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "After some thought: yes."
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Let me see."


def test_the_models_are_the_engine_and_those_of_the_backend(ai: openai.OpenAI) -> None:
    names = [model.id for model in ai.models.list()]
    assert names[:2] == ["rlm", "rlm-direct"]
    assert "qwen3:8b" in names
    assert ai.models.retrieve("rlm").id == "rlm"
    with pytest.raises(openai.NotFoundError):
        ai.models.retrieve("gpt-99")


def test_a_model_of_the_backend_can_be_named_and_an_unknown_one_is_refused(
    ai: openai.OpenAI, ollama: ScriptedOllama
) -> None:
    ai.chat.completions.create(model="glm-z1:9b", messages=[{"role": "user", "content": "Hi!"}])
    assert ollama.requests[-1]["model"] == "glm-z1:9b"
    with pytest.raises(openai.NotFoundError, match="gpt-99"):
        ai.chat.completions.create(model="gpt-99", messages=[{"role": "user", "content": "Hi!"}])


def test_instructions_and_history_reach_the_model_and_nothing_is_stored(
    ai: openai.OpenAI, ollama: ScriptedOllama, client: httpx.Client
) -> None:
    before = client.get("/conversations").json()["conversations"]
    ai.chat.completions.create(
        model="rlm",
        messages=[
            {"role": "system", "content": "Answer like a sailor."},
            {"role": "user", "content": "My boat is called Wanderer."},
            {"role": "assistant", "content": "A fine name."},
            {"role": "user", "content": [{"type": "text", "text": "What is my boat called?"}]},
        ],
    )
    sent = str(ollama.requests[-1]["messages"])
    assert "sailor" in sent
    assert "Wanderer" in sent
    assert client.get("/conversations").json()["conversations"] == before


def test_with_a_conversation_id_the_chat_is_stored(ai: openai.OpenAI, client: httpx.Client) -> None:
    ai.chat.completions.create(
        model="rlm",
        messages=[{"role": "user", "content": "Hi!"}],
        extra_body={"conversation_id": "from-a-program"},
    )
    assert len(client.get("/conversations/from-a-program").json()["messages"]) == 2


def test_a_long_message_becomes_context_that_the_engine_reads(
    ai: openai.OpenAI, ollama: ScriptedOllama
) -> None:
    book = "\n\n".join(f"Entry {number}: nothing happened on this day." for number in range(1000))
    ai.chat.completions.create(
        model="rlm-direct", messages=[{"role": "user", "content": f"{book}\n\nWhat happened on day 12?"}]
    )
    assert "What happened on day 12?" in str(ollama.requests[-1]["messages"][-1])
    assert ollama.silent_cuts == 0


def test_a_client_that_goes_away_stops_the_model(ai: openai.OpenAI, app: RunningApp) -> None:
    stream = ai.chat.completions.create(
        model="rlm", messages=[{"role": "user", "content": "HOLD it"}], stream=True
    )
    next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
    job = app.jobs.active[-1]
    stream.close()
    wait_until_done(app, job)
    assert job.cancel_token.cancelled


def test_a_whole_answer_nobody_waits_for_is_stopped_too(app: RunningApp) -> None:
    with httpx.Client(base_url=app.url) as client, pytest.raises(httpx.ReadTimeout):
        client.post(
            "/v1/chat/completions",
            json={"model": "rlm", "messages": [{"role": "user", "content": "HOLD it"}]},
            timeout=1,
        )
    for job in app.jobs.active:
        wait_until_done(app, job)


def test_errors_have_the_shape_that_the_client_expects(ai: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="user message"):
        ai.chat.completions.create(model="rlm", messages=[{"role": "system", "content": "Be nice."}])
    with pytest.raises(openai.UnprocessableEntityError, match="messages"):
        ai.chat.completions.create(model="rlm", messages=[])
    with pytest.raises(openai.InternalServerError, match="crashed"):
        ai.chat.completions.create(model="rlm", messages=[{"role": "user", "content": "BREAK"}])
    with pytest.raises(openai.APIError, match="crashed"):
        list(
            ai.chat.completions.create(
                model="rlm", messages=[{"role": "user", "content": "BREAK"}], stream=True
            )
        )


def test_behind_the_log_in_the_api_key_opens_the_door(home: Home, owner: httpx.Client) -> None:
    key = owner.post("/account/keys", json={"label": "editor"}).json()["key"]
    messages = [{"role": "user", "content": "Hi!"}]
    with openai.OpenAI(base_url=f"{home.app.url}/v1", api_key=key, max_retries=0) as ai:
        assert ai.chat.completions.create(model="rlm", messages=messages).choices  # type: ignore[arg-type]
    with (
        openai.OpenAI(base_url=f"{home.app.url}/v1", api_key="rlm-wrong", max_retries=0) as ai,
        pytest.raises(openai.AuthenticationError, match="Log in"),
    ):
        ai.chat.completions.create(model="rlm", messages=messages)  # type: ignore[arg-type]


def wait_until_done(app: RunningApp, job: object) -> None:
    app.in_loop(job.wait())  # type: ignore[attr-defined]

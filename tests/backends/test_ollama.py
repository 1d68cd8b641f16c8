"""The Ollama backend through real HTTP, against the scripted server."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from rlm_core.backends.base import ChatMessage
from rlm_core.backends.ollama_client import OllamaBackend
from rlm_core.backends.ollama_names import ollama_address
from rlm_core.errors import (
    BackendError,
    BackendNotRunning,
    ModelMissing,
    OutOfMemory,
    PromptTooLong,
    StreamDropped,
)
from tests.backends.replies import collect, options, user, whole
from tests.scripted.ollama_server import ScriptedModel, ScriptedOllama
from tests.scripted.script import ChatRequest, Reply, echo

MODEL = "qwen3:8b"


async def test_a_reply_streams_piece_by_piece_with_its_counts() -> None:
    with ScriptedOllama(lambda request: "The garden opens at nine.", load_seconds=0.01) as server:
        backend = OllamaBackend(server.url)
        reply = await whole(backend, MODEL, user("When does it open?"), options())
        await backend.close()
    assert reply.text == "The garden opens at nine."
    assert reply.pieces == server.count(reply.text)
    assert reply.reason == "stop"
    assert reply.usage is not None
    assert reply.usage.tokens_in == server.largest_prompt
    assert reply.usage.tokens_out == server.count(reply.text)
    assert reply.usage.load_seconds == 0.01


async def test_every_option_reaches_the_server() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    with ScriptedOllama(lambda request: "{}") as server:
        backend = OllamaBackend(server.url)
        chosen = options(
            temperature=0.3, max_tokens=50, schema=schema, stop=("END",), think=False, keep_alive="-1", seed=7
        )
        await whole(backend, MODEL, [ChatMessage("system", "Be brief."), *user("Hello")], chosen)
        await backend.close()
    (body,) = server.requests
    assert body == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": True,
        "options": {"num_ctx": 4096, "temperature": 0.3, "num_predict": 50, "stop": ["END"], "seed": 7},
        "truncate": False,
        "shift": False,
        "keep_alive": -1,
        "format": schema,
        "think": False,
    }


async def test_thinking_is_kept_apart_from_the_answer() -> None:
    with ScriptedOllama(lambda request: Reply("Four.", thinking="Two and two.")) as server:
        backend = OllamaBackend(server.url)
        reply = await whole(backend, MODEL, user("2+2?"), options(think=True))
        await backend.close()
    assert (reply.text, reply.thinking) == ("Four.", "Two and two.")


async def test_inline_thinking_is_split_off() -> None:
    with ScriptedOllama(lambda request: "<think>Two and two.</think>\n\nFour.") as server:
        backend = OllamaBackend(server.url)
        reply = await whole(backend, MODEL, user("2+2?"), options())
        await backend.close()
    assert (reply.text, reply.thinking) == ("Four.", "Two and two.")


async def test_a_model_whose_template_opens_thinking_is_remembered() -> None:
    with ScriptedOllama(lambda request: "Two and two.</think>\n\nFour.") as server:
        backend = OllamaBackend(server.url)
        await whole(backend, MODEL, user("2+2?"), options())
        second = await whole(backend, MODEL, user("2+2?"), options())
        await backend.close()
    assert (second.text, second.thinking) == ("Four.", "Two and two.")


async def test_a_model_that_cannot_think_is_asked_again_without_and_remembered() -> None:
    with ScriptedOllama(lambda request: "Four.") as server:
        backend = OllamaBackend(server.url)
        for _ in range(2):
            assert (await whole(backend, "glm-z1:9b", user("2+2?"), options(think=True))).text == "Four."
        await backend.close()
    assert [body.get("think") for body in server.requests] == [True, None, None]


async def test_null_content_is_an_empty_answer() -> None:
    with ScriptedOllama(lambda request: Reply(content_null=True)) as server:
        backend = OllamaBackend(server.url)
        reply = await whole(backend, MODEL, user("Hello"), options())
        await backend.close()
    assert (reply.text, reply.reason) == ("", "stop")


async def test_a_reply_without_counts_has_no_usage() -> None:
    with ScriptedOllama(lambda request: Reply("Hi.", no_usage=True)) as server:
        backend = OllamaBackend(server.url)
        assert (await whole(backend, MODEL, user("Hello"), options())).usage is None
        await backend.close()


async def test_a_reply_cut_by_its_limit_says_length() -> None:
    with ScriptedOllama(lambda request: "one two three four five") as server:
        backend = OllamaBackend(server.url)
        reply = await whole(backend, MODEL, user("Count"), options(max_tokens=3))
        await backend.close()
    assert (reply.text, reply.reason) == ("one two three", "length")


async def test_a_unicode_line_separator_does_not_break_the_stream() -> None:
    text = "one\u2028two\x85three\x0bfour"
    with ScriptedOllama(lambda request: text) as server:
        backend = OllamaBackend(server.url)
        assert (await whole(backend, MODEL, user("Hello"), options())).text == text
        await backend.close()


async def test_a_prompt_that_is_too_long_is_refused_with_its_sizes() -> None:
    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        with pytest.raises(PromptTooLong) as caught:
            await whole(backend, MODEL, user("word " * 5000), options())
        await backend.close()
    assert caught.value.window == 4096
    assert caught.value.tokens > 5000
    assert server.silent_cuts == 0


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (
            Reply(
                status=400,
                error="the prompt is longer than the context length currently available to the model",
            ),
            PromptTooLong,
            "4,096",
        ),
        (
            Reply(status=500, error="model requires more system memory (18.1 GiB) than is available"),
            OutOfMemory,
            MODEL,
        ),
        (
            Reply(status=500, error="llama runner process has terminated: cudaMalloc failed: out of memory"),
            OutOfMemory,
            "num_ctx",
        ),
        (Reply(status=500, error="something broke"), BackendError, "something broke"),
        (Reply(status=503, error="server busy, please try again."), BackendError, "503"),
        (
            Reply("Half a sen", drop_after=6, error="an error was encountered while running the model"),
            BackendError,
            "encountered",
        ),
    ],
)
async def test_what_goes_wrong_is_said(reply: Reply, error: type[BackendError], says: str) -> None:
    with ScriptedOllama(lambda request: reply) as server:
        backend = OllamaBackend(server.url)
        with pytest.raises(error, match=says):
            await whole(backend, MODEL, user("Hello"), options())
        await backend.close()


async def test_a_missing_model_is_named_with_its_remedy() -> None:
    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        with pytest.raises(ModelMissing, match="ollama pull nothere:1b"):
            await whole(backend, "nothere:1b", user("Hello"), options())
        with pytest.raises(ModelMissing, match="ollama pull nothere"):
            await backend.model("nothere")
        with pytest.raises(ModelMissing):
            await backend.load("nothere", options())
        with pytest.raises(ModelMissing):
            await backend.delete("nothere")
        await backend.close()


async def test_a_dropped_stream_raises_after_what_had_arrived() -> None:
    with ScriptedOllama(lambda request: Reply("It opens at nine sharp.", drop_after=11)) as server:
        backend = OllamaBackend(server.url)
        arrived: list[str] = []
        with pytest.raises(StreamDropped, match="after 11 characters"):
            await collect(backend, MODEL, user("When?"), options(), arrived)
        await backend.close()
    assert "".join(arrived) == "It opens at"


async def test_a_server_that_goes_away_and_comes_back_needs_no_new_backend() -> None:
    server = ScriptedOllama(echo).start()
    backend = OllamaBackend(server.url)
    assert (await backend.status()).running
    await whole(backend, MODEL, user("Hello"), options())
    server.stop()
    status = await backend.status()
    assert not status.running
    assert "ollama serve" in status.sentence
    with pytest.raises(BackendNotRunning, match="ollama serve"):
        await whole(backend, MODEL, user("Hello"), options())
    with pytest.raises(BackendNotRunning):
        await backend.models()
    server.start()
    assert (await whole(backend, MODEL, user("Hello"), options())).text == "You said: Hello"
    await backend.close()
    server.stop()


async def test_closing_the_iterator_stops_the_server() -> None:
    with ScriptedOllama(lambda request: Reply("one two three", hold_after=7)) as server:
        backend = OllamaBackend(server.url)
        stream = backend.chat(MODEL, user("Count"), options())
        seen = ""
        async for chunk in stream:
            seen += chunk.text
            if seen == "one two":
                break
        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.to_thread(server.wait_until, lambda: server.aborted == 1)
        await backend.close()


async def test_cancelling_the_task_stops_the_server() -> None:
    with ScriptedOllama(lambda request: Reply("", hold_after=0)) as server:
        backend = OllamaBackend(server.url)
        task = asyncio.create_task(whole(backend, MODEL, user("Count"), options()))
        await asyncio.to_thread(server.wait_until, lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_until, lambda: server.aborted == 1)
        await backend.close()


async def test_calls_run_at_the_same_time() -> None:
    waiting: list[ChatRequest] = []
    with ScriptedOllama(lambda request: waiting.append(request) or Reply("", hold_after=0)) as server:
        backend = OllamaBackend(server.url)
        tasks = [asyncio.create_task(whole(backend, MODEL, user(str(n)), options())) for n in range(12)]
        await asyncio.to_thread(server.wait_until, lambda: server.peak_parallel == 12)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await backend.close()


async def test_calls_one_after_the_other_share_a_connection() -> None:
    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        for n in range(5):
            await whole(backend, MODEL, user(str(n)), options())
        await backend.close()
    assert server.connections == 1


async def test_load_and_chat_send_the_same_options_so_the_model_is_loaded_once() -> None:
    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        await backend.load(MODEL, options())
        await whole(backend, MODEL, user("Hello"), options())
        await whole(backend, MODEL, user("Hello"), options(temperature=1.0, max_tokens=5, think=True))
        assert server.loads == [(MODEL, 4096)]
        info = await backend.model(MODEL)
        assert (info.loaded, info.loaded_context, info.vram) == (True, 4096, 5_000_000_000)
        await backend.unload(MODEL)
        assert not (await backend.model(MODEL)).loaded
        await backend.close()


async def test_a_changed_window_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        await whole(backend, MODEL, user("Hello"), options())
        with caplog.at_level(logging.WARNING):
            await whole(backend, MODEL, user("Hello"), options(num_ctx=2048))
        await backend.close()
    assert "from 4096 to 2048" in caplog.text


async def test_models_are_described_in_full() -> None:
    with ScriptedOllama(echo, window=40960) as server:
        backend = OllamaBackend(server.url)
        models = {info.name: info for info in await backend.models()}
        await backend.close()
    info = models[MODEL]
    assert (info.size, info.context_length, info.parameters, info.quantization, info.family, info.loaded) == (
        5_000_000_000,
        40960,
        "8.2B",
        "Q4_K_M",
        "qwen3",
        False,
    )
    assert info.capabilities == ("completion", "tools", "thinking")
    assert info.digest


async def test_models_on_other_peoples_servers_are_neither_listed_nor_called() -> None:
    models = [
        ScriptedModel("qwen3:8b"),
        ScriptedModel("big:cloud", remote=True),
        ScriptedModel("gpt-oss:120b-cloud", remote=True),
        ScriptedModel("renamed:latest", remote=True),
    ]
    with ScriptedOllama(echo, models=models) as server:
        backend = OllamaBackend(server.url)
        assert [info.name for info in await backend.models()] == ["qwen3:8b"]
        for name in ("big:cloud", "gpt-oss:120b-cloud"):
            with pytest.raises(BackendError, match="not on this computer"):
                await whole(backend, name, user("Hello"), options())
            with pytest.raises(BackendError, match="nothing to download"):
                [step async for step in backend.pull(name)]
        await backend.close()
    assert server.requests == []


async def test_a_pull_reports_progress_and_the_model_is_there() -> None:
    with ScriptedOllama(echo, models=[]) as server:
        backend = OllamaBackend(server.url)
        steps = [step async for step in backend.pull("qwen3:8b")]
        assert [info.name for info in await backend.models()] == ["qwen3:8b"]
        await backend.delete("qwen3:8b")
        assert await backend.models() == []
        await backend.close()
    assert steps[0].total == 0
    done = [step.completed for step in steps]
    assert done == sorted(done)
    assert (steps[-1].status, steps[-1].completed) == ("success", steps[-1].total)


async def test_a_closed_pull_stops_and_a_later_one_resumes_it() -> None:
    with ScriptedOllama(echo, models=[], hold_pull_at=1_000_000_000) as server:
        backend = OllamaBackend(server.url)
        stream = backend.pull("qwen3:8b")
        async for step in stream:
            if step.completed >= 1_000_000_000:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.to_thread(server.wait_until, lambda: server.aborted == 1)
        again = [step async for step in backend.pull("qwen3:8b")]
        await backend.close()
    assert min(step.completed for step in again if step.total) >= 1_000_000_000
    assert server.pulled == ["qwen3:8b"]


async def test_an_unknown_model_cannot_be_pulled() -> None:
    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        with pytest.raises(BackendError, match="has no model 'missing'"):
            [step async for step in backend.pull("missing")]
        await backend.close()


async def test_status_names_version_and_address() -> None:
    with ScriptedOllama(echo, version="0.21.3") as server:
        backend = OllamaBackend(server.url)
        status = await backend.status()
        await backend.close()
    assert status.sentence == f"Ollama 0.21.3 answers at {server.url}."
    assert (status.version, status.address, status.running) == ("0.21.3", server.url, True)


async def test_something_else_on_the_port_is_not_taken_for_ollama() -> None:
    from tests.scripted.openai_server import ScriptedOpenAI

    with ScriptedOpenAI(echo) as server:
        backend = OllamaBackend(server.url.removesuffix("/v1"))
        status = await backend.status()
        await backend.close()
    assert not status.running
    assert "not Ollama" in status.sentence


def test_one_backend_serves_several_event_loops_one_after_the_other() -> None:
    async def ask(text: str) -> str:
        return (await whole(backend, MODEL, user(text), options())).text

    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        assert asyncio.run(ask("one")) == "You said: one"
        assert asyncio.run(ask("two")) == "You said: two"
        asyncio.run(backend.close())


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        assert (await whole(backend, MODEL, user("Hello"), options())).text == "You said: Hello"
        assert await backend.models()
        await backend.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("[::]:1234", "http://[::1]:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("192.168.1.5", "http://192.168.1.5:11434"),
        ("http://0.0.0.0:11434/", "http://127.0.0.1:11434"),
        ("https://box.home", "https://box.home:443"),
        ("http://box.home/ollama", "http://box.home:80/ollama"),
        (' "127.0.0.1:11500" ', "http://127.0.0.1:11500"),
    ],
)
def test_ollama_host_becomes_an_address_to_call(text: str, address: str) -> None:
    assert ollama_address(text) == address


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0:11999")
    assert OllamaBackend().base_url == "http://127.0.0.1:11999"
    assert OllamaBackend("http://127.0.0.1:5").base_url == "http://127.0.0.1:5"


async def test_the_schema_reaches_the_script_as_a_dict() -> None:
    def by_schema(request: ChatRequest) -> str:
        assert request.schema is not None
        return json.dumps({name: "x" for name in request.schema["properties"]})

    with ScriptedOllama(by_schema) as server:
        backend = OllamaBackend(server.url)
        schema = {"type": "object", "properties": {"reason": {"type": "string"}}}
        reply = await whole(backend, MODEL, user("Why?"), options(schema=schema))
        await backend.close()
    assert json.loads(reply.text) == {"reason": "x"}

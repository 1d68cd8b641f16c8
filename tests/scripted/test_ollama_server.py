"""The scripted Ollama behaves like the real one where the engine could notice the difference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from rlm_core import RLMEngine, Settings
from tests.quality.samples import questions
from tests.scripted.ollama_server import ScriptedModel, ScriptedOllama
from tests.scripted.script import ChatRequest, Reply, count, cut, echo, tokenize

ROOT = Path(__file__).resolve().parents[2]


def ask(server: ScriptedOllama, **body: Any) -> httpx.Response:
    messages = [{"role": "user", "content": "Hello"}]
    return httpx.post(
        server.url + "/api/chat",
        json={"model": "qwen3:8b", "messages": messages, **body},
        trust_env=False,
        timeout=20,
    )


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def test_tokens_are_deterministic_and_join_to_the_text() -> None:
    text = "The 12345 quick_foxes extraordinarily\n\n  jumped: é世界!"
    assert "".join(tokenize(text)) == text
    assert count(text) == len(tokenize(text))
    assert (
        3
        < len("The garden of the house opens at nine.") / count("The garden of the house opens at nine.")
        < 5
    )


def test_the_last_line_of_a_stream_carries_counts_and_times() -> None:
    with ScriptedOllama(lambda request: "It opens at nine.") as server:
        response = ask(server)
    assert response.headers["content-type"] == "application/x-ndjson"
    *pieces, last = lines(response)
    assert "".join(piece["message"]["content"] for piece in pieces) == "It opens at nine."
    assert not any(piece["done"] for piece in pieces)
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", len(pieces))
    assert {
        "total_duration",
        "load_duration",
        "prompt_eval_count",
        "prompt_eval_duration",
        "eval_duration",
    } <= set(last)


def test_without_streaming_one_object_comes() -> None:
    with ScriptedOllama(lambda request: Reply("Nine.", thinking="Hm.")) as server:
        answer = ask(server, stream=False).json()
    assert answer["message"] == {"role": "assistant", "content": "Nine.", "thinking": "Hm."}
    assert answer["done"]


def test_a_long_prompt_is_cut_without_a_word_unless_the_request_forbids_it() -> None:
    seen: list[ChatRequest] = []
    long = [
        {"role": "system", "content": "Be exact."},
        {"role": "user", "content": "first " * 3000},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "last " * 9000},
    ]
    with ScriptedOllama(lambda request: seen.append(request) or "ok") as server:
        assert ask(server, messages=long).status_code == 200
        refused = ask(server, messages=long, truncate=False)
        assert server.silent_cuts == 1
    assert [message.role for message in seen[0].messages] == ["system", "user"]
    assert seen[0].tokens <= 4096 // 2
    assert refused.status_code == 400
    inner = json.loads(refused.json()["error"])["error"]
    assert inner["type"] == "exceed_context_size_error"
    assert (inner["n_ctx"], inner["n_prompt_tokens"] > 12000) == (4096, True)


def test_the_window_is_never_more_than_the_model_was_trained_for() -> None:
    with ScriptedOllama(lambda request: str(request.window), window=4096) as server:
        assert lines(ask(server, options={"num_ctx": 32768}))[0]["message"]["content"] == "409"
        assert server.loads == [("qwen3:8b", 4096)]


def test_another_window_or_shift_reloads_the_model() -> None:
    with ScriptedOllama(echo) as server:
        for body in ({}, {}, {"options": {"num_ctx": 2048}}, {"options": {"num_ctx": 2048}, "shift": False}):
            ask(server, **body)
    assert server.loads == [("qwen3:8b", 4096), ("qwen3:8b", 2048), ("qwen3:8b", 2048)]


def test_a_model_that_does_not_fit_beside_the_others_evicts_them() -> None:
    models = [ScriptedModel("a:1", size=5_000_000_000), ScriptedModel("b:1", size=6_000_000_000)]
    with ScriptedOllama(echo, models=models, vram=8_000_000_000) as server:
        ask(server, model="a:1")
        ask(server, model="b:1")
        loaded = httpx.get(server.url + "/api/ps", trust_env=False).json()["models"]
    assert [model["name"] for model in loaded] == ["b:1"]


def test_wrong_paths_methods_and_bodies_get_what_the_real_server_says() -> None:
    with ScriptedOllama(echo) as server:
        assert httpx.get(server.url, trust_env=False).text == "Ollama is running"
        assert httpx.get(server.url + "/api/nothing", trust_env=False).status_code == 404
        assert httpx.get(server.url + "/api/chat", trust_env=False).status_code == 405
        assert httpx.post(server.url + "/api/chat", content=b"{", trust_env=False).status_code == 400
        assert ask(server, model="").json() == {"error": "model is required"}
        assert ask(server, model="nope").json() == {"error": "model 'nope' not found"}


def test_limits_and_stop_sequences_cut_a_reply() -> None:
    said = cut(Reply("one two. END three", thinking="hm"), 3, ["END"])
    assert (said.thinking, said.text, said.reason) == (["hm"], ["one", " two"], "length")
    assert cut(Reply("one. END two"), None, ["END"]).text == ["one", ".", " "]


def test_a_script_that_fails_fails_the_test() -> None:
    def broken(request: ChatRequest) -> str:
        raise ValueError("no such prompt")

    server = ScriptedOllama(broken).start()
    with pytest.raises(httpx.HTTPError):
        ask(server)
    with pytest.raises(AssertionError, match="no such prompt"):
        server.__exit__(None, None, None)


def test_it_runs_as_a_command_and_serves_the_whole_engine(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.scripted.ollama_server", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[3].rstrip(",")
        question = next(question for question in questions() if question.id == "meeting-notes-01")
        try:
            with RLMEngine(Settings(backend="ollama", base_url=url), data_dir=tmp_path) as engine:
                greeting = engine.ask("Hello!")
                result = engine.ask(question.text, documents=[question.material])
        finally:
            process.terminate()
    assert greeting.answer.startswith("Hello!")
    assert (result.route.decision, result.route.strategy) == ("recursive", "loop")
    assert question.accepts(result.answer)

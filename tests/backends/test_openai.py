"""The backend for OpenAI-compatible servers through real HTTP, against the scripted server."""

from __future__ import annotations

import asyncio
import logging

import pytest

from rlm_core.backends.base import ChatMessage
from rlm_core.backends.openai_compatible import OpenAIBackend
from rlm_core.backends.openai_stream import OpenAIStream, ServerError
from rlm_core.errors import BackendError, BackendNotRunning, ModelMissing, PromptTooLong, StreamDropped
from tests.backends.replies import collect, options, user, whole
from tests.scripted.openai_server import ScriptedOpenAI
from tests.scripted.script import ChatRequest, Reply, echo

MODEL = "scripted"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def quick(server: ScriptedOpenAI, key: str | None = None) -> OpenAIBackend:
    return OpenAIBackend(server.url, key, first_pause=0.001)


class Failing:
    """Refuses the first calls, then answers."""

    def __init__(self, *refusals: Reply) -> None:
        self.refusals = list(refusals)

    def __call__(self, request: ChatRequest) -> Reply:
        return self.refusals.pop(0) if self.refusals else Reply("Here at last.")


async def test_a_reply_streams_with_its_counts() -> None:
    with ScriptedOpenAI(lambda request: Reply("Four it is.", thinking="Two and two.")) as server:
        backend = quick(server)
        reply = await whole(backend, MODEL, user("2+2?"), options())
        await backend.close()
    assert (reply.text, reply.thinking, reply.reason) == ("Four it is.", "Two and two.", "stop")
    assert reply.pieces == server.count("Four it is.")
    assert reply.usage is not None
    assert reply.usage.tokens_in == server.largest_prompt


async def test_every_option_reaches_the_server() -> None:
    with ScriptedOpenAI(lambda request: "{}") as server:
        backend = quick(server)
        chosen = options(temperature=0.3, max_tokens=50, schema=SCHEMA, stop=("END",), think=False, seed=7)
        await whole(backend, MODEL, [ChatMessage("system", "Be brief."), *user("Hello")], chosen)
        await backend.close()
    (body,) = server.requests
    assert body == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.3,
        "max_tokens": 50,
        "stop": ["END"],
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True},
        },
        "chat_template_kwargs": {"enable_thinking": False},
    }


async def test_inline_thinking_is_split_off_and_length_is_reported() -> None:
    with ScriptedOpenAI(lambda request: "<think>Hm.</think>one two three four") as server:
        backend = quick(server)
        reply = await whole(backend, MODEL, user("Count"), options())
        cut = await whole(backend, MODEL, user("Count"), options(max_tokens=9))
        await backend.close()
    assert (reply.text, reply.thinking) == ("one two three four", "Hm.")
    assert cut.reason == "length"


async def test_a_server_without_counts_or_a_closing_line_is_understood() -> None:
    with ScriptedOpenAI(lambda request: Reply("Hi.", no_usage=True), no_done=True) as server:
        backend = quick(server)
        reply = await whole(backend, MODEL, user("Hello"), options())
        await backend.close()
    assert (reply.text, reply.usage) == ("Hi.", None)


async def test_null_content_is_an_empty_answer() -> None:
    with ScriptedOpenAI(lambda request: Reply(content_null=True)) as server:
        backend = quick(server)
        assert (await whole(backend, MODEL, user("Hello"), options())).text == ""
        await backend.close()


@pytest.mark.parametrize(
    ("field", "instead"),
    [
        ("max_tokens", "max_completion_tokens"),
        ("stream_options", None),
        ("temperature", None),
        ("response_format", None),
        ("chat_template_kwargs", None),
    ],
)
async def test_a_field_that_the_server_refuses_is_left_out_and_remembered(
    field: str, instead: str | None
) -> None:
    with ScriptedOpenAI(lambda request: "Fine.", refuses={field}) as server:
        backend = quick(server)
        chosen = options(max_tokens=50, schema=SCHEMA, think=True)
        for _ in range(2):
            assert (await whole(backend, MODEL, user("Hello"), chosen)).text == "Fine."
        await backend.close()
    assert [field in body for body in server.requests] == [True, False, False]
    if instead:
        assert [body.get(instead) for body in server.requests] == [None, 50, 50]


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_busy_server_is_asked_again(status: int) -> None:
    with ScriptedOpenAI(
        Failing(Reply(status=status, error="busy"), Reply(status=status, error="busy"))
    ) as server:
        backend = quick(server)
        assert (await whole(backend, MODEL, user("Hello"), options())).text == "Here at last."
        await backend.close()
    assert len(server.requests) == 3


async def test_a_connection_closed_before_the_answer_is_tried_again() -> None:
    with ScriptedOpenAI(Failing(Reply(status=0))) as server:
        backend = quick(server)
        assert (await whole(backend, MODEL, user("Hello"), options())).text == "Here at last."
        await backend.close()


async def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    with ScriptedOpenAI(Failing(Reply(status=429, error="busy", headers=(("Retry-After", "0"),)))) as server:
        backend = OpenAIBackend(server.url, first_pause=10_000)
        assert (await whole(backend, MODEL, user("Hello"), options())).text == "Here at last."
        await backend.close()


async def test_a_server_that_stays_busy_is_given_up_with_a_sentence() -> None:
    with ScriptedOpenAI(lambda request: Reply(status=429, error="busy")) as server:
        backend = quick(server)
        with pytest.raises(BackendError, match="busy"):
            await whole(backend, MODEL, user("Hello"), options())
        await backend.close()
    assert len(server.requests) == 4


async def test_an_error_that_waiting_does_not_cure_is_not_retried() -> None:
    with ScriptedOpenAI(lambda request: Reply(status=500, error="it broke")) as server:
        backend = quick(server)
        with pytest.raises(BackendError, match="it broke"):
            await whole(backend, MODEL, user("Hello"), options())
        await backend.close()
    assert len(server.requests) == 1


async def test_nothing_at_the_address_is_said_after_the_retries() -> None:
    server = ScriptedOpenAI(echo).start()
    server.stop()
    backend = quick(server)
    with pytest.raises(BackendNotRunning, match="base_url"):
        await whole(backend, MODEL, user("Hello"), options())
    status = await backend.status()
    assert not status.running
    with pytest.raises(BackendNotRunning):
        await backend.models()
    await backend.close()


async def test_a_server_that_starts_late_is_reached_by_a_retry() -> None:
    server = ScriptedOpenAI(echo).start()
    server.stop()
    backend = OpenAIBackend(server.url, first_pause=0.2)
    task = asyncio.create_task(whole(backend, MODEL, user("Hello"), options()))
    await asyncio.sleep(0)
    server.start()
    assert (await task).text == "You said: Hello"
    await backend.close()
    server.stop()


async def test_a_dropped_stream_is_not_retried_and_keeps_what_had_arrived() -> None:
    with ScriptedOpenAI(lambda request: Reply("It opens at nine sharp.", drop_after=11)) as server:
        backend = quick(server)
        arrived: list[str] = []
        with pytest.raises(StreamDropped, match="after 11 characters"):
            await collect(backend, MODEL, user("When?"), options(), arrived)
        await backend.close()
    assert "".join(arrived) == "It opens at"
    assert len(server.requests) == 1


async def test_an_error_inside_the_stream_is_said() -> None:
    with ScriptedOpenAI(lambda request: Reply("Half", drop_after=4, error="engine died")) as server:
        backend = quick(server)
        with pytest.raises(BackendError, match="engine died"):
            await whole(backend, MODEL, user("Hello"), options())
        await backend.close()


def test_the_words_before_an_error_are_heard_though_both_arrive_together() -> None:
    words = b'data: {"choices": [{"index": 0, "delta": {"content": "Half an answer"}}]}\n\n'
    pieces = OpenAIStream().feed(words + b'data: {"error": {"message": "engine died"}}\n\n')
    assert next(pieces).text == "Half an answer"
    with pytest.raises(ServerError, match="engine died"):
        next(pieces)


async def test_a_server_without_a_list_of_models_is_named_with_what_to_check() -> None:
    with ScriptedOpenAI(echo) as server:
        backend = OpenAIBackend(f"{server.url}/other/v1")
        with pytest.raises(BackendError, match=r"/other/v1 answers /models with error 404\. Check base_url"):
            await backend.models()
        await backend.close()


async def test_a_prompt_that_is_too_long_is_refused_with_its_window() -> None:
    with ScriptedOpenAI(echo, window=1000) as server:
        backend = quick(server)
        with pytest.raises(PromptTooLong) as caught:
            await whole(backend, MODEL, user("word " * 2000), options(max_tokens=50))
        await backend.close()
    assert caught.value.window == 1000
    assert caught.value.tokens > 1000


async def test_a_missing_model_is_named() -> None:
    with ScriptedOpenAI(echo) as server:
        backend = quick(server)
        with pytest.raises(ModelMissing, match="nothere"):
            await whole(backend, "nothere", user("Hello"), options())
        with pytest.raises(ModelMissing, match="The server has: scripted"):
            await backend.model("nothere")
        await backend.close()


async def test_models_come_with_their_window() -> None:
    with ScriptedOpenAI(echo, window=32768) as server:
        backend = quick(server)
        info = await backend.model(MODEL)
        await backend.close()
    assert (info.name, info.context_length) == (MODEL, 32768)


async def test_the_key_is_sent_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-very-secret-indeed"
    with ScriptedOpenAI(
        Failing(Reply(status=429, error="busy")), api_key=key, refuses={"max_tokens"}
    ) as server:
        backend = quick(server, key)
        with caplog.at_level(logging.DEBUG):
            await whole(backend, MODEL, user("Hello"), options(max_tokens=5))
            assert (await backend.status()).running
        wrong = quick(server, "sk-wrong")
        with pytest.raises(BackendError, match="refuses the API key") as caught:
            await whole(wrong, MODEL, user("Hello"), options())
        assert "API key" in (await wrong.status()).sentence
        await backend.close()
        await wrong.close()
    assert server.keys_seen[0] == f"Bearer {key}"
    assert key not in caplog.text
    assert "sk-wrong" not in str(caught.value)
    assert key not in repr(vars(backend))


async def test_the_base_url_may_leave_out_v1() -> None:
    with ScriptedOpenAI(echo) as server:
        backend = OpenAIBackend(server.url.removesuffix("/v1") + "/")
        assert (await whole(backend, MODEL, user("Hello"), options())).text == "You said: Hello"
        await backend.close()


async def test_what_such_a_server_cannot_do_is_said() -> None:
    backend = OpenAIBackend("http://127.0.0.1:9/v1")
    with pytest.raises(BackendError, match="download"):
        [step async for step in backend.pull("x")]
    with pytest.raises(BackendError, match="delete"):
        await backend.delete("x")
    with pytest.raises(BackendError, match="load"):
        await backend.load("x", options())
    with pytest.raises(BackendError, match="unload"):
        await backend.unload("x")


async def test_calls_one_after_the_other_share_a_connection() -> None:
    with ScriptedOpenAI(echo) as server:
        backend = quick(server)
        for n in range(5):
            await whole(backend, MODEL, user(str(n)), options())
        await backend.close()
    assert server.connections == 1


async def test_closing_the_iterator_stops_the_server() -> None:
    with ScriptedOpenAI(lambda request: Reply("one two three", hold_after=7)) as server:
        backend = quick(server)
        stream = backend.chat(MODEL, user("Count"), options())
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.to_thread(server.wait_until, lambda: server.aborted == 1)
        await backend.close()

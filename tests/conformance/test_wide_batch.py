"""A batch of 64 calls at once, when the server has a bad day and when somebody presses Stop."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from rlm_core import RLMEngine, Settings
from rlm_core.backends.openai_compatible import OpenAIBackend
from rlm_core.events import ModelCallFinishedEvent
from tests.conformance.stage import Actor, Stage, fence, finish
from tests.scripted.openai_server import ScriptedOpenAI
from tests.scripted.script import ChatRequest, Reply

CALLS = 64
BATCH = f"found = llm_query_batched([f'item {{n}}' for n in range({CALLS})])"
LIMITS = {"max_parallel": CALLS, "max_llm_calls": 100}
FOR_EVER = Reply("It begins with words that never end.", hold_after=31)
BUSY = Reply(status=429, error="busy", headers=(("Retry-After", "0"),))
CLOSED = Reply(status=0)
REFUSED = Reply(status=500, error="boom")


class BadDay:
    """Is busy, closes connections or breaks off at the first try of some items, and always refuses one of them."""

    def __init__(self) -> None:
        self.tries: Counter[int] = Counter()

    def __call__(self, request: ChatRequest) -> Reply:
        item = int(re.findall(r"\d+", request.last)[-1])
        self.tries[item] += 1
        if item == 42:
            return REFUSED
        first = {0: BUSY, 1: CLOSED, 2: Reply(status=503, error="starting")}.get(item % 8)
        return first if first and self.tries[item] == 1 else Reply(f"said {item}")


async def test_a_bad_day_of_the_server_costs_a_batch_one_reply_and_no_call_twice(tmp_path: Path) -> None:
    bad_day = BadDay()
    actor = Actor(root=[fence(BATCH), finish('" | ".join(found)')], sub=bad_day)
    with ScriptedOpenAI(actor) as server:
        names = dict.fromkeys(("fast", "tools", "quality"), server.model)
        settings = Settings().changed(
            {"backend": "openai", "base_url": server.url, "models": names, "limits": LIMITS}
        )
        backend = OpenAIBackend(server.url, first_pause=0.001)
        with RLMEngine(settings, data_dir=tmp_path, backend=backend) as engine:
            result = engine.ask("Which items are there?", "some text", mode="recursive", strategy="loop")
            events = engine.trace(result.trace_id)
    said = result.answer.split(" | ")
    assert [n for n, text in enumerate(said) if text != f"said {n}"] == [42]
    assert "boom" in said[42]
    assert result.usage.llm_calls == CALLS + 2, "a call that is tried again is charged once"
    assert sum(bad_day.tries.values()) == CALLS + 3 * CALLS // 8 - 1
    ended = [
        event for event in events if isinstance(event, ModelCallFinishedEvent) and event.purpose == "sub"
    ]
    assert len(ended) == CALLS
    assert [event.error for event in ended].count(None) == CALLS - 1


async def test_stop_closes_every_stream_of_a_wide_batch(tmp_path: Path) -> None:
    async with Stage(Actor(root=[fence(BATCH)], sub=FOR_EVER), tmp_path, limits=LIMITS) as stage:
        running = stage.start(context="some text", strategy="loop")
        await running.streams(CALLS, after=1)
        running.cancel.cancel()
        outcome = await running.end()
        await stage.reaches(lambda: stage.server.aborted == CALLS)
    assert outcome.partial
    assert outcome.reason == "Stopped by the user."

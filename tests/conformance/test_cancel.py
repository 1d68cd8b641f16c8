"""Stop reaches whatever is running: the stream, the cell, the batch, the line. What is there becomes the answer.

Nothing here measures time: every step that is stopped would go on for ever, so a message that ends was stopped, and the
server saw its streams being closed.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rlm_core.events import ModelCallFinishedEvent, PhaseEvent, TokenEvent
from rlm_core.jobs import Jobs
from rlm_core.request import MessageRequest
from tests.conformance.stage import Actor, Outcome, Stage, fence, finish
from tests.scripted.script import Reply

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"
LONG = "".join(f"Entry {n}: on day {n} the crew met {n % 7} whales near the ice.\n" for n in range(900))
FOR_EVER = Reply("It begins with words that never end.", hold_after=31)
PLAN = (
    '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "a", "depends_on": []}, '
    '{"id": 2, "type": "llm_call", "input": "b", "depends_on": []}], "synthesis_strategy": "join"}'
)
BATCH = fence('llm_query_batched(["a", "b", "c", "d", "e", "f"])')

STEPS: dict[str, tuple[dict[str, Any], dict[str, Any], int, int]] = {
    "a direct answer": ({"direct": FOR_EVER}, {"mode": "direct"}, 0, 1),
    "the first root call": ({"root": [FOR_EVER]}, {"strategy": "loop"}, 0, 1),
    "a later root call": ({"root": [fence("n = 1"), FOR_EVER]}, {"strategy": "loop"}, 1, 1),
    "a sub-call": ({"root": [fence('llm_query("x")')], "sub": FOR_EVER}, {"strategy": "loop"}, 1, 1),
    "a batch": ({"root": [BATCH], "sub": FOR_EVER}, {"strategy": "loop"}, 1, 4),
    "a child": (
        {"root": [fence('rlm_query("child", "text")'), FOR_EVER]},
        {"strategy": "loop"},
        1,
        1,
    ),
    "the plan": ({"plan": [FOR_EVER]}, {"strategy": "plan"}, 0, 1),
    "sub-tasks": ({"plan": [PLAN], "sub": FOR_EVER}, {"strategy": "plan"}, 1, 2),
    "the synthesis": ({"plan": [PLAN], "synthesis": FOR_EVER}, {"strategy": "plan"}, 3, 1),
    "reading": ({"map": FOR_EVER}, {"strategy": "retrieve", "context": LONG, "message": "List all whales."}, 1, 4),
    "an answer from passages": ({"synthesis": FOR_EVER}, {"strategy": "retrieve", "message": "What about the disk?"}, 0, 1),
    "the complexity question": (
        {"complexity": FOR_EVER},
        {"mode": "auto", "message": "Compare these two and calculate 3 + 4.", "context": None},
        0,
        1,
    ),
    "the probe": ({"probe": FOR_EVER}, {"strategy": "auto"}, 0, 1),
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
async def test_stop_closes_the_streams_of(step: str, tmp_path: Path) -> None:
    says, options, before, streams = STEPS[step]
    async with Stage(Actor(**says), tmp_path, window=4096) as stage:
        running = stage.start(**{"context": CONTEXT, **options})
        await running.streams(streams, after=before)
        running.cancel.cancel()
        outcome = await running.end()
        await stage.reaches(lambda: stage.server.aborted == streams)
    assert outcome.partial
    assert outcome.reason == "Stopped by the user."


async def test_whoever_goes_away_in_a_hurry_leaves_no_work_behind(tmp_path: Path) -> None:
    async with Stage(Actor(root=[fence("while True: pass")]), tmp_path) as stage:
        asking = stage.start(context=CONTEXT, strategy="loop")
        await asking.sees(lambda event: isinstance(event, PhaseEvent) and event.text == "running code")
        for _ in range(2):  # the second one comes while the end of the first is still being written down
            asking.task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait((asking.task,))
        names = {getattr(task.get_coro(), "__name__", "") for task in asyncio.all_tasks()}
        assert "conclude" not in names
        stage.spent = len(stage.server.requests)


async def test_the_words_that_were_there_stay(tmp_path: Path) -> None:
    async with Stage(Actor(direct=FOR_EVER), tmp_path) as stage:
        running = stage.start(mode="direct")
        await running.streams(1)
        await running.sees(lambda event: isinstance(event, TokenEvent) and "never" in event.text)
        running.cancel.cancel()
        outcome = await running.end()
    assert outcome.answer == "It begins with words that never"


async def test_the_draft_that_was_there_stays(tmp_path: Path) -> None:
    actor = Actor(root=[fence('answer["content"] = "about two"'), FOR_EVER])
    async with Stage(actor, tmp_path) as stage:
        running = stage.start(strategy="loop", context=CONTEXT)
        await running.streams(1, after=1)
        running.cancel.cancel()
        outcome = await running.end()
    assert outcome.answer == "about two"


async def test_what_a_stopped_cell_had_written_down_stays(tmp_path: Path) -> None:
    writes_and_waits = fence('answer["content"] = "two, it seems"\nllm_query("x")')
    async with Stage(Actor(root=[writes_and_waits], sub=FOR_EVER), tmp_path) as stage:
        running = stage.start(context=CONTEXT, strategy="loop")
        await running.streams(1, after=1)
        running.cancel.cancel()
        outcome = await running.end()
    assert outcome.answer == "two, it seems"
    assert outcome.partial


async def test_stop_ends_a_running_cell_and_the_conversation_goes_on_with_its_variables(
    tmp_path: Path,
) -> None:
    cell = "n = 41\nllm_query('It runs.')\nwhile True:\n    pass"
    actor = Actor(root=[fence(cell), finish("str(n + 1)")], sub="Good.")
    async with Stage(actor, tmp_path, repl={"seconds": 3600}) as stage:
        running = stage.start(strategy="loop", context=CONTEXT, conversation_id="talk")
        await running.sees(lambda event: isinstance(event, ModelCallFinishedEvent) and event.purpose == "sub")
        running.cancel.cancel()
        outcome = await running.end()
        assert outcome.reason == "Stopped by the user."
        assert (await stage.ask(conversation_id="talk")).answer == "42"


async def test_stop_while_the_model_is_loading_does_not_wait_for_it(tmp_path: Path) -> None:
    async with Stage(Actor(), tmp_path, load_seconds=3600) as stage:
        running = stage.start(mode="direct")
        await running.sees(lambda event: isinstance(event, PhaseEvent) and event.text.startswith("loading"))
        await stage.reaches(lambda: bool(stage.server.loads))
        running.cancel.cancel()
        outcome = await running.end()
    assert outcome.reason == "Stopped by the user."


async def test_stop_before_anything_began_asks_nobody(tmp_path: Path) -> None:
    async with Stage(Actor(), tmp_path) as stage:
        running = stage.start(mode="direct")
        running.cancel.cancel()
        outcome = await running.end()
        assert stage.server.requests == []
    assert outcome.reason == "Stopped by the user."


async def test_who_goes_away_stops_the_work(tmp_path: Path) -> None:
    async with Stage(Actor(direct=FOR_EVER), tmp_path) as stage:
        stream = stage.engine.process_message("Tell me.", mode="direct")
        async for event in stream:
            if isinstance(event, TokenEvent):
                break
        await stream.aclose()  # type: ignore[attr-defined]
        await stage.reaches(lambda: stage.server.aborted == 1)
        stage.spent += 1


async def test_a_job_in_the_line_is_stopped_without_reaching_the_model(tmp_path: Path) -> None:
    async with Stage(Actor(direct=FOR_EVER), tmp_path) as stage:
        jobs = Jobs(stage.engine, at_once=1)
        first = await jobs.start(MessageRequest("Tell me a story.", mode="direct", conversation_id="one"))
        await stage.reaches(lambda: len(stage.server.requests) == 1)
        second = await jobs.start(MessageRequest("And me.", mode="direct", conversation_id="two"))
        async for event in second.follow():
            if isinstance(event, PhaseEvent) and event.text.startswith("queued"):
                break
        assert jobs.place_in_line(second) == 1
        second.cancel()
        await second.wait()
        assert len(stage.server.requests) == 1
        assert stage.engine.store.message(second.message_id).status == "interrupted"  # type: ignore[union-attr]
        first.cancel()
        await first.wait()
        await stage.reaches(lambda: stage.server.aborted == 1)
        for job in (first, second):
            stage.count(Outcome(tuple(job.events)))
        await jobs.close()


@pytest.mark.parametrize("at_once", [1, 2])
async def test_closing_the_app_ends_all_jobs_and_keeps_what_they_said(at_once: int, tmp_path: Path) -> None:
    async with Stage(Actor(direct=FOR_EVER), tmp_path) as stage:
        jobs = Jobs(stage.engine, at_once=at_once)
        started = [
            await jobs.start(MessageRequest("Tell me.", mode="direct", conversation_id=f"talk {n}"))
            for n in range(3)
        ]
        async for event in started[0].follow():
            if isinstance(event, TokenEvent) and "never" in event.text:
                break
        await stage.reaches(lambda: len(stage.server.requests) == at_once)
        await jobs.close()
        assert all(job.done for job in started)
        message = stage.engine.store.message(started[0].message_id)
        assert message is not None
        assert message.text == "It begins with words that never"
        for job in started:
            stage.count(Outcome(tuple(job.events)))

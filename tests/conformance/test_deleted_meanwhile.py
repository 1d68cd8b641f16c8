"""What is deleted while an answer is made for it: the answer stops, its stream ends as every stream does, and nothing of
it is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rlm_core.events import Event, PhaseEvent, TokenEvent
from rlm_core.record import DELETED
from rlm_core.request import MessageRequest
from tests.conformance.stage import Actor, Outcome, Stage, fence
from tests.scripted.script import Reply

TALKS_ON = Reply("Some words and then some more. " * 200, tokens_per_second=20)
SILENT = Reply("It begins with words that never end.", hold_after=31)


async def by_the_engine(stage: Stage) -> None:
    await stage.engine.forget_conversation("talk")


async def from_the_store(stage: Stage) -> None:
    stage.store.delete_conversation("talk")


async def only_the_answer(stage: Stage) -> None:
    stage.store.delete_message(stage.store.messages("talk")[-1].id)


async def with_everything(stage: Stage) -> None:
    await stage.engine.erase_everything()


def left_of(stage: Stage) -> list[str]:
    """Names of traces, and answers in the store."""
    traces = [path.name for path in (stage.home / "traces").glob("*")]
    return traces + [message.text for message in stage.store.messages("talk") if message.role != "user"]


@pytest.mark.parametrize("delete", [by_the_engine, from_the_store, only_the_answer, with_everything])
async def test_an_answer_that_is_deleted_in_mid_stream_ends_with_a_reason(
    delete: Callable[[Stage], Awaitable[None]], tmp_path: Path
) -> None:
    async with Stage(Actor(direct=TALKS_ON), tmp_path) as stage:
        running = stage.start(mode="direct", conversation_id="talk")
        await running.streams(1)
        await delete(stage)
        outcome = await running.end()
        await stage.reaches(lambda: stage.server.aborted == 1)
        assert left_of(stage) == []
    assert (outcome.partial, outcome.reason) == (True, DELETED)


async def test_an_answer_whose_model_says_nothing_for_long_stops_at_once(tmp_path: Path) -> None:
    async with Stage(Actor(direct=SILENT), tmp_path) as stage:
        running = stage.start(mode="direct", conversation_id="talk")
        await running.streams(1)
        await stage.engine.forget_conversation("talk")
        outcome = await running.end()
        assert left_of(stage) == []
    assert (outcome.partial, outcome.reason) == (True, DELETED)


async def test_an_answer_in_a_running_cell_ends_and_other_conversations_go_on(tmp_path: Path) -> None:
    actor = Actor(root=[fence("while True: pass")], direct="kept")
    async with Stage(actor, tmp_path) as stage:
        running = stage.start(strategy="loop", conversation_id="talk")
        await running.sees(lambda event: isinstance(event, PhaseEvent) and event.text == "running code")
        await stage.ask(mode="direct", conversation_id="other")
        await stage.engine.forget_conversation("talk")
        outcome = await running.end()
        kept = stage.store.messages("other")[-1]
        assert left_of(stage) == [f"{kept.id}.jsonl"]
    assert kept.text == "kept"
    assert (outcome.partial, outcome.reason) == (True, DELETED)


async def test_whoever_listens_may_delete_what_he_listens_to(tmp_path: Path) -> None:
    async with Stage(Actor(direct=TALKS_ON), tmp_path) as stage:
        events: list[Event] = []
        deleted = False
        async for event in stage.engine.process_message("Hello", "talk", mode="direct"):
            events.append(event)
            if isinstance(event, TokenEvent) and event.text and not deleted:
                deleted = True
                await stage.engine.forget_conversation("talk")
        outcome = Outcome(tuple(events))
        stage.count(outcome)
        assert left_of(stage) == []
    assert outcome.reason == DELETED


async def test_a_question_whose_conversation_is_deleted_before_its_answer_begins_gets_none(
    tmp_path: Path,
) -> None:
    async with Stage(Actor(direct="too late"), tmp_path) as stage:
        turn = await stage.engine.begin(MessageRequest("Hello", "talk", mode="direct"))
        await stage.engine.forget_conversation("talk")
        outcome = Outcome(tuple([event async for event in stage.engine.answer(turn)]))
        stage.count(outcome)
        assert left_of(stage) == []

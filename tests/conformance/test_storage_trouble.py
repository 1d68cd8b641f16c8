"""The disk is full, read-only, or another program has the database: an answer in the making still reaches whoever asked, says
that it is not stored, and is stored as soon as that is possible."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from memory_store import MemoryStore, StorageError
from rlm_core.asking import result_of
from rlm_core.doors import problems
from rlm_core.doors.outcome import Outcome as Told
from rlm_core.events import Event, TokenEvent, WarningEvent
from rlm_core.jobs import Jobs
from rlm_core.request import MessageRequest
from rlm_core.trace import read_trace, trace_path
from tests.conformance.stage import Actor, Outcome, Stage
from tests.memory.trouble import full_disk, locked_by_another_program, read_only
from tests.scripted.script import Reply
from ui.desk import Desk
from ui.places import Click
from ui.tab import Tab

Trouble = Callable[[MemoryStore], AbstractContextManager[None]]

WORDS = "The walrus sleeps beside " + ", ".join(f"seal {number}" for number in range(900)) + "."
ASKED = MessageRequest("What sleeps?", conversation_id="talk", mode="direct")


async def answered_in(trouble: Trouble, stage: Stage) -> Outcome:
    """The question is stored, then the trouble comes and stays until the answer is there."""
    turn = await stage.engine.begin(ASKED)
    with trouble(stage.store):
        events: list[Event] = [event async for event in stage.engine.answer(turn)]
        outcome = Outcome(tuple(events))
        stage.count(outcome)
        with pytest.raises(StorageError):
            await stage.engine.begin(MessageRequest(WORDS, conversation_id="talk", mode="direct"))
    return outcome


def said(store: MemoryStore) -> list[tuple[str, str]]:
    return [(message.text, message.status) for message in store.messages("talk")]


@pytest.mark.parametrize(
    ("trouble", "why"),
    [(full_disk, "disk is full"), (read_only, "permissions"), (locked_by_another_program, "Another program")],
)
async def test_an_answer_that_cannot_be_stored_comes_all_the_same_and_is_stored_with_the_next_question(
    trouble: Trouble, why: str, tmp_path: Path
) -> None:
    async with Stage(Actor(direct=WORDS), tmp_path) as stage:
        outcome = await answered_in(trouble, stage)
        assert outcome.answer == WORDS
        assert "".join(event.text for event in outcome.of(TokenEvent)) == WORDS
        (warning,) = outcome.of(WarningEvent)
        assert (warning.code, why in warning.text) == ("not_stored", True)
        assert (Told.of(outcome.events).reason, Told.of(outcome.events).partial) == (warning.text, False)
        assert result_of(outcome.events).reason == warning.text
        trace = read_trace(trace_path(tmp_path, warning.message_id))
        assert (warning in trace, trace[-1]) == (True, outcome.events[-1])
        assert said(stage.store) == [("What sleeps?", "complete"), ("", "streaming")]
        await stage.ask("And now?", mode="direct", strategy=None, conversation_id="talk")
        assert said(stage.store) == [
            ("What sleeps?", "complete"),
            (WORDS, "complete"),
            ("And now?", "complete"),
            (WORDS, "complete"),
        ]


async def test_an_answer_that_could_not_be_stored_is_stored_at_the_end_of_the_program(tmp_path: Path) -> None:
    async with Stage(Actor(direct=WORDS), tmp_path) as stage:
        await answered_in(read_only, stage)
    with MemoryStore(tmp_path, embedder=None) as store:
        assert said(store) == [("What sleeps?", "complete"), (WORDS, "complete")]


async def test_an_answer_that_could_not_be_stored_does_not_come_back_after_its_deletion(
    tmp_path: Path,
) -> None:
    async with Stage(Actor(direct=WORDS), tmp_path) as stage:
        await answered_in(read_only, stage)
        await stage.engine.forget_conversation("talk")
    with MemoryStore(tmp_path, embedder=None) as store:
        assert (store.conversations(), store.message_ids("talk")) == ([], [])
    assert list((tmp_path / "traces").iterdir()) == []


async def test_the_page_keeps_showing_an_answer_that_could_not_be_stored_and_gives_a_question_back(
    tmp_path: Path,
) -> None:
    async with Stage(Actor(direct=WORDS), tmp_path) as stage:
        jobs = Jobs(stage.engine)
        desk, click = Desk(stage.engine, jobs), Click("tab", "local")
        desk.places.turn(click)
        with ExitStack() as trouble:
            views = []
            async for view in desk.ask(click, "What sleeps?", [], "direct"):
                if view.running and not views:  # the question is stored, and the answer has not begun
                    trouble.enter_context(read_only(stage.store))
                if view.running is not None:
                    views.append(view)
            shown = "".join(str(message["content"]) for message in views[-1].messages or ())
            assert views[-1].running is False
            assert (WORDS in shown, "only on this page" in shown) == (True, True)
            (answer_id,) = [
                m.id for m in stage.store.messages(views[-1].tab.conversation_id or "") if not m.text
            ]
            assert desk.text(answer_id, "local") == WORDS
            refused = [view async for view in desk.ask(click, "And now?", [], "direct")][-1]
            assert (refused.box, refused.running) == ("And now?", None)
            assert "cannot be written" in (refused.problem or "")
        last = [view async for view in desk.ask(click, "And now?", [], "direct")][-1]
        shown = "".join(str(message["content"]) for message in last.messages or ())
        assert (shown.count(WORDS), "only on this page" in shown) == (2, False)
        for message in stage.store.messages(last.tab.conversation_id or ""):
            if job := jobs.get(message.id):
                stage.count(Outcome(tuple(job.events)))
        await jobs.close()


def test_a_door_says_that_the_disk_is_full_whatever_was_to_be_written(tmp_path: Path) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/full")
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/data/uploads")

    with TestClient(app, raise_server_exceptions=False) as client:
        reply = client.get("/full")
    assert (reply.status_code, "/data/uploads lies is full" in reply.json()["detail"]) == (503, True)


async def test_a_page_that_deletes_what_is_being_answered_stops_it_and_nothing_comes_back(
    tmp_path: Path,
) -> None:
    async with Stage(Actor(direct=Reply("It begins and never ends.", hold_after=10)), tmp_path) as stage:
        jobs = Jobs(stage.engine)
        desk, tab = Desk(stage.engine, jobs), Tab("tab", "local")
        job = await jobs.start(ASKED)
        await stage.reaches(lambda: len(stage.server.requests) == 1)
        async for _ in desk.delete(tab, "talk"):
            pass
        await job.wait()
        assert desk.conversations("local") == []
        with read_only(stage.store):  # the program ends in order also when the deletion is not possible
            await desk.bin.close()
        desk.bin.put("talk")
        await desk.bin.close()
        assert (stage.store.message_ids("talk"), list((tmp_path / "traces").iterdir())) == ([], [])
        stage.count(Outcome(tuple(job.events)))
        await jobs.close()

"""What lasts: variables, the talk, memories, the store, the trace; and what must not mix."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from rlm_core.events import (
    CodeEvent,
    ModelCallStartedEvent,
    OutputEvent,
    PhaseEvent,
    RecallEvent,
    ThinkingEvent,
    TokenEvent,
    from_json,
    to_json,
)
from rlm_core.jobs import ConversationBusy, Jobs
from rlm_core.request import MessageRequest
from rlm_core.settings import Mode
from rlm_core.trace import read_trace, trace_path
from tests.conformance.stage import Actor, Outcome, Says, Stage, fence, finish
from tests.scripted.script import ChatRequest, Reply

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"


async def test_variables_last_over_turns_and_messages_of_a_conversation(tmp_path: Path) -> None:
    actor = Actor(root=[fence("found = [1, 2, 3]"), finish("str(len(found))"), finish("str(sum(found))")])
    async with Stage(actor, tmp_path) as stage:
        first = await stage.ask(context=CONTEXT, conversation_id="talk")
        second = await stage.ask("And their sum?", conversation_id="talk")
    assert (first.answer, second.answer) == ("3", "6")
    opening = actor.requests("root")[2].messages[1].content
    assert "found: list, 3 items" in opening, "the model is told what is there"


async def test_another_conversation_starts_with_nothing(tmp_path: Path) -> None:
    peek = fence("try:\n    FINAL(str(secret))\nexcept NameError:\n    FINAL('nothing')")
    actor = Actor(root=[fence("secret = 1") + "\n" + fence("FINAL(secret)"), peek])
    async with Stage(actor, tmp_path) as stage:
        await stage.ask(context=CONTEXT, conversation_id="one")
        other = await stage.ask(context=CONTEXT, conversation_id="two")
    assert other.answer == "nothing"


async def test_what_a_repl_held_is_gone_when_everything_is_erased(tmp_path: Path) -> None:
    peek = fence("try:\n    FINAL(str(secret))\nexcept NameError:\n    FINAL('nothing')")
    actor = Actor(root=[fence("secret = context[:4]") + "\n" + fence("FINAL(secret)"), peek])
    async with Stage(actor, tmp_path) as stage:
        first = await stage.ask("Remember", context=CONTEXT, conversation_id="talk")
        await stage.engine.erase_everything()
        outcome = await stage.ask("Do you?", context=CONTEXT, conversation_id="talk")
    assert (first.answer, outcome.answer) == ("INFO", "nothing")


async def test_a_new_message_has_a_fresh_answer_and_its_own_question(tmp_path: Path) -> None:
    actor = Actor(root=[finish('"first"'), fence("print(answer, query)"), finish('"second"')])
    async with Stage(actor, tmp_path) as stage:
        await stage.ask("One?", context=CONTEXT, conversation_id="talk")
        second = await stage.ask("Two?", conversation_id="talk")
    assert second.answer == "second"
    assert "'ready': False" in second.shown
    assert "Two?" in second.shown


async def test_an_error_in_one_message_leaves_the_next_one_its_variables(tmp_path: Path) -> None:
    actor = Actor(root=[fence("kept = 5"), Reply("x", drop_after=0), finish("str(kept)")])
    async with Stage(actor, tmp_path) as stage:
        broken = await stage.ask(context=CONTEXT, conversation_id="talk")
        after = await stage.ask(conversation_id="talk")
    assert broken.partial
    assert after.answer == "5"


async def test_the_working_memory_goes_into_the_next_prompt(tmp_path: Path) -> None:
    actor = Actor(direct=lambda request: f"reply {len(request.messages)}")
    async with Stage(actor, tmp_path) as stage:
        for n in range(8):
            await stage.ask(f"Message {n} about the garden", mode="direct", conversation_id="talk")
    last = actor.requests("direct")[-1].messages
    assert len(last) == 1 + 10 + 1, "system, the last ten messages, the question"
    assert last[1].content.endswith("Message 2 about the garden")


async def test_what_was_said_long_ago_is_recalled_and_reported(tmp_path: Path) -> None:
    async with Stage(Actor(direct="Noted."), tmp_path, memory={"working_messages": 2}) as stage:
        await stage.ask("My sister Adelheid keeps bees in Tübingen.", mode="direct", conversation_id="old")
        for n in range(3):
            await stage.ask(f"Something else number {n}", mode="direct", conversation_id="old")
        stage.store.flush()
        outcome = await stage.ask("Where does Adelheid keep her bees?", mode="direct", conversation_id="new")
        actor = stage.actor
    memories = outcome.of(RecallEvent)[0].memories
    assert any("Tübingen" in memory.preview for memory in memories)
    assert "Tübingen" in actor.requests("direct")[-1].last  # type: ignore[attr-defined]


async def test_many_memories_never_push_the_question_out_of_the_window(tmp_path: Path) -> None:
    text = "".join(f"Entry {n}: the crew met {n % 7} whales near the ice shelf.\n" for n in range(900))
    async with Stage(Actor(synthesis="Fine.", direct="Fine."), tmp_path, window=2048) as stage:
        for n in range(6):
            stage.store.add_message(
                "old", "user", f"The whales near the ice {n}: " + "we saw many whales there. " * 30
            )
        stage.store.flush()
        for mode, strategy in (("direct", None), ("recursive", "retrieve"), ("auto", "retrieve")):
            outcome = await stage.ask(
                "What about the whales near the ice?",
                mode=mode,
                strategy=strategy,
                context=text,
                conversation_id=f"new {mode}",
            )
            assert outcome.of(RecallEvent)
            assert outcome.answer.startswith("Fine"), outcome.reason


async def test_question_and_answer_are_in_the_store_with_their_route_and_cost(tmp_path: Path) -> None:
    actor = Actor(root=[finish('"two errors"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("How many?", context=CONTEXT, conversation_id="talk")
        question, answer = stage.store.messages("talk")
    assert (question.role, question.text) == ("user", "How many?")
    assert (answer.role, answer.text, answer.status) == ("assistant", "two errors", "complete")
    assert answer.metadata["route"]["strategy"] == "loop"
    assert answer.metadata["usage"]["llm_calls"] == outcome.usage.llm_calls
    assert answer.metadata["partial"] is False


@pytest.mark.parametrize("mode", ["direct", "recursive"])
async def test_half_a_character_in_question_and_material_does_not_stop_the_answer(
    mode: Mode, tmp_path: Path
) -> None:
    actor = Actor(direct="Fine.", root=[finish("context[:6]")])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(
            "Count \ud83d, please", context="half \ud83d of it " * 9, mode=mode, conversation_id="talk"
        )
        question, answer = stage.store.messages("talk")
        assert stage.engine.trace(answer.id)[-1].type == "done"
    assert question.text == "Count ?, please"
    assert answer.text == outcome.answer
    assert answer.status == "complete"


async def test_a_conversation_is_answered_once_at_a_time(tmp_path: Path) -> None:
    async with Stage(Actor(direct=Reply("It goes on and on", hold_after=10)), tmp_path) as stage:
        jobs = Jobs(stage.engine)
        job = await jobs.start(MessageRequest("One", mode="direct", conversation_id="talk"))
        try:
            await jobs.start(MessageRequest("Two", mode="direct", conversation_id="talk"))
        except ConversationBusy as error:
            refused = str(error)
        job.cancel()
        await job.wait()
        stage.count(Outcome(tuple(job.events)))
        await jobs.close()
    assert refused


async def test_a_late_view_of_a_job_sees_every_event_from_the_beginning(tmp_path: Path) -> None:
    async with Stage(Actor(direct="Some words."), tmp_path) as stage:
        jobs = Jobs(stage.engine)
        job = await jobs.start(MessageRequest("One", mode="direct", conversation_id="talk"))
        await job.wait()
        late = [event async for event in job.follow()]
        part = [event async for event in job.follow(len(late) - 1)]
        stage.count(Outcome(tuple(late)))
        await jobs.close()
    assert late == job.events
    assert [event.type for event in part] == ["done"]


async def test_two_trajectories_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=30)

    def model(request: ChatRequest) -> str:
        name = "alpha" if "alpha" in request.messages[1].content else "beta"
        turn = len(request.messages) // 2
        assert all(
            word not in request.text for word in ({"beta", "BETA"} if name == "alpha" else {"alpha", "ALPHA"})
        )
        both.wait()
        if turn < 4:
            return fence(f"mine = context\nprint(mine.upper(), {turn})")
        return finish("mine")

    async with Stage(model, tmp_path) as stage:
        outcomes = await asyncio.gather(
            *(
                stage.ask(f"question {name}", context=f"text of {name}", conversation_id=name)
                for name in ("alpha", "beta")
            )
        )
    assert [outcome.answer for outcome in outcomes] == ["text of alpha", "text of beta"]
    for outcome, name in zip(outcomes, ("ALPHA", "BETA"), strict=True):
        assert all(f"TEXT OF {name}" in event.shown for event in outcome.of(OutputEvent)[:-1])


async def test_a_saved_trace_replays_as_the_live_events(tmp_path: Path) -> None:
    plan = '{"sub_tasks": [{"id": 1, "type": "python_exec", "input": "print(1)", "depends_on": []}], "synthesis_strategy": "x"}'
    actor = Actor(
        root=[
            Reply(fence("print(llm_query('x'))"), thinking="hm, first look"),
            finish('"ERROR disk is in the log"'),
        ],
        plan=[plan],
        synthesis="One [1].",
        direct="Hi",
    )
    async with Stage(actor, tmp_path) as stage:
        outcomes = [
            await stage.ask(context=CONTEXT),
            await stage.ask(strategy="plan", context=CONTEXT),
            await stage.ask("What about the disk?", strategy="retrieve", context=CONTEXT),
            await stage.ask("Hello", mode="direct"),
        ]
        for outcome in outcomes:
            live = [e for e in outcome.events if not isinstance(e, PhaseEvent | TokenEvent | ThinkingEvent)]
            saved = stage.engine.trace(outcome.ending.message_id)
            assert [event for event in saved if not isinstance(event, ThinkingEvent)] == live
            assert "".join(e.text for e in saved if isinstance(e, ThinkingEvent)) == "".join(
                e.text for e in outcome.of(ThinkingEvent)
            )
            assert all(from_json(json.loads(json.dumps(to_json(event)))) == event for event in outcome.events)


async def test_thirty_turns_over_100_mb_leave_a_trace_below_1_mb(tmp_path: Path) -> None:
    line = "2026-01-27 12:00:00 INFO service=orders request finished status=200 duration=35 ms user=4711\n"
    context = line * (100_000_000 // len(line))
    turns: list[Says] = [
        fence(f"part = context[{n} * 1_000_000 : {n + 1} * 1_000_000]\nprint({n}, part[:200_000])")
        for n in range(29)
    ]
    actor = Actor(root=[*turns, finish('"done"')])
    async with Stage(actor, tmp_path, window=65_536, limits={"max_iterations": 30}) as stage:
        outcome = await stage.ask(context=context)
        size = trace_path(tmp_path, outcome.ending.message_id).stat().st_size
    assert outcome.answer == "done"
    assert len(outcome.of(CodeEvent)) == 30
    assert size < 1_000_000
    assert len(read_trace(trace_path(tmp_path, outcome.ending.message_id))) > 100


async def test_an_incognito_question_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Stage(Actor(direct="Hush."), tmp_path) as stage:
        request = MessageRequest("A secret", conversation_id="talk", mode="direct", incognito=True)
        turn = await stage.engine.begin(request)
        outcome = Outcome(tuple([event async for event in stage.engine.answer(turn)]))
        stage.count(outcome)
        assert stage.store.messages("talk") == []
    assert outcome.answer == "Hush."
    assert not (tmp_path / "traces").exists()


async def test_a_root_prompt_only_grows_at_its_end_and_the_events_say_what_is_new(tmp_path: Path) -> None:
    actor = Actor(root=[*(fence(f"print({n})") for n in range(5)), finish('"x"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    calls = outcome.of(ModelCallStartedEvent)
    assert [call.same_prefix for call in calls] == [0, 2, 4, 6, 8, 10]
    assert [len(call.prompt) for call in calls] == [2] * 6


async def test_work_that_outgrows_the_window_goes_on_from_a_summary_and_the_user_is_told(
    tmp_path: Path,
) -> None:
    turns: list[Says] = [fence(f'note_{n} = "kept {n}"\nprint("x{n} " * 800)') for n in range(8)]
    actor = Actor(root=[*turns, finish("note_0 + note_7")])
    async with Stage(actor, tmp_path, window=4096) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "kept 0kept 7"
    assert "history_restarted" in outcome.warnings
    restarted = next(r for r in actor.requests("root")[1:] if len(r.messages) == 2)
    assert "note_0" in restarted.last
    assert "How many errors are there?" in restarted.last

"""Strategy ``plan``: the plan format, what happens to bad plans, and how sub-tasks run."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from rlm_core.events import CodeEvent, ModelCallStartedEvent, OutputEvent, PlanEvent, TurnStartedEvent
from tests.conformance.stage import Actor, Stage
from tests.scripted.script import ChatRequest

CONTEXT = "".join(f"Line {n}: {'ERROR disk full' if n % 10 == 3 else 'INFO fine'}\n" for n in range(100))


def plan(*tasks: tuple[Any, ...], strategy: str = "join them") -> str:
    """Tasks as (type, input, ids it depends on)."""
    return json.dumps(
        {
            "sub_tasks": [
                {"id": number, "type": kind, "input": text, "depends_on": list(depends)}
                for number, (kind, text, *depends) in enumerate(tasks, start=1)
            ],
            "synthesis_strategy": strategy,
        }
    )


async def test_every_kind_of_sub_task_gives_a_result(tmp_path: Path) -> None:
    steps = plan(
        ("python_exec", "print(context.count('ERROR'))"),
        ("search_context", "disk full"),
        ("read_context", "0, 60"),
        ("llm_call", "Say why, given {result_1} errors.", 1),
        ("python_exec", "result_1.strip() + '!'", 1),
    )
    actor = Actor(plan=[steps], sub=lambda request: f"because: {request.last}", synthesis="Ten errors [1].")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert outcome.answer == "Ten errors [1]."
    assert not outcome.partial
    assert [citation.number for citation in outcome.ending.citations] == [1]
    combined = actor.requests("synthesis")[0].last
    assert "because: Say why, given 10 errors." in combined
    assert "10!" in combined
    assert "Line 0: INFO fine" in combined
    assert "join them" in combined
    assert outcome.of(PlanEvent)[0].origin == "model"
    assert [event.iteration for event in outcome.of(TurnStartedEvent)] == [1, 2, 3, 4, 5]


async def test_a_child_solves_a_sub_task_with_a_repl_of_its_own(tmp_path: Path) -> None:
    def child(request: ChatRequest) -> str:
        return '```repl\nanswer["content"] = str(context.count("ERROR")); answer["ready"] = True\n```'

    actor = Actor(plan=[plan(("solve", "How many errors?"))], root=[child], synthesis="Ten.")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert outcome.answer == "Ten."
    assert "solve, How many errors?):\n10" in actor.requests("synthesis")[0].last
    assert [event.depth for event in outcome.of(TurnStartedEvent)] == [0, 1]


async def test_independent_sub_tasks_run_at_the_same_time_and_dependent_ones_afterwards(
    tmp_path: Path,
) -> None:
    both = threading.Barrier(2, timeout=30)
    order: list[str] = []

    def sub(request: ChatRequest) -> str:
        if request.last in ("a", "b"):
            both.wait()
        order.append(request.last[0])
        return f"<{request.last[0]}>"

    steps = plan(("llm_call", "a"), ("llm_call", "b"), ("llm_call", "c {result_1} {result_2}", 1, 2))
    actor = Actor(plan=[steps], sub=sub)
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert sorted(order[:2]) == ["a", "b"]
    assert actor.requests("sub")[2].last == "c <a> <b>"
    assert not outcome.partial


async def test_code_of_independent_sub_tasks_waits_its_turn_in_the_one_repl(tmp_path: Path) -> None:
    steps = plan(*[("python_exec", f"x{n} = {n}\nprint('value', x{n})") for n in range(5)])
    actor = Actor(plan=[steps])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert [event.shown.strip() for event in outcome.of(OutputEvent)] == [f"value {n}" for n in range(5)]
    assert outcome.warnings == []


async def test_model_calls_of_parallel_sub_tasks_are_shown_each_under_its_own(tmp_path: Path) -> None:
    steps = plan(
        ("python_exec", "print(llm_query('from code one'))"),
        ("python_exec", "print(llm_query('from code two'))"),
        ("llm_call", "plain three"),
        ("llm_call", "plain four"),
    )
    actor = Actor(plan=[steps])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    turns = {event.id: event.title for event in outcome.of(TurnStartedEvent)}
    codes = {event.id: turns[event.parent_id or ""] for event in outcome.of(CodeEvent)}
    for call in outcome.of(ModelCallStartedEvent):
        if call.purpose == "sub":
            above = turns.get(call.parent_id or "") or codes[call.parent_id or ""]
            asked = call.prompt[0].text
            assert asked in above, f"{asked!r} is shown under {above!r}"


BAD_PLANS = {
    "no JSON": ("I would search first.", "JSON"),
    "an empty list": ('{"sub_tasks": [], "synthesis_strategy": ""}', "at least one"),
    "an unknown type": (plan(("browse_web", "x")), "browse_web"),
    "no input": (plan(("llm_call", "")), "no input"),
    "a dependency that is not there": (plan(("llm_call", "x", 9)), "sub-task 9"),
    "a circle": (plan(("llm_call", "x", 2), ("llm_call", "y", 1)), "circle"),
    "the same id twice": (
        '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "x"}, {"id": 1, "type": "llm_call", "input": "y"}]}',
        "same id",
    ),
    "an empty reply": ("", "sub_tasks"),
}


@pytest.mark.parametrize("case", BAD_PLANS)
async def test_a_plan_is_repaired_once(case: str, tmp_path: Path) -> None:
    bad, told = BAD_PLANS[case]
    actor = Actor(plan=[bad, plan(("llm_call", "think"))], synthesis="Ten.")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert outcome.answer == "Ten."
    assert outcome.of(PlanEvent)[0].origin == "repaired"
    assert told in actor.requests("plan")[1].last


async def test_after_two_bad_plans_the_material_is_searched_and_read(tmp_path: Path) -> None:
    actor = Actor(plan=["no", "no again"], map="ten errors [1]", synthesis="Ten [1].")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("What about the disk?", strategy="plan", context=CONTEXT)
    assert outcome.answer == "Ten [1]."
    assert outcome.of(PlanEvent)[0].origin == "default"
    assert not outcome.partial


async def test_code_that_fails_is_corrected_once_by_the_model(tmp_path: Path) -> None:
    actor = Actor(
        plan=[plan(("python_exec", "print(contxt.count('ERROR'))"))],
        sub="```python\nprint(context.count('ERROR'))\n```",
        synthesis="Ten.",
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert outcome.answer == "Ten."
    assert "NameError" in actor.requests("sub")[0].last
    assert "10" in actor.requests("synthesis")[0].last
    assert outcome.warnings == []


async def test_a_sub_task_that_fails_twice_is_reported_as_missing(tmp_path: Path) -> None:
    actor = Actor(
        plan=[plan(("python_exec", "1 / 0"), ("llm_call", "x"), ("llm_call", "use {result_1}", 1))],
        sub=lambda request: (
            "```python\n1 / 0\n```" if "ZeroDivisionError" in request.last else f"<{request.last}>"
        ),
        synthesis="Partly.",
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    combined = actor.requests("synthesis")[0].last
    assert "Sub-task 1 (python_exec): MISSING" in combined
    assert "ZeroDivisionError" in combined
    assert "<x>" in combined
    assert "<use (missing: this sub-task failed)>" in combined
    assert outcome.warnings == ["sub_task_failed"]


async def test_results_too_long_for_the_last_prompt_are_shortened_and_the_user_is_told(
    tmp_path: Path,
) -> None:
    actor = Actor(
        plan=[plan(("python_exec", "print('word ' * 700)"), ("python_exec", "print('word ' * 700)"))]
    )
    async with Stage(actor, tmp_path, window=2048) as stage:
        outcome = await stage.ask("Why? " * 300, strategy="plan", context=CONTEXT)
    assert outcome.answer == "synthesized answer"
    assert "result_shortened" in outcome.warnings


async def test_a_plan_without_any_material_works(tmp_path: Path) -> None:
    actor = Actor(plan=[plan(("python_exec", "17 * 23"))], synthesis="391")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("What is 17 times 23?", strategy="plan")
    assert outcome.answer == "391"
    assert "no material" in actor.requests("plan")[0].last
    assert "sql(" not in actor.requests("plan")[0].last

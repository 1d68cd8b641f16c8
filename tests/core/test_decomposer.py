"""Plans as models write them."""

import json

import pytest

from rlm_core.decomposer import PlanError, parse_plan

TASK = {"id": 1, "type": "llm_call", "input": "think", "depends_on": []}


def test_a_plan_is_found_in_a_reply_with_prose_and_fences() -> None:
    text = (
        "Here is my plan:\n```json\n"
        + json.dumps({"sub_tasks": [TASK], "synthesis_strategy": "join"})
        + "\n```\nGood?"
    )
    plan = parse_plan(text)
    assert plan.tasks[0].input == "think"
    assert plan.synthesis_strategy == "join"


def test_tasks_come_after_what_they_depend_on() -> None:
    tasks = [
        {"id": 3, "type": "llm_call", "input": "c", "depends_on": [2]},
        {"id": 2, "type": "llm_call", "input": "b", "depends_on": [1]},
        {"id": 1, "type": "llm_call", "input": "a"},
    ]
    assert [task.id for task in parse_plan(json.dumps({"sub_tasks": tasks})).tasks] == [1, 2, 3]


def test_what_can_be_guessed_is_guessed() -> None:
    tasks = [
        {"type": "read_context", "input": {"start": 0, "end": 50}},
        {"id": "2", "type": "llm_call", "input": "b", "depends_on": ["1"]},
        {"type": "llm_call", "input": "c", "depends_on": None},
    ]
    plan = parse_plan(json.dumps({"sub_tasks": tasks}))
    assert [(task.id, task.depends_on) for task in plan.tasks] == [(1, ()), (3, ()), (2, (1,))]
    assert "50" in plan.tasks[0].input


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("no plan", "sub_tasks"),
        ("{broken", "JSON"),
        ("[]", "sub_tasks"),
        ('{"sub_tasks": "many"}', "sub_tasks"),
        ('{"sub_tasks": [1]}', "not an object"),
        ('{"sub_tasks": [{"type": "dance", "input": "x"}]}', "dance"),
        ('{"sub_tasks": [{"type": "llm_call"}]}', "no input"),
        ('{"sub_tasks": [{"type": "llm_call", "input": "x", "depends_on": 7}]}', "whole numbers"),
        ('{"sub_tasks": [{"type": "llm_call", "input": "x", "depends_on": ["first"]}]}', "whole numbers"),
        ('{"sub_tasks": [{"type": "llm_call", "input": "x", "depends_on": "12"}]}', "whole numbers"),
        ('{"sub_tasks": [{"id": [1], "type": "llm_call", "input": "x"}]}', "whole numbers"),
        ('{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "x", "depends_on": [1]}]}', "circle"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_a_reason(plan: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        parse_plan(plan)

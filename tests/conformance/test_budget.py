"""When the budget ends, at whatever call, the user gets the best there is, marked as partial, with the reason."""

import threading
from pathlib import Path

import pytest

from rlm_core.events import ChildAnswerEvent, CodeEvent, ModelCallStartedEvent, TurnStartedEvent
from rlm_core.settings import Limits
from tests.conformance.stage import Actor, Stage, fence, finish
from tests.scripted.script import ChatRequest, Reply

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"
LONG = "".join(f"Entry {n}: on day {n} the crew met {n % 7} whales near the ice.\n" for n in range(900))
LOOK = fence("print(context[:20])")
AGAIN = [fence(f"print({n})") for n in range(20)]


async def test_a_draft_is_the_answer_when_the_root_calls_are_used_up(tmp_path: Path) -> None:
    actor = Actor(root=[fence('answer["content"] = "two, it seems"'), LOOK])
    async with Stage(actor, tmp_path, limits={"max_llm_calls": 3}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "two, it seems"
    assert outcome.partial
    assert "3 model calls" in outcome.reason


async def test_without_a_draft_the_call_that_was_kept_back_asks_for_the_best_answer(tmp_path: Path) -> None:
    actor = Actor(root=[LOOK, LOOK + "\n# again", "There seem to be two."])
    async with Stage(actor, tmp_path, limits={"max_llm_calls": 3}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "There seem to be two."
    assert outcome.partial
    assert outcome.usage.llm_calls == 3
    closing = actor.requests("root")[-1].last
    assert "has to end here" in closing
    assert "3 model calls" in closing


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (fence('FINAL("two")'), "two"),
        (finish('str(1 + 1) + " errors"'), "2 errors"),
        (fence('answer["content"] = "two, it seems"'), "two, it seems"),
        ("FINAL(two of them)", "two of them"),
        (fence('FINAL(nothing_of_that_name)'), fence('FINAL(nothing_of_that_name)')),
        ("Take `sum(xs)`:\n" + fence("print(sum([1]))"), "Take `sum(xs)`:\n" + fence("print(sum([1]))")),
    ],
)  # fmt: skip
async def test_a_last_reply_that_gives_its_answer_as_code_counts(
    reply: str, answer: str, tmp_path: Path
) -> None:
    actor = Actor(root=[*AGAIN[:2], reply])
    async with Stage(actor, tmp_path, limits={"max_iterations": 2}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == answer
    assert outcome.partial
    assert "2 turns" in outcome.reason


async def test_the_turns_are_limited_and_the_model_hears_it_coming(tmp_path: Path) -> None:
    actor = Actor(root=[*AGAIN[:4], "My best guess is two."])
    async with Stage(actor, tmp_path, limits={"max_iterations": 4}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "My best guess is two."
    assert outcome.partial
    assert "4 turns" in outcome.reason
    prompts = [request.last for request in actor.requests("root")]
    assert "turns left" not in prompts[1]
    assert "2 turns left" in prompts[2]
    assert "1 turn left" in prompts[3]
    assert "Finish now" in prompts[3]


async def test_the_same_code_again_and_again_is_stopped(tmp_path: Path) -> None:
    actor = Actor(root=[LOOK, LOOK, LOOK, LOOK, "I give up: two."])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "I give up: two."
    assert "same code" in outcome.reason
    assert "exactly this code before" in actor.requests("root")[2].last


async def test_a_prompt_that_is_too_long_fails_alone_unsent_and_says_how_long_it_may_be(
    tmp_path: Path,
) -> None:
    actor = Actor(
        root=[
            fence('found = llm_query_batched(["short", "word " * 100_000, "also short"])\nprint(found)'),
            finish('"looked"'),
        ],
        sub=lambda request: request.last.upper(),
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert [request.last for request in actor.requests("sub")] == ["short", "also short"]
    assert "Error: The prompt has about" in outcome.shown
    assert "The prompt has 500,000 characters, the limit is about" in outcome.shown
    assert outcome.shown.count("SHORT'") == 2
    assert outcome.usage.llm_calls == 4


async def test_sub_calls_are_charged_to_the_same_ledger_and_fail_alone(tmp_path: Path) -> None:
    actor = Actor(
        root=[
            fence('found = llm_query_batched([f"say {n}" for n in range(6)])\nprint(found)'),
            "Only some replies came.",
        ],
        sub=lambda request: request.last.upper(),
    )
    async with Stage(actor, tmp_path, limits={"max_llm_calls": 5, "max_parallel": 1}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.usage.llm_calls == 5
    assert len(actor.requests("sub")) == 3
    assert outcome.shown.count("Error: The limit of 5 model calls") == 3
    assert outcome.shown.count("'SAY ") == 3
    assert outcome.answer == "Only some replies came."
    assert outcome.partial


async def test_the_budget_is_shared_by_the_whole_tree(tmp_path: Path) -> None:
    def anyone(request: ChatRequest) -> str:
        if "Question: child" in request.messages[1].content:
            return AGAIN[len(request.messages) // 2]
        return fence('found = rlm_query_batched(["child a", "child b"], ["text a", "text b"])\nprint(found)')

    actor = Actor(root=[anyone] * 40)
    async with Stage(actor, tmp_path, limits={"max_llm_calls": 9}) as stage:
        outcome = await stage.ask("root", context=CONTEXT)
        assert len(stage.server.requests) == 9
    assert outcome.usage.llm_calls == 9
    assert outcome.partial


async def test_reading_stops_where_the_calls_end_and_the_answer_says_what_was_read(tmp_path: Path) -> None:
    actor = Actor(map=lambda request: "- a whale [1]", synthesis="Some whales [1].")
    async with Stage(actor, tmp_path, window=2048, limits={"max_llm_calls": 5}) as stage:
        outcome = await stage.ask("List all whales.", strategy="retrieve", context=LONG)
    assert outcome.answer.startswith("Some whales")
    assert outcome.partial
    assert "of" in outcome.reason
    assert "not_all_read" in outcome.warnings
    assert outcome.usage.llm_calls <= 5


async def test_one_call_is_not_enough_for_a_plan_and_the_reason_says_so(tmp_path: Path) -> None:
    plan = '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "think", "depends_on": []}], "synthesis_strategy": "x"}'
    actor = Actor(plan=[plan])
    async with Stage(actor, tmp_path, limits={"max_llm_calls": 1}) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert outcome.partial
    assert "limit of 1 model calls" in outcome.reason


async def test_what_the_sub_tasks_gave_is_combined_when_the_calls_end_in_the_middle_of_a_plan(
    tmp_path: Path,
) -> None:
    tasks = ", ".join(
        f'{{"id": {n}, "type": "llm_call", "input": "task {n}", "depends_on": [{n - 1 or ""}]}}'
        for n in range(1, 5)
    )
    actor = Actor(
        plan=[f'{{"sub_tasks": [{tasks}], "synthesis_strategy": "join"}}'],
        sub=lambda request: "result of " + request.last[:6],
        synthesis="Half of it.",
    )
    async with Stage(actor, tmp_path, limits={"max_llm_calls": 4}) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert outcome.answer == "Half of it."
    assert outcome.partial
    combined = actor.requests("synthesis")[0].last
    assert "result of task 2" in combined
    assert combined.count("MISSING") == 2


async def test_with_one_call_nothing_is_spent_on_judging_the_message(tmp_path: Path) -> None:
    actor = Actor(direct="The answer.")
    async with Stage(actor, tmp_path, limits={"max_llm_calls": 1}) as stage:
        outcome = await stage.ask(
            "Compare the two and calculate 3 + 4. What follows? And then?", mode="auto", strategy=None
        )
    assert outcome.answer == "The answer."
    assert outcome.purposes == ["direct"]
    assert not outcome.partial


async def test_with_few_calls_the_model_is_not_tried_out(tmp_path: Path) -> None:
    actor = Actor(map="- two errors [1]", synthesis="Two errors [1].")
    async with Stage(actor, tmp_path, limits={"max_llm_calls": 3}) as stage:
        outcome = await stage.ask("What about the errors?", strategy="auto", context=CONTEXT)
    assert outcome.route.strategy == "retrieve"
    assert "probe" not in outcome.purposes
    assert outcome.answer == "Two errors [1]."


async def test_the_tokens_are_limited_over_the_whole_tree(tmp_path: Path) -> None:
    actor = Actor(root=[*AGAIN[:10], "Enough."])
    async with Stage(actor, tmp_path, limits={"max_tokens": 6_000}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.partial
    assert "6,000 tokens" in outcome.reason
    assert outcome.usage.tokens_in + outcome.usage.tokens_out <= 6_000
    assert outcome.answer


async def test_a_reply_cannot_be_longer_than_the_tokens_that_are_left(tmp_path: Path) -> None:
    actor = Actor(direct=" ".join(f"word{n}" for n in range(5_000)))
    async with Stage(actor, tmp_path, limits={"max_tokens": 1_000}) as stage:
        outcome = await stage.ask("Tell me everything.", mode="direct", strategy=None)
    assert outcome.usage.tokens_in + outcome.usage.tokens_out <= 1_000
    assert outcome.partial


async def test_when_the_time_is_up_in_a_reply_the_kept_back_time_is_used_for_an_answer(
    tmp_path: Path,
) -> None:
    actor = Actor(root=[Reply("I look at it ...", hold_after=6), "Not enough time."])
    async with Stage(actor, tmp_path, limits={"max_seconds": 3}) as stage:
        outcome = await stage.ask(context=CONTEXT)
        await stage.reaches(lambda: stage.server.aborted == 1)
    assert outcome.answer == "Not enough time."
    assert outcome.partial
    assert "time limit of 3 s" in outcome.reason


async def test_when_the_time_is_up_in_a_cell_the_draft_is_the_answer(tmp_path: Path) -> None:
    actor = Actor(root=[fence('answer["content"] = "about two"'), fence("while True:\n    pass")])
    async with Stage(actor, tmp_path, limits={"max_seconds": 2}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "about two"
    assert "time limit of 2 s" in outcome.reason


async def test_when_the_time_is_up_in_a_sub_task_the_plan_ends_with_what_there_is(tmp_path: Path) -> None:
    plan = (
        '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "think", "depends_on": []}, '
        '{"id": 2, "type": "python_exec", "input": "while True: pass", "depends_on": [1]}], "synthesis_strategy": "x"}'
    )
    actor = Actor(plan=[plan], sub="thought", synthesis="Half of it.")
    async with Stage(actor, tmp_path, limits={"max_seconds": 3}) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert outcome.answer == "Half of it."
    assert outcome.partial
    assert "time limit of 3 s" in outcome.reason


async def test_the_callers_budget_counts_not_the_settings(tmp_path: Path) -> None:
    actor = Actor(root=[LOOK, "Short."])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT, budget=Limits(max_iterations=1, max_depth=1))
    assert outcome.answer == "Short."
    assert "1 turn" in outcome.reason


@pytest.mark.parametrize(
    ("depth", "offered", "answer"),
    [
        (0, {"llm_query": False, "rlm_query": False}, "NameError"),
        (1, {"llm_query": True, "rlm_query": False}, "plain call"),
        (2, {"llm_query": True, "rlm_query": True}, "a child says: inner text"),
    ],
)
async def test_what_a_depth_means(depth: int, offered: dict[str, bool], answer: str, tmp_path: Path) -> None:
    def anyone(request: ChatRequest) -> str:
        if "Question: child" in request.messages[1].content:
            return finish('"a child says: " + context')
        return fence(
            'try:\n    FINAL(rlm_query("child", "inner text"))\nexcept NameError as error:\n    FINAL("NameError")'
        )

    actor = Actor(root=[anyone] * 5, sub="plain call")
    async with Stage(actor, tmp_path, limits={"max_depth": depth}) as stage:
        outcome = await stage.ask("root", context=CONTEXT)
    assert outcome.answer == answer
    system = actor.requests("root")[0].system
    for name, is_offered in offered.items():
        assert (f"`{name}(" in system) == is_offered
    assert [event.depth for event in outcome.of(TurnStartedEvent)] == ([0, 1] if depth == 2 else [0])
    assert [event.text for event in outcome.of(ChildAnswerEvent)] == ([answer] if depth == 2 else [])


async def test_what_a_child_hands_back_is_an_event_under_the_code_that_asked_it(tmp_path: Path) -> None:
    def anyone(request: ChatRequest) -> str:
        if "Question: child" in request.messages[1].content:
            return finish('"long " * 10_000')
        return fence('FINAL(len(rlm_query("child", "inner text")))')

    async with Stage(Actor(root=[anyone] * 5), tmp_path) as stage:
        outcome = await stage.ask("root", context=CONTEXT)
    (code, _) = outcome.of(CodeEvent)
    (child,) = outcome.of(ChildAnswerEvent)
    assert (child.parent_id, child.child, child.partial, child.reason) == (code.id, 1, False, None)
    assert child.chars == int(outcome.answer)
    assert child.chars > len(child.text) > 1_000
    assert child.text.startswith("long long")


async def test_a_child_at_the_limit_asks_a_model_plainly(tmp_path: Path) -> None:
    def anyone(request: ChatRequest) -> str:
        if "Question: child" in request.messages[1].content:
            return fence('FINAL(rlm_query("grandchild", context))')
        return fence('FINAL(rlm_query("child", "inner text"))')

    actor = Actor(root=[anyone] * 5, sub=lambda request: f"asked: {request.last}")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("root", context=CONTEXT)
    assert outcome.answer == "asked: grandchild\n\ninner text"


async def test_an_oversized_sub_prompt_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    actor = Actor(root=[fence("print(llm_query(context))"), finish('"smaller pieces then"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=LONG)
    told = actor.requests("root")[1].last
    assert "8,192" in told
    assert f"{len(LONG):,} characters" in told
    assert "chunks(" in told
    assert actor.requests("sub") == []
    assert outcome.usage.llm_calls == 2


async def test_a_batch_keeps_its_order_and_runs_no_more_calls_at_once_than_allowed(tmp_path: Path) -> None:
    three_at_once = threading.Barrier(3, timeout=30)

    def sub(request: ChatRequest) -> str:
        three_at_once.wait()
        return f"<{request.last}>"

    actor = Actor(root=[finish('", ".join(llm_query_batched([f"{n}" for n in range(12)]))')], sub=sub)
    async with Stage(actor, tmp_path, limits={"max_parallel": 3}) as stage:
        outcome = await stage.ask(context=CONTEXT)
        assert stage.server.peak_parallel == 3
    assert outcome.answer == ", ".join(f"<{n}>" for n in range(12))


async def test_a_failing_item_of_a_batch_fails_alone(tmp_path: Path) -> None:
    def sub(request: ChatRequest) -> Reply:
        return Reply("", status=500, error="boom") if "3" in request.last else Reply("fine")

    actor = Actor(
        root=[
            fence("found = llm_query_batched([f'item {n}' for n in range(5)])"),
            finish('" | ".join(found)'),
        ],
        sub=sub,
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    said = outcome.answer.split(" | ")
    assert [text == "fine" for text in said] == [True, True, True, False, True]
    assert "boom" in said[3]


async def test_a_schema_gives_parsed_values(tmp_path: Path) -> None:
    schema = "{'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n']}"
    actor = Actor(root=[finish(f"str(llm_query('how many?', schema={schema})['n'] + 1)")], sub='{"n": 41}')
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "42"
    assert actor.requests("sub")[0].schema is not None


async def test_every_call_is_shown_under_what_made_it(tmp_path: Path) -> None:
    actor = Actor(root=[finish('llm_query("a") + llm_query("b")')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    by_id = {event.id: event.type for event in outcome.events}
    parents = [by_id[call.parent_id or ""] for call in outcome.of(ModelCallStartedEvent)]
    assert parents == ["turn_started", "code", "code"]

"""Direct or recursive, which strategy, which model."""

from pathlib import Path
from typing import Any

import pytest

from rlm_core.events import ModelCallStartedEvent, PhaseEvent
from tests.conformance.stage import Actor, Stage, fence, finish
from tests.scripted.ollama_server import GIGABYTE, STANDARD_MODELS, ScriptedModel
from tests.scripted.script import ChatRequest, Reply

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"
LONG = "".join(f"Entry {n}: on day {n} the crew met {n % 7} whales near the ice.\n" for n in range(2_000))
GREY = "Calculate 3 + 4 for me."
FAST, TOOLS, QUALITY = "qwen3:8b", "glm-z1:9b", "qwen3:30b-a3b"


def codes(request: ChatRequest) -> str:
    """A model that solves the probe's tasks."""
    if "green" in request.text:
        return fence('sum("green" in line for line in context.splitlines())', "python")
    if "box 41" in request.text:
        return fence('import re\nprint(re.search(r"box 41:.*weight=(\\d+)", context)[1])', "python")
    return fence('import re\nsum(int(w) for w in re.findall(r"weight=(\\d+)", context))', "python")


PROBE_PLAN = """{"sub_tasks": [{"id": 1, "type": "search_context", "input": "lease signed by", "depends_on": []},
{"id": 2, "type": "search_context", "input": "monthly rent", "depends_on": []},
{"id": 3, "type": "llm_call", "input": "Who signed, what rent?", "depends_on": [1, 2]}], "synthesis_strategy": "both"}"""


async def test_a_hello_takes_one_call(tmp_path: Path) -> None:
    async with Stage(Actor(direct="Hi!"), tmp_path) as stage:
        outcome = await stage.ask("Hello!", mode="auto", strategy=None)
    assert outcome.answer == "Hi!"
    assert outcome.purposes == ["direct"]
    assert outcome.route.decision == "direct"
    assert outcome.route.score < outcome.route.threshold


async def test_thanks_are_not_about_the_documents_of_the_conversation(tmp_path: Path) -> None:
    async with Stage(Actor(direct="You are welcome."), tmp_path) as stage:
        outcome = await stage.ask("Thanks a lot!", mode="auto", strategy=None, context=LONG)
    assert outcome.answer == "You are welcome."
    assert outcome.purposes == ["direct"]
    assert outcome.warnings == []


@pytest.mark.parametrize(("verdict", "decision"), [("SIMPLE", "direct"), ("COMPLEX", "recursive")])
async def test_the_grey_zone_costs_exactly_one_more_call(verdict: str, decision: str, tmp_path: Path) -> None:
    actor = Actor(
        complexity=f'{{"complexity": "{verdict}", "reason": "arithmetic"}}',
        root=[finish("str(3 + 4)")],
        direct="7",
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(GREY, mode="auto")
    assert outcome.answer == "7"
    assert outcome.purposes.count("complexity") == 1
    assert len(outcome.purposes) == 2
    assert outcome.route.decision == decision
    assert outcome.route.asked_model
    assert any("the model says" in reason for reason in outcome.route.reasons)
    assert actor.requests("complexity")[0].model == FAST


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "maybe",
        '{"complexity": "HARD"}',
        "[]",
        "null",
        Reply(status=500, error="boom"),
        Reply(content_null=True),
    ],
)
async def test_an_unusable_verdict_leaves_the_cheap_score(reply: Any, tmp_path: Path) -> None:
    async with Stage(Actor(complexity=reply, direct="7"), tmp_path) as stage:
        outcome = await stage.ask(GREY, mode="auto")
    assert outcome.answer == "7"
    assert outcome.route.decision == "direct"
    assert not outcome.route.asked_model


async def test_material_larger_than_the_window_is_recursive_without_asking(tmp_path: Path) -> None:
    actor = Actor(root=[finish("str(len(context))")])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("What about the whales?", mode="auto", context=LONG)
    assert outcome.route.decision == "recursive"
    assert outcome.answer == str(len(LONG))
    assert "complexity" not in outcome.purposes
    assert any("tokens" in reason for reason in outcome.route.reasons)


async def test_small_material_goes_into_a_direct_prompt_with_citations(tmp_path: Path) -> None:
    async with Stage(Actor(direct="The disk [1]."), tmp_path) as stage:
        outcome = await stage.ask("Which part failed first?", mode="auto", context=CONTEXT)
    assert outcome.route.decision == "direct"
    assert outcome.ending.citations[0].text.strip() == CONTEXT.strip()


async def test_recursion_can_be_switched_off(tmp_path: Path) -> None:
    async with Stage(Actor(direct="Some [1]."), tmp_path, recursive=False) as stage:
        outcome = await stage.ask("Count the whales.", mode="auto", context=LONG)
    assert outcome.route.decision == "direct"
    assert "material_left_out" in outcome.warnings


async def test_a_long_message_becomes_material(tmp_path: Path) -> None:
    message = f"How many whales are in this journal?\n\n{LONG}"
    actor = Actor(root=[finish('str(context.count("whales near")) + documents[0].name')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(message, mode="auto")
    assert outcome.answer == "2000your message"


@pytest.mark.parametrize("window", [1024, 2048, 4096])
async def test_a_message_of_any_length_fits_a_window_of_any_size(window: int, tmp_path: Path) -> None:
    actor = Actor(map="x | - | 1", synthesis="Fine.", direct="Fine.")
    async with Stage(actor, tmp_path, window=window, recursive=False) as stage:
        for length in (500, 1_500, 3_000, 6_000, 12_000):
            outcome = await stage.ask("Why is this so? " * (length // 16), mode="auto", strategy=None)
            assert outcome.answer == "Fine.", outcome.reason


PROBED: dict[str, tuple[dict[str, Any], str]] = {
    "a model that codes": ({"probe": codes, "root": [finish("str(context.count('ERROR'))")]}, "loop"),
    "a model that only plans": (
        {
            "plan": [PROBE_PLAN, PROBE_PLAN],
            "synthesis": "2",
        },
        "plan",
    ),
    "a model that does neither": ({"plan": ["no"], "map": "two [1]", "synthesis": "2"}, "retrieve"),
}


@pytest.mark.parametrize("kind", PROBED)
async def test_auto_gives_each_model_the_strategy_it_can_carry_out(kind: str, tmp_path: Path) -> None:
    says, strategy = PROBED[kind]
    async with Stage(Actor(**says), tmp_path) as stage:
        outcome = await stage.ask("What about the errors?", strategy="auto", context=CONTEXT)
    assert outcome.route.strategy == strategy
    assert outcome.answer == "2"
    assert TOOLS in outcome.route.reasons[-1]


async def test_a_model_is_tried_out_once_and_remembered_across_restarts(tmp_path: Path) -> None:
    actor = Actor(probe=codes, root=[finish("'a'"), finish("'b'")])
    async with Stage(actor, tmp_path) as stage:
        first = await stage.ask("What?", strategy="auto", context=CONTEXT)
    actor.seen.clear()
    actor.root = [finish("'c'")]
    async with Stage(actor, tmp_path) as stage:
        again = await stage.ask("What?", strategy="auto", context=CONTEXT)
        found = await stage.engine.capabilities(again=True)
        stage.spent += found.code_tried
    assert "probe" in first.purposes
    assert "probe" not in again.purposes
    assert found.writes_code
    assert any(event.text.startswith("getting to know") for event in first.of(PhaseEvent))


async def test_under_auto_a_model_that_stops_coding_reads_passages_instead(tmp_path: Path) -> None:
    actor = Actor(probe=codes, root=["Two.", "Two!", "Two, I said."], map="two [1]", synthesis="Two [1].")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("What about the errors?", strategy="auto", context=CONTEXT)
    assert outcome.answer == "Two [1]."
    assert not outcome.partial
    assert outcome.warnings == ["cannot_code"]


# --- which model ----------------------------------------------------------------------------------------------------


def models_of(outcome: Any) -> dict[str, str]:
    return {call.purpose: call.model for call in outcome.of(ModelCallStartedEvent)}


async def test_by_role_every_role_has_its_model(tmp_path: Path) -> None:
    plan = '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "a", "depends_on": []}], "synthesis_strategy": "x"}'
    async with Stage(Actor(plan=[plan]), tmp_path, routing="by-role") as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert models_of(outcome) == {"plan": TOOLS, "sub": FAST, "synthesis": QUALITY}


async def test_single_uses_the_fast_model_for_everything(tmp_path: Path) -> None:
    plan = '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "a", "depends_on": []}], "synthesis_strategy": "x"}'
    async with Stage(Actor(plan=[plan]), tmp_path, routing="single") as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
        assert {name for name, _ in stage.server.loads} == {FAST}
    assert set(models_of(outcome).values()) == {FAST}


async def test_auto_spares_a_swap_that_gains_less_than_it_costs(tmp_path: Path) -> None:
    plan = '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "a", "depends_on": []}], "synthesis_strategy": "x"}'
    async with Stage(Actor(plan=[plan]), tmp_path, vram=8 * GIGABYTE) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
        assert stage.server.loads == [(TOOLS, 8192)], "one model does it all"
    assert models_of(outcome) == {"plan": TOOLS, "sub": TOOLS, "synthesis": TOOLS}


async def test_auto_changes_to_the_coding_model_because_that_is_worth_it(tmp_path: Path) -> None:
    async with Stage(Actor(direct="Hi", root=[finish("'x'")]), tmp_path, vram=8 * GIGABYTE) as stage:
        await stage.ask("Hello", mode="direct")
        outcome = await stage.ask(context=CONTEXT)
        assert [name for name, _ in stage.server.loads] == [FAST, TOOLS]
    assert models_of(outcome) == {"root": TOOLS}


async def test_a_missing_model_is_replaced_and_mentioned_once(tmp_path: Path) -> None:
    actor = Actor(root=[fence("n = 1"), finish("str(n)"), finish("str(2)")])
    async with Stage(actor, tmp_path, models=(STANDARD_MODELS[0],)) as stage:
        first = await stage.ask(context=CONTEXT)
        second = await stage.ask(context=CONTEXT)
    assert first.warnings == ["model_missing"]
    warning = next(event for event in first.events if event.type == "warning")
    assert "ollama pull glm-z1:9b" in warning.text  # type: ignore[attr-defined]
    assert second.warnings == []
    assert set(models_of(first).values()) == {FAST}


async def test_a_model_named_by_the_caller_overrules_the_roles(tmp_path: Path) -> None:
    actor = Actor(root=[finish('llm_query("x")')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT, model=QUALITY)
    assert models_of(outcome) == {"root": QUALITY, "sub": QUALITY}


async def test_code_may_name_a_model_for_a_sub_call(tmp_path: Path) -> None:
    actor = Actor(
        root=[finish(f'llm_query("x", model="{QUALITY}") + llm_query("y", "nonsense with blanks")')]
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    subs = actor.requests("sub")
    assert subs[0].model == QUALITY
    assert "nonsense with blanks" in subs[1].last, "a second text is part of the prompt, not a model"
    assert not outcome.partial


async def test_a_model_trained_as_an_rlm_gets_the_official_wording_with_our_true_sizes(
    tmp_path: Path,
) -> None:
    trained = ScriptedModel("rlm-qwen3-8b:latest")
    said: list[ChatRequest] = []

    def model(request: ChatRequest) -> str:
        said.append(request)
        return finish("str(context.count('ERROR'))")

    async with Stage(model, tmp_path, models=(trained,)) as stage:
        outcome = await stage.ask(context=CONTEXT, model="rlm-qwen3-8b")
    system = said[0].system
    assert outcome.answer == "2"
    assert "Recursive Language Model" in system
    assert "{custom_tools_section}" not in system
    assert "{{" not in system
    assert "500K" not in system
    assert "20K" not in system
    assert "search(" in system

"""A model server that fails at any step: a clear reason or a partial answer comes, and the next message works."""

from pathlib import Path
from typing import Any

import pytest

from rlm_core.events import ErrorEvent
from tests.conformance.stage import Actor, Stage, fence, finish
from tests.scripted.ollama_server import ScriptedModel
from tests.scripted.script import ChatRequest, Reply

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"
DIES = Reply("It begins with words and then", drop_after=20)
PLAN = '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "a", "depends_on": []}], "synthesis_strategy": "x"}'
GREY = "Calculate 3 + 4 for me."

ENDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a direct answer": ({"direct": DIES}, {"mode": "direct"}, "It begins with words"),
    "the first root call": ({"root": [DIES]}, {"strategy": "loop"}, ""),
    "a later root call": (
        {"root": [fence('answer["content"] = "about two"'), DIES]},
        {"strategy": "loop"},
        "about two",
    ),
    "the plan": ({"plan": [DIES]}, {"strategy": "plan"}, ""),
    "the synthesis": ({"plan": [PLAN], "synthesis": DIES}, {"strategy": "plan"}, "It begins with words"),
    "reading": ({"map": DIES}, {"strategy": "retrieve"}, ""),
    "the probe": ({"probe": DIES}, {"strategy": "auto"}, ""),
}


EMPTY: dict[str, dict[str, Any]] = {
    "direct": {"mode": "direct"},
    "loop": {"strategy": "loop"},
    "plan": {"strategy": "plan"},
    "retrieve": {"strategy": "retrieve"},
}


@pytest.mark.parametrize("step", ENDS)
async def test_a_server_that_dies_in_the_middle_of(step: str, tmp_path: Path) -> None:
    says, options, answer = ENDS[step]
    actor = Actor(**says)
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(**{"context": CONTEXT, **options})
        actor.direct = "I am back."
        again = await stage.ask("Hello?", mode="direct", strategy=None)
    assert outcome.answer == answer
    assert outcome.partial
    assert [event.code for event in outcome.of(ErrorEvent)] == ["stream_dropped"]
    assert "Ollama" in outcome.reason
    assert again.answer == "I am back."
    assert not again.partial


@pytest.mark.parametrize("reply", ["", "  \n", "<think>It is hard to say.</think>"])
@pytest.mark.parametrize("way", EMPTY)
async def test_an_answer_without_a_word_is_said_to_be_empty(way: str, reply: str, tmp_path: Path) -> None:
    actor = Actor(direct=reply, plan=[PLAN], map=reply, synthesis=reply, root=[fence("FINAL('')")])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT, **EMPTY[way])
    assert not outcome.answer.strip()
    assert outcome.partial
    assert "empty" in outcome.reason


async def test_a_sub_call_that_dies_is_an_exception_in_the_cell(tmp_path: Path) -> None:
    actor = Actor(root=[fence('text = llm_query("x")'), finish('"went on"')], sub=DIES)
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "went on"
    assert not outcome.partial
    assert "llm_query" in actor.requests("root")[1].last
    assert "broke off" in actor.requests("root")[1].last


async def test_a_complexity_call_that_dies_leaves_the_cheap_score(tmp_path: Path) -> None:
    actor = Actor(complexity=DIES, direct="seven")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(GREY, mode="auto", strategy=None)
    assert outcome.answer == "seven"
    assert not outcome.partial
    assert not outcome.route.asked_model


async def test_a_sub_task_that_dies_twice_is_reported_as_missing(tmp_path: Path) -> None:
    actor = Actor(plan=[PLAN], sub=DIES, synthesis="Nothing is known.")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(strategy="plan", context=CONTEXT)
    assert outcome.answer == "Nothing is known."
    assert "sub_task_failed" in outcome.warnings
    assert "MISSING" in actor.requests("synthesis")[0].last
    assert len(actor.requests("sub")) == 2


async def test_some_parts_that_cannot_be_read_are_said_to_be_missing(tmp_path: Path) -> None:
    text = "".join(f"Entry {n}: on day {n} the crew met {n % 7} whales near the ice.\n" for n in range(900))

    def reader(request: ChatRequest) -> Reply:
        return DIES if "(part 2 of" in request.last else Reply("a whale | - | 1")

    actor = Actor(map=reader, synthesis="Some whales.")
    async with Stage(actor, tmp_path, window=4096) as stage:
        outcome = await stage.ask("List all whales.", strategy="retrieve", context=text)
    assert outcome.answer.startswith("Some whales")
    assert outcome.warnings
    assert outcome.partial


async def test_a_server_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    actor = Actor(direct="I am back.")
    async with Stage(actor, tmp_path) as stage:
        stage.server.stop()
        outcome = await stage.ask("Hello", mode="direct", strategy=None)
        stage.server.start()
        again = await stage.ask("Hello", mode="direct", strategy=None)
    assert outcome.partial
    assert "ollama serve" in outcome.reason
    assert again.answer == "I am back."


async def test_a_server_that_goes_away_for_good_in_the_middle_of_a_loop(tmp_path: Path) -> None:
    def leave(request: ChatRequest) -> str:
        return fence('answer["content"] = "about two"')

    actor = Actor(root=[leave, DIES])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "about two"


async def test_no_model_at_all_says_which_to_get(tmp_path: Path) -> None:
    async with Stage(Actor(), tmp_path, models=()) as stage:
        outcome = await stage.ask("Hello", mode="direct", strategy=None)
    assert "ollama pull qwen3:8b" in outcome.reason
    assert [event.code for event in outcome.of(ErrorEvent)] == ["model_missing"]


async def test_a_model_that_was_asked_for_by_name_and_is_missing_is_an_error(tmp_path: Path) -> None:
    async with Stage(Actor(), tmp_path) as stage:
        outcome = await stage.ask("Hello", mode="direct", strategy=None, model="gemma3:27b")
    assert "gemma3:27b" in outcome.reason
    assert "qwen3:8b" in outcome.reason


async def test_an_error_in_the_middle_of_a_stream_is_passed_on_in_words(tmp_path: Path) -> None:
    says = Reply("It begins with words and", drop_after=20, error="model runner has unexpectedly stopped")
    async with Stage(Actor(direct=says), tmp_path) as stage:
        outcome = await stage.ask("Hello", mode="direct", strategy=None)
    assert outcome.answer == "It begins with words"
    assert outcome.partial
    assert outcome.reason


async def test_a_reply_that_fills_the_window_is_marked(tmp_path: Path) -> None:
    async with Stage(
        Actor(direct=" ".join(f"word{n}" for n in range(5_000))), tmp_path, window=2048
    ) as stage:
        outcome = await stage.ask("Tell me everything.", mode="direct", strategy=None)
    assert outcome.partial
    assert "window" in outcome.reason


async def test_a_model_with_a_small_window_of_its_own_is_never_sent_more(tmp_path: Path) -> None:
    small = ScriptedModel("qwen3:8b", context_length=2048)
    text = "".join(f"Entry {n}: the crew met {n % 7} whales.\n" for n in range(2_000))
    actor = Actor(map="a whale | - | 1", synthesis="Some.")
    async with Stage(actor, tmp_path, models=(small,)) as stage:
        outcome = await stage.ask("What did the crew meet on the ice?", strategy="retrieve", context=text)
        assert stage.server.largest_prompt <= 2048
    assert outcome.answer.startswith("Some")


@pytest.mark.parametrize(
    "text",
    [
        "".join(
            f"Eintrag {n}: über dem Ölfaß flöge ein schöner Vögelschwarm, hübsch gezählt {n}.\n"
            for n in range(900)
        ),
        "".join(f"第{n}天，船员在冰山附近看到了{n % 7}头鲸鱼，天气很冷，风很大。\n" for n in range(900)),
        "".join(f"{n};{n * 7};{n % 13};0x{n:04x};{'-' * (n % 9)}\n" for n in range(2_000)),
    ],
    ids=["umlauts", "Chinese", "figures"],
)
async def test_material_of_any_kind_fits_into_the_window(text: str, tmp_path: Path) -> None:
    actor = Actor(map="x | - | 1", synthesis="Enough.")
    async with Stage(actor, tmp_path, window=4096) as stage:
        for question in ("What is in line 17?", "How many lines are there in total?"):
            outcome = await stage.ask(question, strategy="retrieve", context=text)
            assert outcome.answer.startswith("Enough"), outcome.reason
        question = f"What about {text[len(text) // 2 :].splitlines()[1]}"
        outcome = await stage.ask(question, mode="direct", strategy=None, context=text)
        assert outcome.answer == "direct answer"
        assert "material_left_out" in outcome.warnings

"""Models below a billion parameters read little, and the user is told; the smallest get one line and are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_core.backends.base import ChatMessage
from tests.conformance.stage import Actor, Stage
from tests.scripted.ollama_server import ScriptedModel
from tests.scripted.script import ChatRequest

FILLER = "".join(f"On day {n} somebody walked to the harbour and came back.\n" for n in range(900))
TEXT = f"{FILLER}The keeper of the pillar drill is Greta Sandoval.\n{FILLER}"
QUESTION = "Who is the keeper of the pillar drill?"
TINY = (ScriptedModel("smollm2:135m", parameters="134.52M"),)
SMALL = (ScriptedModel("qwen3:0.6b", parameters="751.63M"),)


async def test_a_tiny_model_reads_one_line_and_the_line_stands_in_the_answer(tmp_path: Path) -> None:
    actor = Actor(sub="It is Greta Sandoval.")
    async with Stage(actor, tmp_path, models=TINY) as stage:
        outcome = await stage.ask(QUESTION, strategy="retrieve", context=TEXT)
    (request,) = actor.requests("sub")
    assert "harbour" not in request.text
    assert outcome.answer == (
        "It is Greta Sandoval. [1]\n\nThe text says: “The keeper of the pillar drill is Greta Sandoval.” [1]"
    )
    (citation,) = outcome.ending.citations
    assert TEXT[citation.start : citation.end] == "The keeper of the pillar drill is Greta Sandoval."
    assert citation.verified


@pytest.mark.parametrize(
    "reply",
    [
        "It is Paloma Reyes.",
        "The keeper is the keeper.",
        "The keeper of the pillar drill is Greta Sandoval",
        "?",
    ],
)
async def test_what_a_tiny_model_makes_up_or_repeats_is_left_out(reply: str, tmp_path: Path) -> None:
    async with Stage(Actor(sub=reply), tmp_path, models=TINY) as stage:
        outcome = await stage.ask(QUESTION, strategy="retrieve", context=TEXT)
    assert outcome.answer == "The text says: “The keeper of the pillar drill is Greta Sandoval.” [1]"
    assert not outcome.partial


async def test_a_line_that_hardly_fits_is_called_the_nearest_there_is(tmp_path: Path) -> None:
    async with Stage(Actor(), tmp_path, models=TINY) as stage:
        outcome = await stage.ask(
            "Which painter lived near the harbour in winter?", strategy="retrieve", context=TEXT
        )
    assert outcome.answer.startswith("The material may not hold the answer.")
    assert "harbour" in outcome.answer
    assert outcome.usage.llm_calls == 0


async def test_a_small_model_reads_the_best_passages(tmp_path: Path) -> None:
    actor = Actor(synthesis="Greta Sandoval [1].")
    async with Stage(actor, tmp_path, models=SMALL) as stage:
        outcome = await stage.ask(QUESTION, strategy="retrieve", context=TEXT)
    (request,) = actor.requests("synthesis")
    assert "Greta Sandoval" in request.text
    assert "harbour" in request.text
    assert outcome.answer == "Greta Sandoval [1]."


@pytest.mark.parametrize("models", [TINY, SMALL])
async def test_a_question_about_everything_is_answered_with_a_warning(
    models: tuple[ScriptedModel, ...], tmp_path: Path
) -> None:
    async with Stage(Actor(synthesis="Many [1]."), tmp_path, models=models) as stage:
        outcome = await stage.ask(
            "How often did somebody walk to the harbour?", strategy="retrieve", context=TEXT
        )
    assert (
        outcome.answer == "Many [1]."
        if models is SMALL
        else "somebody walked to the harbour" in outcome.answer
    )
    assert "small_model" in outcome.warnings


async def test_without_a_passage_that_has_a_word_of_the_question_everything_is_read(tmp_path: Path) -> None:
    def read(request: ChatRequest) -> str:
        return "A zebra [1]." if "zebra" in request.text else "NONE"

    actor = Actor(map=read, synthesis="A zebra.")
    async with Stage(actor, tmp_path, models=SMALL) as stage:
        outcome = await stage.ask("Which animal?", strategy="retrieve", context="A zebra stood there.\n" * 3)
    assert outcome.answer.startswith("A zebra.")
    assert outcome.purposes == ["map", "synthesis"]


@pytest.mark.parametrize("question", ["Which animal?", "How many animals?"])
async def test_a_tiny_model_reads_nothing_that_has_no_word_of_the_question(
    question: str, tmp_path: Path
) -> None:
    async with Stage(Actor(direct="A zebra."), tmp_path, models=TINY) as stage:
        outcome = await stage.ask(question, strategy=None, context="A horse stood there.\n" * 3)
    assert outcome.purposes == ["direct"]
    assert (outcome.answer, outcome.warnings[-1]) == ("A zebra.", "nothing_fits")
    assert outcome.ending.coverage.startswith("nothing")


async def test_a_tiny_model_gets_one_line_of_a_short_text_too(tmp_path: Path) -> None:
    text = "The rent is 845 euros.\nThe keeper of the pillar drill is Greta Sandoval.\n"
    async with Stage(Actor(sub="It is Greta Sandoval."), tmp_path, models=TINY) as stage:
        outcome = await stage.ask(QUESTION, mode="auto", strategy=None, context=text)
    assert outcome.purposes == ["synthesis"]
    assert "a single line of the material" in " ".join(outcome.route.reasons)
    assert outcome.answer.startswith("It is Greta Sandoval. [1]")


async def test_a_tiny_model_summarises_a_short_text_directly(tmp_path: Path) -> None:
    async with Stage(Actor(), tmp_path, models=TINY) as stage:
        outcome = await stage.ask("Summarise this.", mode="auto", strategy=None, context="It rained.\n")
    assert outcome.route.decision == "direct"


@pytest.mark.parametrize("models", [TINY, SMALL])
async def test_a_long_text_that_has_nothing_to_do_with_the_message_is_not_read_in_vain(
    models: tuple[ScriptedModel, ...], tmp_path: Path
) -> None:
    actor = Actor(direct="Hello!")
    async with Stage(actor, tmp_path, models=models) as stage:
        outcome = await stage.ask("Say hello.", strategy="retrieve", context=TEXT)
    assert outcome.purposes == ["direct"]
    assert (outcome.answer, outcome.warnings[-1]) == ("Hello!", "nothing_fits")
    assert "harbour" not in actor.requests("direct")[0].text


async def test_a_tiny_model_is_not_tried_at_code(tmp_path: Path) -> None:
    async with Stage(Actor(sub="It is Greta Sandoval."), tmp_path, models=TINY) as stage:
        outcome = await stage.ask(QUESTION, strategy=None, context=TEXT)
    assert outcome.purposes == ["synthesis"]
    assert outcome.route.strategy == "retrieve"
    assert outcome.route.reasons[-1].startswith("smollm2:135m is too small to write code")


TABLE = "Item | Room | Value\nPiano | Hall | 12400\nOven | Kitchen | 899\nDishwasher | Kitchen | 649\n"


@pytest.mark.parametrize("models", [TINY, SMALL])
async def test_what_code_works_out_of_a_table_needs_no_model(
    models: tuple[ScriptedModel, ...], tmp_path: Path
) -> None:
    async with Stage(Actor(), tmp_path, models=models) as stage:
        outcome = await stage.ask("How many items are in the kitchen?", strategy="retrieve", context=TABLE)
    assert outcome.answer.startswith("Worked out by code: 2 of the 3 rows of")
    assert outcome.usage.llm_calls == 0
    assert [TABLE[c.start : c.end] for c in outcome.ending.citations] == [
        "Oven | Kitchen | 899",
        "Dishwasher | Kitchen | 649",
    ]
    assert outcome.ending.coverage == "all of the table, by code"
    assert "small_model" not in outcome.warnings


async def test_lines_with_a_name_are_counted_by_code_when_no_line_answers(tmp_path: Path) -> None:
    text = "From: Lena\nHello.\nFrom: Tom\nHello.\nFrom: Lena\nBye.\n"
    async with Stage(Actor(), tmp_path, models=TINY) as stage:
        outcome = await stage.ask("How many mails are from Lena?", strategy="retrieve", context=text)
    assert outcome.answer.startswith("Worked out by code: “Lena” stands on 2 lines of")
    assert outcome.usage.llm_calls == 0


async def test_a_follow_up_about_a_table_goes_on_with_the_question_before(tmp_path: Path) -> None:
    async with Stage(Actor(), tmp_path, models=TINY) as stage:
        first = await stage.ask(
            "How many items are in the kitchen?", strategy=None, mode="auto", context=TABLE
        )
        said = [
            ChatMessage("user", "What is the total value of all items?"),
            ChatMessage("assistant", "13,948"),
        ]
        second = await stage.ask("And the average?", strategy=None, mode="auto", context=TABLE, history=said)
    assert "2 of the 3 rows" in first.answer
    assert "The average of Value over all 3 rows" in second.answer

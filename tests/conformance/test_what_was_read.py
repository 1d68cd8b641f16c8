"""A question about everything reads everything, or what bounds it or fits best; the answer says what was read."""

from __future__ import annotations

from pathlib import Path

from rlm_core.events import TurnStartedEvent
from tests.conformance.stage import Actor, Stage
from tests.scripted.script import ChatRequest

ENTRIES = [f"Entry {n}: on day {n} the crew mended sail number {n % 7} near the ice." for n in range(900)]
LATE = 700
TEXT = "\n".join([*ENTRIES[:LATE], "Entry W: three whales blew in the bay.", *ENTRIES[LATE:]])


def whales(request: ChatRequest) -> str:
    return "whales | - | 3" if "whales blew" in request.text else "NONE"


async def test_all_of_it_is_read_when_the_calls_suffice(tmp_path: Path) -> None:
    actor = Actor(map=whales, synthesis="3 whales.")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("How many whales were seen?", strategy="retrieve", context=TEXT)
    parts = len(actor.requests("map"))
    assert outcome.ending.coverage == f"all {parts} parts of the material"
    assert outcome.of(TurnStartedEvent)[-1].title == f"reading all {parts} parts of the material"
    assert not outcome.partial


async def test_of_too_much_the_parts_are_read_that_fit_the_question(tmp_path: Path) -> None:
    actor = Actor(map=whales, synthesis="3 whales.")
    async with Stage(actor, tmp_path, window=2048, limits={"max_llm_calls": 6}) as stage:
        outcome = await stage.ask("How many whales were seen?", strategy="retrieve", context=TEXT)
    assert any("whales blew" in request.text for request in actor.requests("map"))
    assert "1 item, sum 3" in actor.requests("synthesis")[-1].text
    assert outcome.ending.coverage.endswith("parts that fit the question best")
    assert outcome.reason == f"Only {outcome.ending.coverage} could be read."
    assert "not_all_read" in outcome.warnings


async def test_words_in_quotation_marks_bound_what_is_read(tmp_path: Path) -> None:
    actor = Actor(map=whales, synthesis="Once.")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("How often does “whales blew” occur?", strategy="retrieve", context=TEXT)
    assert len(actor.requests("map")) == 1
    assert "that hold “whales blew” (found 1 time)" in actor.requests("synthesis")[-1].text
    assert outcome.ending.coverage.startswith("the 1 of ")
    assert not outcome.partial


async def test_an_answer_from_the_best_passages_says_so_and_names_further_searches(tmp_path: Path) -> None:
    said = iter(["SEARCH: whales", "SEARCH: whales", "The crew [1] saw three whales [2]."])
    actor = Actor(map="the crew mended sails [1]", synthesis=lambda request: next(said))
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("What did the crew mend?", strategy="retrieve", context=TEXT)
    assert outcome.ending.coverage.startswith("the 12 passages that fit the question best and ")
    assert outcome.ending.coverage.endswith("found for “whales”")


async def test_an_answer_in_code_has_the_whole_material_open(tmp_path: Path) -> None:
    async with Stage(Actor(direct="Hello."), tmp_path) as stage:
        outcome = await stage.ask("Hello", mode="direct")
    assert outcome.ending.coverage == ""


async def test_what_was_searched_in_vain_is_read_again_as_a_whole_under_its_number(tmp_path: Path) -> None:
    said = iter(["NONE", "A zebra [1]."])
    actor = Actor(map="a zebra | - | -", synthesis=lambda request: next(said))
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(
            "What stood there?", strategy="retrieve", context="A striped horse stood there."
        )
    (request,) = actor.requests("map")
    assert "[1] A striped horse stood there." in request.text
    assert outcome.ending.coverage == "all of the material"
    assert [citation.text for citation in outcome.ending.citations] == ["A striped horse stood there."]

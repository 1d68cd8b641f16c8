"""How a run ends: with what the REPL holds, to the letter, and never by accident."""

from pathlib import Path

import pytest

from rlm_core.events import OutputEvent, TokenEvent
from tests.conformance.stage import Actor, Says, Stage, fence, finish
from tests.scripted.script import Reply

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"
COUNT = fence('n = context.count("ERROR")\nprint("counted", n)')

FINALS = {
    "the answer dict": (finish('f"{n} errors"'), "2 errors"),
    "the answer dict rebound": (fence('answer = {"content": f"{n} errors", "ready": True}'), "2 errors"),
    "FINAL": (fence("FINAL(n)"), "2"),
    "FINAL without a fence": ("FINAL(n)", "2"),
    "FINAL with a number": (fence("FINAL(42)"), "42"),
    "FINAL_VAR with a name": (fence('FINAL_VAR("n")'), "2"),
    "FINAL_VAR with the variable": (fence("FINAL_VAR(n)"), "2"),
    "FINAL_VAR without a fence": ("FINAL_VAR(n)", "2"),
    "FINAL_VAR behind prose": ("I have counted them.\n\nFINAL_VAR(n)", "2"),
    "FINAL as text": ("FINAL(two errors (disk and net) are there)", "two errors (disk and net) are there"),
    "FINAL as text in a fence": (fence("FINAL(two errors are there)"), "two errors are there"),
    "FINAL with several lines": (fence('FINAL("a\\nb")'), "a\nb"),
    "FINAL as text over two lines": ("FINAL(two errors:\ndisk, net)", "two errors:\ndisk, net"),
    "a tuple": (fence("FINAL((n, 'errors'))"), "(2, 'errors')"),
    "nothing in particular": (fence("FINAL(None)"), "None"),
    "white space and braces, verbatim": (finish('"  {x} **2**\\n"'), "  {x} **2**\n"),
    "a huge value": (finish('"ab" * 200_000'), "ab" * 200_000),
}


@pytest.mark.parametrize("form", FINALS)
async def test_the_answer_is_what_the_repl_holds(form: str, tmp_path: Path) -> None:
    reply, expected = FINALS[form]
    actor = Actor(root=[COUNT, reply])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == expected
    assert not outcome.partial
    assert "".join(event.text for event in outcome.of(TokenEvent)) == expected
    assert outcome.purposes == ["root", "root"], "no further call rewrites the answer"


NOT_FINAL: dict[str, tuple[Says, str]] = {
    "an answer in a cell that raises": (
        fence('answer["content"] = "wrong"\nanswer["ready"] = True\n1 / 0'),
        "ZeroDivisionError",
    ),
    "FINAL in a cell that raises": (fence('FINAL("wrong")\n1 / 0'), "ZeroDivisionError"),
    "a final behind code that was not seen yet": (
        COUNT + "\nOutput: counted 9\n" + fence('FINAL("9 errors")'),
        "was not used",
    ),
    "an answer behind imagined output": (
        COUNT + "\nOutput: counted 9\n" + finish('"9 errors"'),
        "was not used",
    ),
    "a text final behind code": (COUNT + "\nOutput: counted 9\n\nFINAL(9 errors)", "was not used"),
    "FINAL_VAR of a name that is not there": (fence('FINAL_VAR("total")'), "no variable"),
    "talk about a final": ('I could say FINAL("x") at the end.', "Nothing was run"),
    "ready without content": (fence('answer["ready"] = True\nprint("empty")'), "empty"),
}


@pytest.mark.parametrize("form", NOT_FINAL)
async def test_this_is_not_taken_for_an_answer(form: str, tmp_path: Path) -> None:
    reply, told = NOT_FINAL[form]
    actor = Actor(root=[fence("n = 0"), reply, fence('n = context.count("ERROR")'), finish('f"{n} errors"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "2 errors"
    assert told in actor.requests("root")[2].last


async def test_a_text_answer_before_anything_was_looked_at_is_refused(tmp_path: Path) -> None:
    actor = Actor(root=["FINAL(there are nine)", COUNT, finish('f"{n} errors"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "2 errors"
    assert "before any code ran" in actor.requests("root")[1].last


PLANS = [
    "I will first search the context for errors and then count them.",
    "First, I need to look at the log. Then I will count.",
    "Let me look at the context first.",
    "Plan: 1. search 2. count",
]


@pytest.mark.parametrize("plan", PLANS)
async def test_a_plan_as_final_is_not_an_answer(plan: str, tmp_path: Path) -> None:
    actor = Actor(root=[finish(repr(plan)), COUNT, finish('f"{n} errors"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "2 errors"
    assert "plan" in actor.requests("root")[1].last


async def test_an_answer_that_only_sounds_like_a_plan_is_taken_when_the_model_insists(tmp_path: Path) -> None:
    words = "Let me be brief: there are two."
    actor = Actor(root=[finish(repr(words)), finish(repr(words))])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == words


async def test_a_reply_whose_content_is_null_is_an_empty_reply(tmp_path: Path) -> None:
    actor = Actor(
        root=[
            Reply(content_null=True),
            Reply(thinking="hm, long thoughts", content_null=True),
            finish("len(context)"),
        ]
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == str(len(CONTEXT))
    assert "it was empty" in actor.requests("root")[1].last


async def test_a_model_that_never_writes_code_gives_its_words_as_a_partial_answer(tmp_path: Path) -> None:
    actor = Actor(root=["There are two.", "As I said: two.", "Two errors, really."])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "Two errors, really."
    assert outcome.partial
    assert "did not write any code" in outcome.reason


async def test_an_empty_context_may_be_answered_at_once(tmp_path: Path) -> None:
    actor = Actor(root=["FINAL(the capital is Paris)"])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("What is the capital of France?")
    assert outcome.answer == "the capital is Paris"


async def test_a_draft_is_kept_and_shown_in_the_trace(tmp_path: Path) -> None:
    actor = Actor(root=[fence('answer["content"] = "about two"'), finish('"two"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "two"
    assert [event.final for event in outcome.of(OutputEvent)] == [False, True]

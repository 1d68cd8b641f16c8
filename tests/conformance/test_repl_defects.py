"""The defects that were measured in other implementations, each as a trajectory that must end well."""

import os
import sys
import time
from pathlib import Path

import pytest

from rlm_core.events import ModelCallFinishedEvent, OutputEvent
from tests.conformance.stage import Actor, Stage, fence, finish
from tests.scripted.script import ChatRequest

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"

CASES: dict[str, tuple[list[str], str]] = {
    "stale closures": (
        [fence("x = 1\ndef f():\n    return x"), fence("x = 2"), finish("str(f())")],
        "2",
    ),
    "a function that calls another one defined later": (
        [fence("def a():\n    return b()"), fence("def b():\n    return 'later'"), finish("a()")],
        "later",
    ),
    "recursion": (
        [fence("def fact(n):\n    return 1 if n < 2 else n * fact(n - 1)"), finish("str(fact(6))")],
        "720",
    ),
    "classes": (
        [fence("class Counter:\n    def __init__(self):\n        self.n = 0\n    def add(self):\n        self.n += 1\nc = Counter()\nc.add()"), finish("str(c.n)")],
        "1",
    ),
    "exceptions by name": (
        [fence("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    caught = str(error)"), finish("caught")],
        "division by zero",
    ),
    "a cell that raises keeps its variables": (
        [fence("before = 7\nboom = 1 / 0\nafter = 8"), finish("str(before)")],
        "7",
    ),
    "private names persist": ([fence("_secret = 5"), finish("str(_secret)")], "5"),
    "sys.exit": ([fence("import sys\nn = 3\nsys.exit(1)"), fence("n = 4"), finish("str(n)")], "4"),
    "raise SystemExit": ([fence("n = 3\nraise SystemExit"), finish("str(n)")], "3"),
    "raise KeyboardInterrupt": ([fence("n = 3\nraise KeyboardInterrupt"), finish("str(n)")], "3"),
    "raise BaseException": ([fence("n = 3\nraise BaseException('x')"), finish("str(n)")], "3"),
    "exit()": ([fence("n = 3\nexit()"), finish("str(n)")], "3"),
    "context overwritten": ([fence('context = "gone"'), finish("str(len(context))")], str(len(CONTEXT))),
    "llm_query overwritten": ([fence("llm_query = 5"), finish('llm_query("hi")')], "sub"),
    "answer overwritten": ([fence('answer = "x"'), finish('"fine"')], "fine"),
    "the last expression is echoed once": (
        [fence("calls = []\ndef tick():\n    calls.append(1)\n    return len(calls)\ntick()"), finish("str(len(calls))")],
        "1",
    ),
    "an expression over several lines": ([fence("[\n  line\n  for line in context.splitlines()\n][0]"), finish('"ok"')], "ok"),
    "await on a plain result": ([fence('text = await llm_query("hi")'), finish("text")], "sub"),
    "asyncio.run around a call": (
        [fence('import asyncio\ntext = asyncio.run(llm_query("hi"))'), finish("text")],
        "sub",
    ),
    "an import of the official package": ([fence("from rlm import llm_query"), finish('llm_query("hi")')], "sub"),
    "FINAL in two cells of one reply": (
        [fence("n = 1") + "\n" + fence("FINAL(n)"), ],
        "1",
    ),
    "braces in everything": ([fence('d = {"a": {1, 2}}\nprint(f"{d} {{x}}")'), finish('"{0} %s"')], "{0} %s"),
    "assignment to an item": ([fence("x = [1, 2]\nx[0] = 5\nx[1] += 1"), finish("str(x)")], "[5, 3]"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_ends_well(case: str, tmp_path: Path) -> None:
    replies, expected = CASES[case]
    actor = Actor(root=replies)
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == expected, outcome.shown
    assert not outcome.partial


async def test_an_error_shows_its_line_and_what_was_printed_before_it(tmp_path: Path) -> None:
    actor = Actor(root=[fence('print("before")\nnumbers = [1, 2]\nprint(numbers[5])'), finish('"ok"')])
    async with Stage(actor, tmp_path) as stage:
        await stage.ask(context=CONTEXT)
    told = actor.requests("root")[1].last
    assert "before" in told
    assert "IndexError" in told
    assert "print(numbers[5])" in told


async def test_a_cell_without_output_is_told_so(tmp_path: Path) -> None:
    actor = Actor(root=[fence("n = 1"), finish("str(n)")])
    async with Stage(actor, tmp_path) as stage:
        await stage.ask(context=CONTEXT)
    assert "no output" in actor.requests("root")[1].last


async def test_an_endless_cell_is_stopped_and_the_work_goes_on(tmp_path: Path) -> None:
    actor = Actor(root=[fence("n = 1\nwhile True:\n    pass"), finish("str(n)")])
    async with Stage(actor, tmp_path, repl={"seconds": 0.5}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "1"
    assert "0.5 s" in actor.requests("root")[1].last


async def test_the_time_limit_of_a_cell_does_not_count_the_time_of_model_calls(tmp_path: Path) -> None:
    def slow(request: ChatRequest) -> str:
        time.sleep(1.2)  # longer than a cell may compute
        return "late"

    actor = Actor(root=[fence('text = llm_query("hi")'), finish("text")], sub=slow)
    async with Stage(actor, tmp_path, repl={"seconds": 0.6}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "late"


async def test_parallel_children_keep_their_output_apart(tmp_path: Path) -> None:
    def child_or_root(request: ChatRequest) -> str:
        first = request.messages[1].content
        if "Question: child" not in first:
            if len(request.messages) == 2:
                return fence(
                    'found = rlm_query_batched(["child %d" % n for n in range(4)], '
                    '["text of child %d" % n for n in range(4)])'
                )
            return finish('" / ".join(found)')
        number = first.split("Question: child ")[1][0]
        if len(request.messages) == 2:
            return fence(f"for n in range(40):\n    print('child {number} line', n)")
        lines = [line for line in request.last.splitlines() if " line " in line]
        assert len(lines) == 40
        assert all(line.startswith(f"child {number} ") for line in lines)
        return finish(f"context + ' seen {len(lines)}'")

    stdout, directory = sys.stdout, os.getcwd()
    actor = Actor(root=[child_or_root] * 20)
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("root", context="root text")
    assert outcome.answer == " / ".join(f"text of child {n} seen 40" for n in range(4))
    assert sys.stdout is stdout
    assert os.getcwd() == directory


async def test_a_context_of_100_mb_stays_a_variable(tmp_path: Path) -> None:
    context = "line with nothing\n" * 5_600_000 + "the needle is 4711\n"
    actor = Actor(
        root=[
            fence("print(len(context)); print(context[:50])"),
            fence('hit = search("needle", k=1)[0]; print(hit.text[-200:])'),
            fence('import re\nFINAL(re.search(r"needle is (\\d+)", context)[1])'),
        ]
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("What is the needle?", context=context)
        assert stage.server.largest_prompt < 2_500
    assert outcome.answer == "4711"
    assert f"{len(context)}" in actor.requests("root")[1].last
    assert outcome.ending.citations, "the line with the answer is its evidence"
    trace = (tmp_path / "traces").glob("*.jsonl")
    assert sum(file.stat().st_size for file in trace) < 100_000


async def test_printed_output_is_cut_in_the_middle_and_whole_in_the_trace(tmp_path: Path) -> None:
    actor = Actor(root=[fence('print("head " + "x" * 30_000 + " tail")'), finish('"ok"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    told = actor.requests("root")[1].last
    assert len(told) < 5_000
    assert "head" in told
    assert "tail" in told
    assert "cut" in told
    output = outcome.of(OutputEvent)[0]
    assert output.chars == len(output.output) == 30_011


async def test_the_history_holds_the_reply_only_up_to_its_code(tmp_path: Path) -> None:
    actor = Actor(root=[f"I count.\n{fence('n = 1')}\nOutput: 99\nSo it is 99.", finish("str(n)")])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    history = actor.requests("root")[1].messages
    assert "99" not in history[2].content
    assert outcome.of(ModelCallFinishedEvent)[0].reply.endswith("So it is 99."), "the trace has all of it"

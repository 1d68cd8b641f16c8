"""What the model is told: short, and true."""

import re
from pathlib import Path

import pytest

from rlm_core import prompts
from rlm_core.context import Material
from tests.conformance.stage import Actor, Stage, fence, finish
from tests.scripted.script import ChatRequest, count

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"


def longest_system(window: int = 131_072) -> str:
    sizes = prompts.LoopSizes(window=window, output_chars=100_000, prompt_chars=400_000, calls_left=100_000)
    return prompts.loop_system(
        sizes,
        children=True,
        tables=["orders(id, customer, amount)", "customers(id, name, town)"],
        memory=True,
    )


def test_the_system_prompt_of_the_loop_has_at_most_900_tokens() -> None:
    assert count(longest_system()) <= 900


def test_it_shows_two_examples_and_how_to_finish_in_blocks_that_are_python() -> None:
    for calls in (0, 400_000):
        sizes = prompts.LoopSizes(window=8192, output_chars=4_000, prompt_chars=calls, calls_left=20)
        system = prompts.loop_system(sizes, children=calls > 0, tables=[], memory=False)
        blocks = re.findall(r"```repl\n(.*?)\n```", system, re.DOTALL)
        assert system.count("Example (") == 2
        assert len(blocks) == 3
        for block in blocks:
            compile(block, "<prompt>", "exec")


async def test_eleven_requests_of_a_loop_send_fewer_characters_than_those_of_a_peer(tmp_path: Path) -> None:
    """recursive-llm 0.5 sends 21,615 over the same turns (benchmarks/README.md)."""
    cells = [fence(f"print(len(context) + {number})") for number in range(10)]
    actor = Actor(root=[*cells, finish('"done"')])
    async with Stage(actor, tmp_path, window=131_072, limits={"max_iterations": 40}) as stage:
        outcome = await stage.ask("How long is the context?", strategy="loop", context=CONTEXT * 25)
    sent = sum(len(m.content) for request in actor.requests("root") for m in request.messages)
    assert outcome.answer == "done"
    assert len(actor.requests("root")) == 11
    assert 11_000 < sent < 21_600


@pytest.mark.parametrize("window", [2048, 8192, 32_768])
async def test_it_states_the_true_sizes(window: int, tmp_path: Path) -> None:
    actor = Actor(root=[finish('"x"')])
    async with Stage(actor, tmp_path, window=window, limits={"max_llm_calls": 21}) as stage:
        await stage.ask(context=CONTEXT)
    system = actor.requests("root")[0].system
    assert f"{window:,} tokens" in system
    assert "20 calls" in system


async def test_a_prompt_of_the_stated_size_is_accepted(tmp_path: Path) -> None:
    seen: list[int] = []

    def first(request: ChatRequest) -> str:
        found = re.search(r"at most ([\d,]+) characters", request.system)
        assert found is not None
        size = int(found[1].replace(",", ""))
        seen.append(size)
        return fence(f"FINAL(llm_query((context * 50)[:{size}]))")

    prose = "The crew met several whales near the ice shelf and wrote it down. " * 100
    actor = Actor(root=[first], sub="accepted")
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=prose)
    assert outcome.answer == "accepted"
    assert seen[0] > 10_000


async def test_the_context_itself_is_never_in_a_root_prompt(tmp_path: Path) -> None:
    secret = "the-secret-passage " * 5_000
    actor = Actor(root=[fence("print(len(context))"), finish('"x"')])
    async with Stage(actor, tmp_path) as stage:
        await stage.ask(context=secret)
    assert all("the-secret-passage" not in request.text for request in actor.requests("root"))
    assert f"{len(secret):,} characters" in actor.requests("root")[0].last


async def test_several_documents_are_named_and_found_in_the_repl(tmp_path: Path) -> None:
    materials = [Material("lease.txt", "The rent is 1,250."), Material("log.txt", CONTEXT)]
    actor = Actor(
        root=[
            fence(
                'print([d.name for d in documents], documents[1].text.count("ERROR"), context[documents[0].start:documents[0].end])'
            ),
            finish("documents[0].text"),
        ]
    )
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(documents=materials)
    assert outcome.answer == "The rent is 1,250."
    assert "['lease.txt', 'log.txt'] 2 The rent is 1,250." in outcome.shown
    assert "lease.txt, log.txt" in actor.requests("root")[0].last
    assert outcome.ending.citations[0].document == "lease.txt"


async def test_a_quarter_of_the_window_is_the_most_that_one_output_takes(tmp_path: Path) -> None:
    actor = Actor(root=[fence('print("word " * 50_000)'), finish('"x"')])
    async with Stage(actor, tmp_path, window=2048, repl={"output_chars": 200_000}) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert count(actor.requests("root")[1].last) <= 2048 // 4
    assert outcome.answer == "x"

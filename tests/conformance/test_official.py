"""The same trajectories through the official ``rlms`` package give the same answers, and its visualizer can read ours.

Only trajectories that the official protocol knows: ``repl`` fences and the ``answer`` dict (its parser takes nothing else),
text inputs, no state after a cell that raised.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from rlm import RLM
from rlm.core.types import RLMChatCompletion
from rlm.logger import RLMLogger

from rlm_core import RLMEngine, Settings
from rlm_core.budget import CancelToken
from rlm_core.export import export_official
from tests.conformance.stage import Actor, Outcome, Stage, check_events, fence, finish
from tests.scripted.openai_server import ScriptedOpenAI
from tests.scripted.script import ChatRequest

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"

TRAJECTORIES: dict[str, tuple[list[str], str]] = {
    "look, count, finish": (
        [fence("print(context[:20])"), fence('n = context.count("ERROR")\nprint(n)'), finish('f"{n} errors"')],
        "2 errors",
    ),
    "finish at once with a computed value": ([finish('str(context.count("INFO"))')], "2"),
    "variables over turns": ([fence("a = [1]"), fence("a.append(2)"), fence("b = sum(a)"), finish("str(b)")], "3"),
    "several blocks in one reply": ([fence("x = 20") + "\nthen\n" + fence("y = x + 1"), finish("str(y)")], "21"),
    "an error that is corrected": (
        [fence("print(lines[0])"), fence("lines = context.splitlines()"), finish("lines[1]")],
        "ERROR disk",
    ),
    "prose first": (["I will count the errors.", finish('str(context.count("ERROR"))')], "2"),
    "a sub-call": ([fence('text = llm_query("shout: " + context[:4])\nprint(text)'), finish("text")], "SHOUT: INFO"),
    "a batch": (
        [fence('texts = llm_query_batched([f"item {n}" for n in range(5)])'), finish('", ".join(texts)')],
        "ITEM 0, ITEM 1, ITEM 2, ITEM 3, ITEM 4",
    ),
    "a draft that is finished later": (
        [fence('answer["content"] = "about two"'), fence('answer["content"] += ", exactly two"\nanswer["ready"] = True')],
        "about two, exactly two",
    ),
    "an answer of many lines": ([finish('"\\n".join(context.splitlines())')], CONTEXT.strip()),
    "rlm_query at the depth limit is a plain call": (
        [fence('text = rlm_query("whisper")'), finish("text")],
        "WHISPER",
    ),
    "a loop of sub-calls": (
        [fence("found = []\nfor line in context.splitlines():\n    found.append(llm_query(line))"), finish('found[-1]')],
        "ERROR NET",
    ),
}  # fmt: skip


def model(replies: list[str]) -> Any:
    """Root calls have a system message, sub-calls do not: in both engines."""
    said = iter(replies)

    def say(request: ChatRequest) -> str:
        return next(said) if len(request.messages) > 1 else request.last.upper()

    return say


def ask_official(url: str, **options: Any) -> RLMChatCompletion:
    official = RLM(
        backend="openai",
        backend_kwargs={"model_name": "scripted", "base_url": url, "api_key": "none"},
        environment="local",
        max_iterations=12,
        **options,
    )
    return official.completion(CONTEXT, root_prompt="How many errors are there?")


async def ask_ours(url: str, home: Path) -> Outcome:
    settings = Settings().changed(
        {
            "backend": "openai",
            "base_url": url,
            "models": {"fast": "scripted", "tools": "scripted", "quality": "scripted"},
            "limits": {"max_depth": 1},
        }
    )
    engine = RLMEngine(settings, data_dir=home)
    events = [
        event
        async for event in engine.process_message(
            "How many errors are there?",
            context=CONTEXT,
            mode="recursive",
            strategy="loop",
            cancel=CancelToken(),
        )
    ]
    await engine.close()
    outcome = Outcome(tuple(events))
    check_events(outcome)
    return outcome


@pytest.mark.parametrize("name", TRAJECTORIES)
async def test_the_official_engine_gives_the_same_answer_to(name: str, tmp_path: Path) -> None:
    replies, expected = TRAJECTORIES[name]
    with ScriptedOpenAI(model(replies), window=32_768) as server:
        official = await asyncio.to_thread(ask_official, server.url)
        official_calls = len(server.requests)
    with ScriptedOpenAI(model(replies), window=32_768) as server:
        ours = await ask_ours(server.url, tmp_path)
        assert len(server.requests) == official_calls
    assert official.response == expected
    assert ours.answer == expected


def shape(value: Any) -> Any:
    """Which keys there are, at every level; the values of lists are merged."""
    if isinstance(value, dict):
        return {key: None if key in OPEN else shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        merged: Any = None
        for item in value:
            merged = _merge(merged, shape(item))
        return [merged]
    return None


OPEN = {"backend_kwargs", "environment_kwargs", "locals", "model_usage_summaries"}
"""Objects whose keys are data."""


def _merge(first: Any, second: Any) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: _merge(first.get(key), second.get(key)) for key in {**first, **second}}
    return second if first is None else first


async def test_our_export_has_the_shape_of_the_official_log(tmp_path: Path) -> None:
    replies, _ = TRAJECTORIES["a sub-call"]
    with ScriptedOpenAI(model(replies), window=32_768) as server:
        logger = RLMLogger(log_dir=str(tmp_path / "log"))
        await asyncio.to_thread(ask_official, server.url, logger=logger)
    with ScriptedOpenAI(model(replies), window=32_768) as server:
        ours = await ask_ours(server.url, tmp_path)
    (log,) = (tmp_path / "log").glob("*.jsonl")
    official = [json.loads(line) for line in log.read_text().splitlines()]
    exported = json.loads(json.dumps(export_official(ours.events)))
    assert [line["type"] for line in exported] == [line["type"] for line in official]
    for mine, theirs in zip(exported, official, strict=True):
        assert shape(mine) == shape(theirs)
    assert exported[0]["root_model"] == "scripted"
    assert exported[-1]["final_answer"] == official[-1]["final_answer"] == ours.answer
    assert [line["response"] for line in exported[1:]] == [line["response"] for line in official[1:]]
    assert [b["code"].strip() for line in exported[1:] for b in line["code_blocks"]] == [
        b["code"].strip() for line in official[1:] for b in line["code_blocks"]
    ]
    call = exported[1]["code_blocks"][0]["result"]["rlm_calls"][0]
    assert RLMChatCompletion.from_dict(call).response == "SHOUT: INFO"
    assert [len(line["prompt"]) for line in exported[1:]] == [2, 4], "the whole prompt of every turn"


async def test_children_are_exported_with_their_own_trajectories(tmp_path: Path) -> None:
    def anyone(request: ChatRequest) -> str:
        opening = request.messages[1].content
        if "Question: child" in opening:
            name = opening.split("Question: child ")[1][0]
            return fence(f"print('looking', {name!r})") if len(request.messages) == 2 else finish(f"{name!r}")
        return finish('"".join(rlm_query_batched(["child a", "child b"], ["text a", "text b"]))')

    actor = Actor(root=[anyone] * 9)
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask("root", context=CONTEXT)
    exported = export_official(outcome.events)
    assert outcome.answer == "ab"
    assert len(exported) == 2
    children = exported[1]["code_blocks"][0]["result"]["rlm_calls"]
    assert len(children) == 2
    for child, name in zip(children, "ab", strict=True):
        iterations = child["metadata"]["iterations"]
        assert [line["iteration"] for line in iterations] == [1, 2]
        assert iterations[0]["code_blocks"][0]["result"]["stdout"] == f"looking {name}\n"
        assert f"child {name}" in child["prompt"]
        assert child["response"] == name
        assert iterations[-1]["final_answer"] == name
        assert iterations[-1]["code_blocks"][0]["result"]["final_answer"] == name
        assert (
            RLMChatCompletion.from_dict(child).usage_summary.model_usage_summaries["glm-z1:9b"].total_calls
            == 2
        )


async def test_every_strategy_can_be_exported(tmp_path: Path) -> None:
    plan = '{"sub_tasks": [{"id": 1, "type": "llm_call", "input": "think", "depends_on": []}], "synthesis_strategy": "x"}'
    actor = Actor(direct="Hi", plan=[plan], synthesis="Two [1].", map="two [1]")
    async with Stage(actor, tmp_path) as stage:
        for mode, strategy in (("direct", None), ("recursive", "plan"), ("recursive", "retrieve")):
            outcome = await stage.ask("What about the disk?", mode=mode, strategy=strategy, context=CONTEXT)
            lines = json.loads(json.dumps(export_official(outcome.events)))
            assert [line["type"] for line in lines] == ["metadata", *["iteration"] * (len(lines) - 1)]
            assert lines[-1]["final_answer"] == outcome.answer
            assert lines[-1]["response"]
            saved = stage.engine.trace(outcome.ending.message_id)
            assert export_official(saved)[1:] == export_official(outcome.events)[1:], (
                "a saved trace is enough"
            )


def test_no_events_are_no_log() -> None:
    assert export_official([]) == []

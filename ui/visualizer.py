"""A trace as the official ``rlm`` package logs a run, so that its visualizer can read it.

That format knows turns of one loop and the calls under them; what it has no place for (routes, plans, citations) stays out.
Format: rlm/logger/rlm_logger.py and rlm/core/types.py of github.com/alexzhang13/rlm.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rlm_core.events import (
    AnswerEvent,
    CodeEvent,
    Event,
    ModelCallStartedEvent,
    OutputEvent,
    TurnStartedEvent,
)
from ui.steps import seconds_of
from ui.tree import Node, grow


def as_visualizer_log(events: Sequence[Event]) -> str:
    """JSON lines: one of metadata, then one for each turn of the root."""
    roots = grow(events)
    turns = [node for node in roots if isinstance(node.event, TurnStartedEvent)]
    calls = [
        node.event for root in roots for node in root.walk() if isinstance(node.event, ModelCallStartedEvent)
    ]
    answer = next((event.text for event in reversed(events) if isinstance(event, AnswerEvent)), None)
    first = turns[0].event if turns else None
    lines: list[dict[str, Any]] = [
        {
            "type": "metadata",
            "timestamp": _iso(events[0].ts if events else 0.0),
            "root_model": calls[0].model if calls else "",
            "max_depth": first.depth if isinstance(first, TurnStartedEvent) else 0,
            "max_iterations": first.of if isinstance(first, TurnStartedEvent) else 1,
            "backend": "localrlm",
            "backend_kwargs": {},
            "environment_type": "local",
            "environment_kwargs": {},
            "other_backends": None,
        }
    ]
    prompt: list[dict[str, str]] = []
    for number, node in enumerate(turns or _only_call(roots), start=1):
        prompt = _prompt(node, prompt)
        last = number == max(len(turns), 1)
        lines.append(_iteration(number, node, prompt, answer if last else None))
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _only_call(roots: Sequence[Node]) -> list[Node]:
    """A direct answer is one iteration without code."""
    return [node for node in roots if isinstance(node.event, ModelCallStartedEvent)][-1:]


def _iteration(number: int, node: Node, prompt: list[dict[str, str]], answer: str | None) -> dict[str, Any]:
    own = _own_call(node)
    return {
        "type": "iteration",
        "iteration": number,
        "timestamp": _iso(node.event.ts),
        "prompt": prompt,
        "response": own.finished.reply if own is not None and own.finished is not None else "",
        "code_blocks": [
            _block(child, answer) for child in node.children if isinstance(child.event, CodeEvent)
        ],
        "final_answer": answer,
        "iteration_time": round(seconds_of(node), 3),
    }


def _own_call(node: Node) -> Node | None:
    """The call of the root model that opened the turn."""
    if isinstance(node.event, ModelCallStartedEvent):
        return node
    return next((child for child in node.children if isinstance(child.event, ModelCallStartedEvent)), None)


def _prompt(node: Node, before: list[dict[str, str]]) -> list[dict[str, str]]:
    """The whole list of messages: the trace keeps only what is new since the call before."""
    own = _own_call(node)
    if own is None or not isinstance(own.event, ModelCallStartedEvent):
        return before
    fresh = [{"role": part.role, "content": part.text} for part in own.event.prompt]
    return before[: own.event.same_prefix] + fresh


def _block(node: Node, answer: str | None) -> dict[str, Any]:
    assert isinstance(node.event, CodeEvent)
    output = next((child.event for child in node.children if isinstance(child.event, OutputEvent)), None)
    calls = [inner for inner in node.walk() if isinstance(inner.event, ModelCallStartedEvent)]
    return {
        "code": node.event.code,
        "result": {
            "stdout": output.output if output else "",
            "stderr": (output.error or "") if output else "",
            "locals": {},
            "execution_time": output.seconds if output else 0.0,
            "rlm_calls": [_call(call) for call in calls],
            "final_answer": answer if output is not None and output.final else None,
        },
    }


def _call(node: Node) -> dict[str, Any]:
    started, finished = node.event, node.finished
    assert isinstance(started, ModelCallStartedEvent)
    tokens_in, tokens_out = (finished.tokens_in, finished.tokens_out) if finished else (0, 0)
    usage = {"total_calls": 1, "total_input_tokens": tokens_in, "total_output_tokens": tokens_out}
    return {
        "root_model": started.model,
        "prompt": "\n\n".join(part.text for part in started.prompt),
        "response": finished.reply if finished else "",
        "usage_summary": {"model_usage_summaries": {started.model: usage}},
        "execution_time": finished.seconds if finished else 0.0,
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()

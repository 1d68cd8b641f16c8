"""A trace in the format that the official ``rlm`` package logs, for its visualizer.

That format knows a metadata line and iterations: a prompt, a response, code blocks with their output, and under a code
block the calls it made, with whole trajectories of children. What it has no place for (routes, recall, citations) stays
out; a direct answer, a plan's steps and the synthesis become iterations. Traces hold no variables, so ``locals`` is empty.
Schema: rlm/logger/rlm_logger.py and rlm/core/types.py of github.com/alexzhang13/rlm, version 0.1.3.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rlm_core.events import (
    AnswerEvent,
    ChildAnswerEvent,
    CodeEvent,
    Event,
    ModelCallFinishedEvent,
    ModelCallStartedEvent,
    OutputEvent,
    TurnStartedEvent,
)

Line = dict[str, Any]
Step = TurnStartedEvent | ModelCallStartedEvent


def export_official(events: Sequence[Event]) -> list[Line]:
    """The lines of the official log for one message, ready for ``json.dumps``; empty for no events."""
    if not events:
        return []
    return _Export(events).lines()


def official_log(events: Sequence[Event]) -> str:
    """The same as the text of a log file: one JSON object a line."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in export_official(events))


class _Export:
    """The events of one message, by what they belong under."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._under: dict[str | None, list[Event]] = defaultdict(list)
        self._finished: dict[str, ModelCallFinishedEvent] = {}
        self._output: dict[str, OutputEvent] = {}
        for event in events:
            if isinstance(event, ModelCallFinishedEvent) and event.parent_id is not None:
                self._finished[event.parent_id] = event
            elif isinstance(event, OutputEvent) and event.parent_id is not None:
                self._output[event.parent_id] = event
            else:
                self._under[event.parent_id].append(event)
        answers = [event.text for event in events if isinstance(event, AnswerEvent)]
        self._answer = answers[-1] if answers else None
        self._child_answers = {
            event.child: event.text for event in events if isinstance(event, ChildAnswerEvent)
        }

    def lines(self) -> list[Line]:
        steps = [event for event in self._under[None] if isinstance(event, Step)]
        metadata = {"type": "metadata", "timestamp": _iso(self._events[0].ts), **self._metadata(self._events)}
        return [metadata, *self._iterations(steps, self._answer)]

    def _metadata(self, events: Iterable[Event]) -> Line:
        turns = [event for event in events if isinstance(event, TurnStartedEvent)]
        calls = [event for event in self._events if isinstance(event, ModelCallStartedEvent)]
        roots = [call for call in calls if call.purpose == "root"]
        model = next((call.model for call in (*roots, *calls)), "")
        return {
            "root_model": model,
            "max_depth": 1 + max((turn.depth for turn in turns), default=0),
            "max_iterations": max((turn.of for turn in turns), default=1),
            "backend": "localrlm",
            "backend_kwargs": {"model_name": model},
            "environment_type": "local",
            "environment_kwargs": {},
            "other_backends": None,
        }

    def _iterations(self, steps: Sequence[Step], answer: str | None) -> list[Line]:
        """Turns and single calls in order; the last one gave the answer."""
        lines: list[Line] = []
        prompt: list[dict[str, str]] = []
        for number, step in enumerate(steps, start=1):
            call = self._call_of(step)
            if call is not None:
                fresh = [{"role": part.role, "content": part.text} for part in call.prompt]
                prompt = prompt[: call.same_prefix] + fresh
            finished = self._finished.get(call.id) if call is not None else None
            blocks = self._blocks(step, call, answer)
            seconds = sum(block["result"]["execution_time"] for block in blocks)
            lines.append(
                {
                    "type": "iteration",
                    "iteration": number,
                    "timestamp": _iso(step.ts),
                    "prompt": prompt if call is not None else [],
                    "response": finished.reply if finished else getattr(step, "title", ""),
                    "code_blocks": blocks,
                    "final_answer": answer if number == len(steps) else None,
                    "iteration_time": round(seconds + (finished.seconds if finished else 0.0), 4),
                }
            )
        return lines

    def _call_of(self, step: Step) -> ModelCallStartedEvent | None:
        """The call whose reply is this step's response: a root model's turn begins with it."""
        if isinstance(step, ModelCallStartedEvent):
            return step
        return next(
            (
                event
                for event in self._under[step.id]
                if isinstance(event, ModelCallStartedEvent) and event.purpose == "root"
            ),
            None,
        )

    def _blocks(self, step: Step, own: ModelCallStartedEvent | None, answer: str | None) -> list[Line]:
        """The code of a step; calls that no code made (readers, sub-tasks) stand under a block with a comment."""
        blocks = [
            self._block(event, answer) for event in self._under[step.id] if isinstance(event, CodeEvent)
        ]
        calls = [
            event
            for event in self._under[step.id]
            if isinstance(event, ModelCallStartedEvent) and event is not own
        ]
        children = self._children(step.id)
        if calls or children:
            title = getattr(step, "title", "") or "model calls"
            blocks.append(_code_block(f"# {title}", None, [*map(self._call, calls), *children], None))
        return blocks

    def _block(self, code: CodeEvent, answer: str | None) -> Line:
        calls = [
            self._call(event) for event in self._under[code.id] if isinstance(event, ModelCallStartedEvent)
        ]
        output = self._output.get(code.id)
        final = answer if output is not None and output.final else None
        return _code_block(code.code, output, [*calls, *self._children(code.id)], final)

    def _call(self, started: ModelCallStartedEvent) -> Line:
        finished = self._finished.get(started.id)
        line = {
            "root_model": started.model,
            "prompt": "\n\n".join(part.text for part in started.prompt),
            "response": finished.reply if finished else "",
            "usage_summary": _usage([finished] if finished else []),
            "execution_time": finished.seconds if finished else 0.0,
        }
        if finished is not None and finished.error is not None:
            line["error"] = finished.error
        return line

    def _children(self, parent: str) -> list[Line]:
        """The child RLMs that were started under an event, each with its own trajectory."""
        turns: dict[int, list[TurnStartedEvent]] = defaultdict(list)
        for event in self._under[parent]:
            if isinstance(event, TurnStartedEvent) and event.child:
                turns[event.child].append(event)
        return [self._child(own) for own in turns.values()]

    def _child(self, turns: list[TurnStartedEvent]) -> Line:
        answer = self._child_answers.get(turns[0].child)
        iterations = self._iterations(turns, answer)
        calls = [
            self._finished[call.id]
            for turn in turns
            if (call := self._call_of(turn)) and call.id in self._finished
        ]
        prompt = iterations[0]["prompt"]
        return {
            "root_model": calls[0].model if calls else "",
            "prompt": prompt[-1]["content"] if prompt else "",
            "response": answer if answer is not None else iterations[-1]["response"],
            "usage_summary": _usage(calls),
            "execution_time": round(sum(line["iteration_time"] for line in iterations), 4),
            "metadata": {"run_metadata": self._metadata(turns), "iterations": iterations},
        }


def _code_block(code: str, output: OutputEvent | None, calls: list[Line], final: str | None) -> Line:
    return {
        "code": code,
        "result": {
            "stdout": (output.output or output.shown) if output else "",
            "stderr": (output.error or "") if output else "",
            "locals": {},
            "execution_time": output.seconds if output else 0.0,
            "rlm_calls": calls,
            "final_answer": final,
        },
    }


def _usage(calls: Iterable[ModelCallFinishedEvent]) -> Line:
    models: dict[str, Line] = {}
    for call in calls:
        used = models.setdefault(
            call.model, {"total_calls": 0, "total_input_tokens": 0, "total_output_tokens": 0}
        )
        used["total_calls"] += 1
        used["total_input_tokens"] += call.tokens_in
        used["total_output_tokens"] += call.tokens_out
    return {"model_usage_summaries": models}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()

"""`python -m rlm_core ask`: the answer on standard output, the steps to it on standard error.

Exit codes: 0 a whole answer, 1 no answer (the sentence says why), 2 wrong arguments, 3 a partial answer, 130 stopped with
Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from rlm_core.budget import CancelToken
from rlm_core.doors.outcome import Outcome
from rlm_core.engine import RLMEngine
from rlm_core.errors import LocalRLMError
from rlm_core.events import (
    CodeEvent,
    Event,
    ModelCallFinishedEvent,
    OutputEvent,
    PhaseEvent,
    PlanEvent,
    RecallEvent,
    RouteEvent,
    TokenEvent,
    TurnStartedEvent,
    WarningEvent,
)
from rlm_core.request import MessageRequest

WHOLE, NO_ANSWER, WRONG_ARGUMENTS, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 130
_LINES_OF_CODE = 6


def ask(request: MessageRequest, engine: RLMEngine, *, as_json: bool = False, quiet: bool = False) -> int:
    """Answer, print and close the engine; returns the exit code."""
    for file in request.documents or ():
        if isinstance(file, Path) and not file.is_file():
            print(f"There is no file '{file}'.", file=sys.stderr)
            return WRONG_ARGUMENTS
    return asyncio.run(_ask(request, engine, as_json, quiet))


async def _ask(request: MessageRequest, engine: RLMEngine, as_json: bool, quiet: bool) -> int:
    cancel = CancelToken()
    loop = asyncio.get_running_loop()

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(cancel.cancel)

    before = signal.signal(signal.SIGINT, stop)
    steps = Steps(quiet=quiet)
    streamed = Streamed(sys.stdout) if sys.stdout.isatty() and not as_json else None
    events: list[Event] = []
    try:
        with steps:
            turn = await engine.begin(request)
            async for event in engine.answer(turn, cancel=cancel):
                events.append(event)
                steps.show(event)
                if streamed is not None and isinstance(event, TokenEvent):
                    steps.pause()
                    streamed.add(event.text)
    except LocalRLMError as error:
        print(error, file=sys.stderr)
        return NO_ANSWER
    finally:
        signal.signal(signal.SIGINT, before)
        await engine.close()
    outcome = Outcome.of(events)
    _print(outcome, turn.answer_id, streamed, as_json, quiet)
    if cancel.cancelled:
        return INTERRUPTED
    if outcome.nothing_but_an_error or (outcome.partial and not outcome.text.strip()):
        return NO_ANSWER
    return PARTIAL if outcome.partial else WHOLE


def _print(outcome: Outcome, trace_id: str, streamed: Streamed | None, as_json: bool, quiet: bool) -> None:
    if as_json:
        json.dump({**outcome.as_json(), "trace_id": trace_id}, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    elif streamed is not None:
        streamed.finish(outcome.text)
    elif outcome.text:
        print(outcome.text)
    sys.stdout.flush()
    if not quiet:
        for citation in outcome.citations:
            place = f", {citation.place}" if citation.place else ""
            print(f"[{citation.number}] {citation.document}{place}", file=sys.stderr)
    if outcome.partial:
        reason = outcome.reason or "It was not finished."
        print(f"This answer is partial: {reason}" if outcome.text.strip() else reason, file=sys.stderr)


class Streamed:
    """The answer as it grows. What was written to a terminal cannot be taken back: when the final text differs, it
    follows as a whole."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._text = ""

    def add(self, text: str) -> None:
        self._text += text
        self._out.write(text)
        self._out.flush()

    def finish(self, text: str) -> None:
        if text.startswith(self._text):
            self._out.write(text[len(self._text) :] + "\n")
        else:
            self._out.write(f"\n\n{text}\n")


class Steps:
    """The steps on standard error: a moving line for what goes on right now, a line for what is done."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._status: Status | None = None

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *error: object) -> None:
        self.pause()

    def pause(self) -> None:
        """Take the moving line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def show(self, event: Event) -> None:
        if isinstance(event, PhaseEvent):
            self._now(event.text)
        elif isinstance(event, RouteEvent):
            how = f"{event.decision}{f' ({event.strategy})' if event.strategy else ''}"
            self._line(f"[bold]{how}[/bold]: {escape('; '.join(event.reasons))}")
        elif isinstance(event, RecallEvent):
            self._line(f"remembers {len(event.memories)} earlier messages")
        elif isinstance(event, PlanEvent):
            self._line(f"plan with {len(event.sub_tasks)} sub-tasks")
        elif isinstance(event, TurnStartedEvent):
            title = f" {escape(event.title)}" if event.title else ""
            self._line(f"[bold]step {event.iteration} of {event.of}[/bold]{title}")
        elif isinstance(event, CodeEvent):
            self._line(f"[cyan]{escape(_head(event.code))}[/cyan]")
        elif isinstance(event, OutputEvent):
            text = event.error.strip().splitlines()[-1] if event.error else _head(event.shown)
            self._line(f"[{'red' if event.error else 'dim'}]{escape(text)}[/]")
        elif isinstance(event, ModelCallFinishedEvent):
            self._line(
                f"[dim]{escape(event.model)} ({event.purpose}): {event.tokens_in:,} tokens read, "
                f"{event.tokens_out:,} written, {event.seconds:.1f} s[/dim]"
            )
        elif isinstance(event, WarningEvent):
            self._line(f"[yellow]{escape(event.text)}[/yellow]")

    def _now(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status(escape(text))
            self._status.start()
        else:
            self._status.update(escape(text))

    def _line(self, markup: str) -> None:
        self._console.print(markup, soft_wrap=True)


def _head(text: str) -> str:
    lines = text.strip().splitlines()
    more = [f"… {len(lines) - _LINES_OF_CODE} more lines"] if len(lines) > _LINES_OF_CODE else []
    return "\n".join(f"  {line}" for line in [*lines[:_LINES_OF_CODE], *more])


def piped_context(stdin: Any) -> str | None:
    """What is piped into the program; None when standard input is a terminal, closed or empty."""
    if stdin is None or stdin.closed or stdin.isatty():
        return None
    text: str = stdin.buffer.read().decode("utf-8", "replace")
    return text if text.strip() else None

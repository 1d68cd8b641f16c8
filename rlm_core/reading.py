"""Reading passages with a question in mind: one call for each group of them, all groups in parallel (map).

A group that turns out to be too long for one prompt, or whose notes do not fit into one reply, is read in two halves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rlm_core.backends.base import ChatMessage
from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.context import Context, Piece
from rlm_core.errors import LocalRLMError, PromptTooLong
from rlm_core.events import PhaseEvent, TurnStartedEvent
from rlm_core.prompts import KNOWN, NOTHING_FOUND, READ_SYSTEM
from rlm_core.question import Question, shorten
from rlm_core.run import Run
from rlm_core.synthesizer import numbered, says_nothing
from rlm_core.tally import counted

SMALLEST_HALF = 400
KNOWN_CHARS = 1_500

Group = Mapping[int, Piece]
"""Numbered passages that are read in one call."""


@dataclass(frozen=True)
class Task:
    """What a reader is asked: one of the prompts for reading, what is known already, and room for the notes in tokens."""

    prompt: str
    question: Question
    reply_tokens: int
    known: str = ""

    def messages(self, passages: str = "", part: int = 1, parts: int = 1) -> list[ChatMessage]:
        text = self.prompt.format(
            question=self.question.text,
            known=KNOWN.format(notes=shorten(self.known, KNOWN_CHARS)) if self.known else "",
            part=part,
            parts=parts,
            passages=passages,
            nothing=NOTHING_FOUND,
        )
        return [ChatMessage("system", READ_SYSTEM), ChatMessage("user", text)]


@dataclass(frozen=True)
class Read:
    """What came of one group: its notes ("" when it contributes nothing), None when it was not read."""

    group: Group
    notes: str | None


class MapReader:
    """Reads groups of passages."""

    def __init__(self, calls: ModelCalls) -> None:
        self._calls = calls

    async def read(
        self, run: Run, task: Task, groups: Sequence[Group], parent: str | None, what: str = ""
    ) -> list[Read]:
        """What each group contributes, in order. Reading stops where the budget ends. ``what`` is read stands in the trace.

        Raises the first error when no group at all could be read; some that fail are told in a warning.
        """
        title = f"reading {what or counted(len(groups), 'part')}"
        turn = run.emit(TurnStartedEvent, parent=parent, depth=0, iteration=1, of=1, title=title)
        failures: list[LocalRLMError] = []
        done = 0

        async def one(number: int, group: Group) -> Read:
            nonlocal done
            try:
                notes = await self._notes(run, task, group, number, len(groups), turn)
            except BudgetExhausted:
                return Read(group, None)
            except LocalRLMError as error:
                failures.append(error)
                return Read(group, None)
            done += 1
            run.emit(PhaseEvent, parent=turn, text=f"read {done} of {len(groups)} parts")
            return Read(group, notes)

        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(one(number, group)) for number, group in enumerate(groups, start=1)]
        if failures and done == 0:
            raise failures[0]
        if failures:
            run.warn(
                "parts_failed", f"{len(failures)} of {len(groups)} parts could not be read: {failures[0]}"
            )
        return [task.result() for task in started]

    async def _notes(self, run: Run, task: Task, group: Group, part: int, parts: int, turn: str) -> str:
        halves = _halves(task.question.context, group)
        try:
            reply = await self._calls.call(
                run,
                "fast",
                "map",
                task.messages(numbered(group), part, parts),
                parent=turn,
                temperature=0.0,
                max_tokens=task.reply_tokens,
            )
        except PromptTooLong:
            if halves is None:
                raise
        else:
            if reply.finish_reason != "length" or halves is None:
                return "" if says_nothing(reply.text) else reply.text.strip()
        assert halves is not None
        notes = [await self._notes(run, task, half, part, parts, turn) for half in halves]
        return "\n".join(note for note in notes if note)


def _halves(context: Context, group: Group) -> tuple[Group, Group] | None:
    """A group as two smaller ones; None when it is too short for that."""
    if len(group) > 1:
        entries = list(group.items())
        return dict(entries[: len(entries) // 2]), dict(entries[len(entries) // 2 :])
    ((number, piece),) = group.items()
    if len(piece.text) < 2 * SMALLEST_HALF:
        return None
    cut = context.cut(piece.start, piece.start + len(piece.text) * 2 // 3)
    first, second = context.piece(piece.start, cut), context.piece(cut, piece.end)
    return {number: first}, {number: replace(second, score=piece.score)}

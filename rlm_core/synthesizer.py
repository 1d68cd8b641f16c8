"""The last step of ``plan`` and ``retrieve``: results in, one answer out, streamed and cited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlm_core.backends.base import ChatMessage
from rlm_core.calls import ModelCalls
from rlm_core.citations import cite
from rlm_core.context import Piece
from rlm_core.events import TokenEvent
from rlm_core.prompts import (
    ANSWER_FROM_NOTES,
    CITING,
    DIRECT_WITH_PASSAGES,
    MERGE_NOTES,
    NOTHING_FOUND,
    READ_SYSTEM,
    SYNTHESIS,
    memories_block,
)
from rlm_core.question import Question
from rlm_core.results import Answer
from rlm_core.run import Run
from rlm_core.settings import Role

REPLY_TOKENS = 768
"""What a final answer is left room for when notes have to be merged to fit."""


class Synthesizer:
    """Writes final answers. Which model does it is the router's business: the role is ``quality``."""

    def __init__(self, calls: ModelCalls) -> None:
        self._calls = calls

    async def from_results(
        self,
        run: Run,
        question: Question,
        results: str,
        strategy: str,
        passages: Mapping[int, Piece],
        *,
        parent: str | None,
    ) -> Answer:
        """The answer of a plan from the results of its sub-tasks."""
        strategy_line = f"How to combine them: {strategy}\n" if strategy.strip() else ""
        prompt = SYNTHESIS.format(
            question=question.text, results=results, strategy=strategy_line, citing=CITING if passages else ""
        )
        return await self._write(run, question, prompt, passages, parent=parent)

    async def from_passages(
        self,
        run: Run,
        question: Question,
        passages: Mapping[int, Piece],
        *,
        parent: str | None,
        role: Role = "quality",
    ) -> Answer:
        """The answer straight from passages that fit into one prompt."""
        prompt = DIRECT_WITH_PASSAGES.format(
            memories=memories_block(question.memories), passages=numbered(passages), question=question.text
        )
        return await self._write(run, question, prompt, passages, parent=parent, role=role)

    async def from_notes(
        self,
        run: Run,
        question: Question,
        notes: Sequence[str],
        coverage: str,
        passages: Mapping[int, Piece],
        *,
        parent: str | None,
    ) -> Answer:
        """The answer from notes taken while reading; notes that do not fit into one prompt are merged first."""
        room = await self._calls.prompt_chars(run, "quality", reply_tokens=REPLY_TOKENS)
        room -= len(ANSWER_FROM_NOTES) + 2 * len(question.text) + len(READ_SYSTEM) + 200
        notes = await self._merged(run, question, list(notes), room, parent)
        listed = "\n".join(notes)
        run.draft = listed
        prompt = ANSWER_FROM_NOTES.format(question=question.text, coverage=coverage, notes=listed)
        return await self._write(run, question, prompt, passages, parent=parent)

    async def _merged(
        self, run: Run, question: Question, notes: list[str], room: int, parent: str | None
    ) -> list[str]:
        while sum(len(note) + 1 for note in notes) > room and len(notes) > 1:
            groups = _packed(notes, room)
            if len(groups) == len(notes):
                run.warn(
                    "notes_shortened",
                    "The notes from reading are too long for one prompt; the longest were cut.",
                )
                return [note[: room // len(notes)] for note in notes]
            merged: list[str] = []
            for group in groups:
                if len(group) == 1:
                    merged += group
                    continue
                prompt = MERGE_NOTES.format(
                    question=question.text, notes="\n".join(group), nothing=NOTHING_FOUND
                )
                reply = await self._calls.call(
                    run,
                    "fast",
                    "reduce",
                    [ChatMessage("system", READ_SYSTEM), ChatMessage("user", prompt)],
                    parent=parent,
                    temperature=0.0,
                )
                if not says_nothing(reply.text):
                    merged.append(reply.text.strip())
            if sum(map(len, merged)) >= sum(map(len, notes)):
                run.warn(
                    "notes_shortened",
                    "The notes from reading could not be merged further; the longest were cut.",
                )
                return [note[: room // max(1, len(merged))] for note in merged]
            notes = merged
        return notes

    async def _write(
        self,
        run: Run,
        question: Question,
        prompt: str,
        passages: Mapping[int, Piece],
        *,
        parent: str | None,
        role: Role = "quality",
    ) -> Answer:
        run.budget.close()
        streamed: list[str] = []

        def on_text(text: str) -> None:
            streamed.append(text)
            run.draft = "".join(streamed)
            run.emit(TokenEvent, parent=parent, text=text)

        reply = await self._calls.call(
            run,
            role,
            "synthesis",
            [ChatMessage("system", READ_SYSTEM), ChatMessage("user", prompt)],
            parent=parent,
            on_text=on_text,
        )
        return cite(reply.text.strip(), passages, question.context)


def numbered(passages: Mapping[int, Piece]) -> str:
    """Passages as they stand in prompts, each behind its number."""
    return "\n\n".join(f"[{number}] {piece.text.strip()}" for number, piece in passages.items())


def says_nothing(reply: str) -> bool:
    """Whether a reader reports that its passages do not help."""
    return reply.strip().strip("\"'`*.[]() ").upper() in {NOTHING_FOUND, "", "N/A", "NO", "NOTHING"}


def _packed(notes: Sequence[str], room: int) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    used = 0
    for note in notes:
        if groups[-1] and used + len(note) + 1 > room:
            groups.append([])
            used = 0
        groups[-1].append(note)
        used += len(note) + 1
    return groups

"""The last step of ``plan`` and ``retrieve``: results in, one answer out, streamed and cited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlm_core.backends.base import ChatMessage
from rlm_core.calls import ModelCalls
from rlm_core.citations import cite
from rlm_core.context import Piece
from rlm_core.events import TokenEvent
from rlm_core.prompts import (
    ANSWER_FROM_NOTES,
    ANSWER_FROM_PASSAGES,
    ASK_BACK,
    CITING,
    DIRECT_WITH_PASSAGES,
    MERGE_NOTES,
    NOTHING_FOUND,
    READ_SYSTEM,
    RECKONED,
    SAY_SO,
    SEARCH_MARK,
    SYNTHESIS,
    memories_block,
)
from rlm_core.question import Question
from rlm_core.results import Answer
from rlm_core.run import Run
from rlm_core.settings import Role
from rlm_core.tally import Item, counted, reckon

REPLY_TOKENS = 768
"""What a final answer is left room for when notes have to be merged to fit."""


@dataclass(frozen=True)
class Notes:
    """What readers wrote down. ``passages`` are the numbered ones that the notes refer to, ``coverage`` says in words
    what was read."""

    texts: tuple[str, ...]
    items: tuple[Item, ...]
    passages: Mapping[int, Piece]
    coverage: str


@dataclass(frozen=True)
class NotYet:
    """The notes do not hold the answer. ``search``: what has to be looked up first, or ""."""

    search: str


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
        run.budget.close()
        return cite(await self._write(run, prompt, parent=parent), passages, question.context)

    async def from_passages(
        self,
        run: Run,
        question: Question,
        passages: Mapping[int, Piece],
        *,
        parent: str | None,
        role: Role = "quality",
        max_tokens: int | None = None,
    ) -> Answer:
        """The answer straight from passages that fit into one prompt; ``max_tokens`` ends a model that goes on and on."""
        prompt = DIRECT_WITH_PASSAGES.format(
            memories=memories_block(question.memories), passages=numbered(passages), question=question.text
        )
        run.budget.close()
        return cite(
            await self._write(run, prompt, parent=parent, role=role, max_tokens=max_tokens),
            passages,
            question.context,
        )

    async def from_notes(self, run: Run, question: Question, notes: Notes, *, parent: str | None) -> Answer:
        """The answer from notes taken while reading; notes that do not fit into one prompt are merged or shortened first."""
        prompt = await self._notes_prompt(run, question, notes, SAY_SO, parent)
        run.budget.close()
        reply = await self._write(run, prompt, parent=parent)
        return cite(reply, notes.passages, question.context)

    async def try_notes(
        self, run: Run, question: Question, notes: Notes, *, parent: str | None
    ) -> Answer | NotYet:
        """The same, but the model may say that the notes do not hold the answer, or what has to be looked up first."""
        ask_back = ASK_BACK.format(nothing=NOTHING_FOUND)
        prompt = await self._notes_prompt(run, question, notes, ask_back, parent)
        return await self._try(run, question, prompt, notes.passages, parent)

    async def try_passages(
        self, run: Run, question: Question, passages: Mapping[int, Piece], *, parent: str | None
    ) -> Answer | NotYet:
        """The answer straight from passages that fit into one prompt, or what is missing."""
        prompt = ANSWER_FROM_PASSAGES.format(
            question=question.text,
            passages=numbered(passages),
            otherwise=ASK_BACK.format(nothing=NOTHING_FOUND),
        )
        return await self._try(run, question, prompt, passages, parent)

    async def _try(
        self, run: Run, question: Question, prompt: str, passages: Mapping[int, Piece], parent: str | None
    ) -> Answer | NotYet:
        reply = await self._write(run, prompt, parent=parent, hold_back=True)
        missing = _asked_back(reply)
        return cite(reply, passages, question.context) if missing is None else missing

    async def _notes_prompt(
        self, run: Run, question: Question, notes: Notes, otherwise: str, parent: str | None
    ) -> str:
        lines = reckon(notes.items)
        reckoned = (
            RECKONED.format(items=counted(len(notes.items), "item"), lines="\n".join(lines)) if lines else ""
        )
        frame = ANSWER_FROM_NOTES.format(
            question=question.text, coverage=notes.coverage, notes="", reckoned=reckoned, otherwise=otherwise
        )
        said = [*notes.texts, *(item.line for item in notes.items)]
        room = await self._calls.room_chars(
            run,
            "quality",
            [ChatMessage("system", READ_SYSTEM), ChatMessage("user", frame)],
            reply_tokens=REPLY_TOKENS,
            like="\n".join(said),
        )
        listed = "\n".join(await self._fitting(run, question, notes, room, parent))
        run.draft = listed
        return ANSWER_FROM_NOTES.format(
            question=question.text,
            coverage=notes.coverage,
            notes=listed or f"(no part contributes anything: {NOTHING_FOUND})",
            reckoned=reckoned,
            otherwise=otherwise,
        )

    async def _fitting(
        self, run: Run, question: Question, notes: Notes, room: int, parent: str | None
    ) -> list[str]:
        """Notes for one prompt. Items need not all be shown: what they amount to is reckoned already."""
        texts = await self._merged(run, question, list(notes.texts), room, parent)
        room -= sum(len(text) + 1 for text in texts) + 60
        lines: list[str] = []
        for item in notes.items:
            room -= len(item.line) + 1
            if room < 0:
                more = counted(len(notes.items) - len(lines), "more item")
                lines.append(f"(and {more}, reckoned below)")
                break
            lines.append(item.line)
        return texts + lines

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
        prompt: str,
        *,
        parent: str | None,
        role: Role = "quality",
        hold_back: bool = False,
        max_tokens: int | None = None,
    ) -> str:
        """Ask for the answer and stream it. With ``hold_back`` a reply that asks back is not shown."""
        streamed: list[str] = []
        shown = not hold_back

        def on_text(text: str) -> None:
            nonlocal shown
            streamed.append(text)
            so_far = "".join(streamed)
            if not shown and _may_ask_back(so_far):
                return
            run.draft = so_far
            run.emit(TokenEvent, parent=parent, text=text if shown else so_far)
            shown = True

        reply = await self._calls.call(
            run,
            role,
            "synthesis",
            [ChatMessage("system", READ_SYSTEM), ChatMessage("user", prompt)],
            parent=parent,
            on_text=on_text,
            max_tokens=max_tokens,
        )
        text = reply.text.strip()
        if not shown and _asked_back(text) is None:
            run.draft = text
            run.emit(TokenEvent, parent=parent, text=text)
        return text


def numbered(passages: Mapping[int, Piece]) -> str:
    """Passages as they stand in prompts, each behind its number and what it stands under."""
    return "\n\n".join(
        f"[{number}] ({piece.heading})\n{piece.text.strip()}"
        if piece.heading
        else f"[{number}] {piece.text.strip()}"
        for number, piece in passages.items()
    )


def says_nothing(reply: str) -> bool:
    """Whether a reader reports that its passages do not help."""
    return reply.strip().strip("\"'`*.[]() ").upper() in {NOTHING_FOUND, "", "N/A", "NO", "NOTHING"}


def _may_ask_back(text: str) -> bool:
    """Whether the beginning of a reply can still become one that asks back."""
    begun = text.lstrip("\"'`*. ").upper()
    return (
        len(begun) < 12 and any(begun.startswith(mark[: len(begun)]) for mark in (SEARCH_MARK, NOTHING_FOUND))
    ) or (begun.startswith(SEARCH_MARK))


def _asked_back(reply: str) -> NotYet | None:
    """What a reply asks to look up; None for an answer."""
    if says_nothing(reply):
        return NotYet("")
    first = reply.strip("\"'`*. \n").splitlines()[0]
    if first.upper().startswith(SEARCH_MARK):
        return NotYet(first[len(SEARCH_MARK) :].strip()[:300])
    return None


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

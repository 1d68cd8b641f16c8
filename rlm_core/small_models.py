"""Answers of models below a billion parameters, which can follow one instruction about a little text and no more.

What code can count or add up by itself, it does. Else they read the best passages, never everything, and the user is told
so. The smallest get a single line to read, and the line itself stands in the answer: what they say about it counts only as
far as it keeps to the line.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

from rlm_core.backends.base import ChatMessage
from rlm_core.calls import ModelCalls
from rlm_core.citations import cite
from rlm_core.complexity import asks_for_summary
from rlm_core.context import Context, Piece
from rlm_core.coverage import best_passages
from rlm_core.events import PhaseEvent, TokenEvent
from rlm_core.figures import figure_of_table
from rlm_core.line_counts import Figure, count_of_lines
from rlm_core.lines import Line, best_line, best_sentence, keeps_to
from rlm_core.prompts import READ_LINE
from rlm_core.question import Question
from rlm_core.results import Answer
from rlm_core.run import Run
from rlm_core.synthesizer import Synthesizer

PASSAGES_CHARS = 2_000
"""Two passages. A small model loses a fact among more than about 300 words (measured on the 135M demonstration model)."""
REPLY_TOKENS = 256
LINE_REPLY_TOKENS = 60
READABLE_CHARS = 160
"""Of a longer line a tiny model gets only the sentence that fits best."""
LIKELY_FIT = 0.4
"""A line with less of the question's words is shown as what it is: the nearest there is."""

_FOLLOWS_UP = re.compile(r"\W*(?:and|what about|how about|und|was ist mit|wie ist es mit)\b", re.IGNORECASE)

Search = Callable[[Context, str], Awaitable[list[Piece]]]


class SmallReader:
    """Answers from the passages that fit a question best."""

    def __init__(self, calls: ModelCalls, synthesizer: Synthesizer, search: Search) -> None:
        self._calls = calls
        self._synthesizer = synthesizer
        self._search = search

    async def answer(
        self, run: Run, question: Question, *, tiny: bool, everything: bool, parent: str | None
    ) -> Answer | None:
        """What code works out of a table by itself, else what is read. None when no passage, or for a tiny model no line,
        has a word of the question. ``everything``: the question is about all of the material."""
        summary = asks_for_summary(question.text)
        before = _followed_up(question)
        if not summary:
            run.emit(PhaseEvent, parent=parent, text="looking at the tables")
            figure = await asyncio.to_thread(figure_of_table, question.text, question.context, before)
            if figure is not None:
                return self._from_figure(run, question, figure, "all of the table, by code", parent)
        run.emit(PhaseEvent, parent=parent, text="searching")
        pieces = await self._search(question.context, f"{before} {question.text}".strip())
        kept = _first(pieces)
        if not kept:
            return None
        line = None
        if tiny and not summary:
            line = best_line(question.text, pieces, question.context)
            if line is None and before:
                line = best_line(before, pieces, question.context)
            if line is None or line.fit < LIKELY_FIT:
                figure = await asyncio.to_thread(count_of_lines, question.text, question.context)
                if figure is not None:
                    return self._from_figure(run, question, figure, "all lines, by code", parent)
            if line is None:
                return None
        coverage = best_passages(len(kept)) if line is None else "the line that fits the question best"
        if everything:
            run.warn(
                "small_model",
                f"This model is too small to count or compare over a whole document: it read only {coverage}. "
                "Use a model of a billion parameters or more for such questions.",
            )
        if line is not None:
            answer = await self._from_line(run, question, line, parent)
        else:
            answer = await self._synthesizer.from_passages(
                run, question, kept, parent=parent, max_tokens=REPLY_TOKENS
            )
        return replace(answer, coverage=coverage)

    def _from_figure(
        self, run: Run, question: Question, figure: Figure, coverage: str, parent: str | None
    ) -> Answer:
        """The statement as it is: no model has a part in it."""
        pieces = (question.context.piece(start, end) for start, end in figure.places)
        passages = dict(enumerate(pieces, start=1))
        said = f"Worked out by code: {figure.text} {' '.join(f'[{number}]' for number in passages)}"
        run.draft = said
        run.emit(TokenEvent, parent=parent, text=said)
        return replace(cite(said, passages, question.context), coverage=coverage)

    async def _from_line(self, run: Run, question: Question, line: Line, parent: str | None) -> Answer:
        """What the model reads out of the line, if it keeps to it, and the line."""
        passages = {1: line.piece}
        text = line.piece.text.strip()
        heading = " / ".join(line.piece.heading.split(" / ")[-2:])
        under = f" ({heading})" if heading else ""
        if line.fit < LIKELY_FIT:
            said = f"The material may not hold the answer. The line that fits the question best{under}: “{text}” [1]"
        else:
            said = f"The text says{under}: “{text}” [1]"
            run.draft = said
            run.budget.close()
            reply = await self._read(run, question.text, text, parent)
            repeats = len(reply) > len(text) / 2 and reply.strip(" .") in text
            if keeps_to(reply, text, question.text) and not repeats:
                said = f"{reply} [1]\n\n{said}"
        run.draft = said
        run.emit(TokenEvent, parent=parent, text=said)
        return cite(said, passages, question.context)

    async def _read(self, run: Run, question: str, line: str, parent: str | None) -> str:
        sentence = line if len(line) <= READABLE_CHARS else best_sentence(question, line)
        prompt = READ_LINE.format(line=sentence, question=question)
        reply = await self._calls.call(
            run,
            "fast",
            "synthesis",
            [ChatMessage("user", prompt)],
            parent=parent,
            temperature=0.0,
            max_tokens=LINE_REPLY_TOKENS,
        )
        return reply.text.strip().split("\n")[0]


def _followed_up(question: Question) -> str:
    """The question before, when this one goes on with it ("And the average?"); "" otherwise."""
    if not _FOLLOWS_UP.match(question.text):
        return ""
    return next((said.content for said in reversed(question.history) if said.role == "user"), "")


def _first(pieces: list[Piece]) -> dict[int, Piece]:
    """The best passages, as many as a small model can read at once, numbered."""
    kept: dict[int, Piece] = {}
    room = PASSAGES_CHARS
    for piece in pieces:
        room -= len(piece.text) + len(piece.heading) + 12
        if kept and room < 0:
            break
        kept[len(kept) + 1] = piece
    return kept

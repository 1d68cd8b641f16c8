"""Strategy ``retrieve``: find passages, read every group of them with the question, merge. Needs no coding skill.

For questions about everything (count, list, compare, summarise) the best few passages would give a confident wrong
answer, so these are read in full, and the answer says what was covered.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from memory_store import MemoryStore
from rlm_core.backends.base import ChatMessage
from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.complexity import asks_for_everything
from rlm_core.context import Context, Piece, search_both
from rlm_core.errors import LocalRLMError
from rlm_core.events import PhaseEvent, TurnStartedEvent
from rlm_core.prompts import NOTHING_FOUND, READ_ALL, READ_PASSAGES, READ_SYSTEM
from rlm_core.question import Question
from rlm_core.results import Answer
from rlm_core.run import Run
from rlm_core.synthesizer import Synthesizer, numbered, says_nothing

PASSAGES_FOUND = 12
READING_TOKENS = 512
"""Room for the notes that a reader writes about one group of passages."""
SMALL_MODEL_CHARS = 1_600
"""A model below a billion parameters loses a fact among more than about 300 words (measured on the 135M demonstration model)."""

_PARAMETERS = re.compile(r"([\d.]+)\s*([KMBT])", re.IGNORECASE)


@dataclass(frozen=True)
class _Reading:
    notes: tuple[str, ...]
    read: int
    groups: int


class PassageReader:
    """Answers from passages. ``store`` gives the hybrid search over stored documents, if there is a store."""

    def __init__(
        self, calls: ModelCalls, synthesizer: Synthesizer, store: Callable[[], MemoryStore | None]
    ) -> None:
        self._calls = calls
        self._synthesizer = synthesizer
        self._store = store

    async def answer(self, run: Run, question: Question, *, parent: str | None = None) -> Answer:
        """Answer ``question`` from its context. Raises what the calls raise; what was found until then is ``run.draft``."""
        size = await self.reading_chars(run, question)
        if not asks_for_everything(question.text):
            run.emit(PhaseEvent, parent=parent, text="searching")
            found = await self.search(question.context, question.text, PASSAGES_FOUND)
            answer = await self._from_found(run, question, found, size, parent)
            if answer is not None:
                return answer
        return await self._from_all(run, question, size, parent)

    async def search(self, context: Context, query: str, k: int) -> list[Piece]:
        """The ``k`` best passages of the context, best first."""
        return await search_both(context, query, k, self._store())

    async def reading_chars(self, run: Run, question: Question) -> int:
        """How many characters of passages one prompt holds, for the model that reads."""
        room = await self._calls.prompt_chars(run, "fast", reply_tokens=READING_TOKENS)
        room -= len(READ_PASSAGES) + 2 * len(question.text) + len(READ_SYSTEM) + 200
        if await self._is_small(run):
            room = min(room, SMALL_MODEL_CHARS)
        return max(400, room)

    async def _is_small(self, run: Run) -> bool:
        assignment = await self._calls.assign(run, "fast")
        info = await self._calls.backend.model(assignment.model)
        match = _PARAMETERS.search(info.parameters or "")
        return match is not None and match[2].upper() in "KM"

    async def _from_found(
        self, run: Run, question: Question, found: Sequence[Piece], size: int, parent: str | None
    ) -> Answer | None:
        """The answer from the passages that a search found; None when they do not hold it."""
        groups = _grouped(_cut(question.context, found, size), size)
        if not groups:
            return None
        if len(groups) == 1 or size <= SMALL_MODEL_CHARS:
            return await self._synthesizer.from_passages(run, question, groups[0], parent=parent)
        reading = await self._read(run, question, groups, READ_PASSAGES, parent)
        if not reading.notes:
            return None
        passages = {number: piece for group in groups for number, piece in group.items()}
        coverage = f"the {len(passages)} passages that fit the question best"
        return await self._synthesizer.from_notes(
            run, question, reading.notes, coverage, passages, parent=parent
        )

    async def _from_all(self, run: Run, question: Question, size: int, parent: str | None) -> Answer:
        """Read everything, in order, in as many calls as the budget allows."""
        context = question.context
        calls = max(1, run.budget.calls_left - 1)
        room = await self._calls.prompt_chars(run, "fast", reply_tokens=READING_TOKENS)
        room -= len(READ_ALL) + 2 * len(question.text) + len(READ_SYSTEM) + 200
        enough = len(context) // calls + 200
        pieces = context.pieces(min(max(400, room), max(size, enough)))
        groups = [{number: piece} for number, piece in enumerate(pieces, start=1)]
        reading = await self._read(run, question, groups[:calls], READ_ALL, parent)
        passages = {number: piece for group in groups for number, piece in group.items()}
        coverage = f"all {len(groups)} parts of the material"
        if reading.read < len(groups):
            coverage = f"{reading.read} of {len(groups)} parts of the material"
            run.warn(
                "not_all_read",
                f"The budget was enough to read {coverage}. Raise max_llm_calls or num_ctx to read everything.",
            )
        notes = reading.notes or (f"(no part contributes anything: {NOTHING_FOUND})",)
        return await self._synthesizer.from_notes(run, question, notes, coverage, passages, parent=parent)

    async def _read(
        self,
        run: Run,
        question: Question,
        groups: Sequence[Mapping[int, Piece]],
        prompt: str,
        parent: str | None,
    ) -> _Reading:
        """Notes on each group that contributes something, in order; reading stops where the budget ends."""
        turn = run.emit(
            TurnStartedEvent, parent=parent, depth=0, iteration=1, of=1, title=f"reading {len(groups)} parts"
        )
        done = 0
        failures: list[LocalRLMError] = []

        async def one(number: int, passages: Mapping[int, Piece]) -> str | None:
            nonlocal done
            text = prompt.format(
                question=question.text,
                part=number,
                parts=len(groups),
                passages=numbered(passages),
                nothing=NOTHING_FOUND,
            )
            try:
                reply = await self._calls.call(
                    run,
                    "fast",
                    "map",
                    [ChatMessage("system", READ_SYSTEM), ChatMessage("user", text)],
                    parent=turn,
                    temperature=0.0,
                    max_tokens=2 * READING_TOKENS,
                )
            except BudgetExhausted:
                return None
            except LocalRLMError as error:
                failures.append(error)
                return None
            done += 1
            run.emit(PhaseEvent, parent=turn, text=f"read {done} of {len(groups)} parts")
            return reply.text

        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(one(number, passages)) for number, passages in enumerate(groups, start=1)
            ]
        replies = [task.result() for task in tasks]
        if failures and done == 0:
            raise failures[0]
        if failures:
            run.warn(
                "parts_failed", f"{len(failures)} of {len(groups)} parts could not be read: {failures[0]}"
            )
        notes = tuple(reply.strip() for reply in replies if reply is not None and not says_nothing(reply))
        run.draft = "\n".join(notes)
        return _Reading(notes, sum(reply is not None for reply in replies), len(groups))


def _cut(context: Context, pieces: Sequence[Piece], size: int) -> list[Piece]:
    """No piece longer than what one prompt holds."""
    cut: list[Piece] = []
    for piece in pieces:
        end = min(piece.end, piece.start + size)
        cut.append(Piece(piece.start, end, context.text[piece.start : end], piece.score))
    return cut


def _grouped(pieces: Sequence[Piece], size: int) -> list[dict[int, Piece]]:
    """Numbered passages, as many in a group as one prompt holds, best first."""
    groups: list[dict[int, Piece]] = []
    used = size + 1
    for number, piece in enumerate(pieces, start=1):
        used += len(piece.text) + 8
        if used > size or not groups:
            groups.append({})
            used = len(piece.text) + 8
        groups[-1][number] = piece
    return groups

"""Strategy ``retrieve``: find passages, read every group of them with the question, answer from the notes. Needs no
coding skill.

For questions about everything (count, list, compare, summarise) the best few passages would give a confident wrong
answer, so these are read in full, what they list is counted and added up by code, and the answer says what was covered.
An answer that needs something else first (the person who ...) is looked up in further searches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from memory_store import MemoryStore
from rlm_core.backends.base import ChatMessage
from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.complexity import asks_for_everything, asks_for_summary
from rlm_core.context import Context, Piece, search_both
from rlm_core.coverage import best_passages, select_parts
from rlm_core.direct import DirectAnswer
from rlm_core.events import PhaseEvent
from rlm_core.prompts import (
    LOOK_UP_FIRST,
    LOOKED_FOR,
    NOTHING_FOUND,
    READ_ALL,
    READ_ITEMS,
    READ_PASSAGES,
)
from rlm_core.question import Question
from rlm_core.reading import Group, MapReader, Task
from rlm_core.results import Answer
from rlm_core.router import SMALL, TINY
from rlm_core.run import Run
from rlm_core.small_models import PASSAGES_CHARS, SmallReader
from rlm_core.synthesizer import Notes, Synthesizer, says_nothing
from rlm_core.tally import Item, counted, parse_items

PASSAGES_FOUND = 12
PASSAGES_LOOKED_UP = 6
FURTHER_SEARCHES = 2
NOTE_TOKENS = 512
"""Room for the notes that a reader writes about one group of passages."""
LIST_TOKENS = 1_024
"""The same for a list of items, of which a dense passage (a log, a table) has many."""
SMALLEST_PART_CHARS = 400
READ_IN_VAIN_CHARS = 20_000
"""So much a model below a billion parameters reads at most when no passage fits the question: about ten calls. A tiny one
would only make something up about it."""


class PassageReader:
    """Answers from passages. ``store`` gives the hybrid search over stored documents, if there is a store."""

    def __init__(
        self,
        calls: ModelCalls,
        synthesizer: Synthesizer,
        direct: DirectAnswer,
        store: Callable[[], MemoryStore | None],
    ) -> None:
        self._calls = calls
        self._synthesizer = synthesizer
        self._direct = direct
        self._store = store
        self._small = SmallReader(calls, synthesizer, partial(self.search, k=PASSAGES_FOUND))

    async def answer(self, run: Run, question: Question, *, parent: str | None = None) -> Answer:
        """Answer ``question`` from its context. Raises what the calls raise; what was found until then is ``run.draft``."""
        reading = _Reading(self._calls, self._synthesizer, self.search, run, question, parent)
        everything = asks_for_everything(question.text)
        size = await self._calls.parameters(run)
        if size < SMALL:
            answer = await self._small.answer(
                run, question, tiny=size < TINY, everything=everything, parent=parent
            )
            in_vain = size < TINY or (not everything and len(question.context) > READ_IN_VAIN_CHARS)
            if answer is None and in_vain and not asks_for_summary(question.text):
                run.warn(
                    "nothing_fits",
                    "No passage of the material fits the question, so the answer does not come from the material.",
                )
                answer = await self._direct.answer(run, replace(question, context=Context(())))
                return replace(answer, coverage="nothing, for no line of the material fits the question")
            return answer or await reading.in_one_go()
        return await (reading.of_everything() if everything else reading.of_the_best())

    async def search(self, context: Context, query: str, k: int) -> list[Piece]:
        """The ``k`` best passages of the context, best first."""
        return await search_both(context, query, k, self._store())


@dataclass
class _Reading:
    """One question being read about, and what that has brought so far. Passages are numbered across all searches."""

    calls: ModelCalls
    synthesizer: Synthesizer
    search: Callable[[Context, str, int], Awaitable[list[Piece]]]
    run: Run
    question: Question
    parent: str | None
    passages: dict[int, Piece] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    all_read: bool = False
    ended_by: str | None = None

    # --- the ways ---------------------------------------------------------------------------------------------------

    async def of_the_best(self) -> Answer:
        """From the passages that fit the question best, if they hold the answer; else from as much as it takes."""
        return await self._answer(self._from_best())

    async def of_everything(self) -> Answer:
        """From all of the material, with what its readers have to know looked up first."""

        async def all_of_it() -> None:
            await self._read_all(await self._looked_up_first())

        return await self._answer(all_of_it())

    async def in_one_go(self) -> Answer:
        """From all of the material, without asking back."""
        await self._read_all("")
        return self._marked(await self._from_notes())

    async def _answer(self, begin: Awaitable[Answer | None]) -> Answer:
        """What the beginning gives, or the notes do; at the end of the budget what there is."""
        try:
            answer = await begin or await self._with_further_searches()
        except BudgetExhausted as error:
            answer = None
            self.ended_by = self.ended_by or str(error)
        return self._marked(answer or await self._from_notes())

    async def _from_notes(self) -> Answer:
        return await self.synthesizer.from_notes(self.run, self.question, self._notes, parent=self.parent)

    def _marked(self, answer: Answer) -> Answer:
        """The answer with what was read for it, as partial when reading ended before its end."""
        answer = replace(answer, coverage=self._coverage)
        return answer if self.ended_by is None else replace(answer, partial=True, reason=self.ended_by)

    # --- the steps --------------------------------------------------------------------------------------------------

    async def _from_best(self) -> Answer | None:
        """The answer straight from the passages that fit the question best, if one prompt holds them and they hold it.
        Otherwise they are read into notes."""
        self.run.emit(PhaseEvent, parent=self.parent, text="searching")
        found = await self._found(self.question.text, PASSAGES_FOUND)
        if not found:
            return None
        self.read.append(best_passages(len(found)))
        task = Task(READ_PASSAGES, self.question, NOTE_TOKENS)
        groups = await self._groups(task, found)
        if len(groups) == 1:
            outcome = await self.synthesizer.try_passages(
                self.run, self.question, groups[0], parent=self.parent
            )
            if isinstance(outcome, Answer):
                return outcome
            if not outcome.search:
                return None
        await self._read_groups(task, groups)
        return None

    async def _with_further_searches(self) -> Answer | None:
        """The answer from the notes, after as many searches as it needs; at last from reading everything. None when
        even then the model asks back."""
        searches = 0
        while True:
            if not (self.texts or self.items):
                if self.all_read:
                    return None
                await self._read_all("")
            outcome = await self.synthesizer.try_notes(
                self.run, self.question, self._notes, parent=self.parent
            )
            if isinstance(outcome, Answer):
                return outcome
            if outcome.search and searches < FURTHER_SEARCHES:
                searches += 1
                if await self._search_again(outcome.search):
                    continue
            if self.all_read:
                return None
            await self._read_all("\n".join(self.texts))

    async def _search_again(self, words: str) -> bool:
        """Look for something that the notes lack. Whether anything was added to them."""
        self.run.emit(PhaseEvent, parent=self.parent, text=f"searching: {words}")
        known = set(self.passages)
        found = await self._found(words, PASSAGES_FOUND)
        fresh = {number: piece for number, piece in found.items() if number not in known}
        if not fresh:
            return False
        self.read.append(f"{counted(len(fresh), 'passage')} found for “{words}”")
        notes = "\n".join([*self.texts, LOOKED_FOR.format(words=words)])
        task = Task(READ_PASSAGES, self.question, NOTE_TOKENS, notes)
        return await self._read_groups(task, await self._groups(task, fresh))

    async def _looked_up_first(self) -> str:
        """What readers of single parts have to know beforehand, for a question that describes a thing instead of naming it."""
        prompt = LOOK_UP_FIRST.format(question=self.question.text, nothing=NOTHING_FOUND)
        reply = await self.calls.call(
            self.run,
            "fast",
            "map",
            [ChatMessage("user", prompt)],
            parent=self.parent,
            temperature=0.0,
            max_tokens=NOTE_TOKENS,
        )
        first = reply.text.strip().splitlines()[0] if reply.text.strip() else ""
        if says_nothing(first) or "?" not in first:
            return ""
        self.run.emit(PhaseEvent, parent=self.parent, text=f"looking up first: {first}")
        other = replace(self, question=Question(first, self.question.context), passages={}, texts=[])
        task = Task(READ_PASSAGES, other.question, NOTE_TOKENS)
        await other._read_groups(
            task, await other._groups(task, await other._found(first, PASSAGES_LOOKED_UP))
        )
        return "\n".join([first, *other.texts]) if other.texts else ""

    async def _read_groups(self, task: Task, groups: Sequence[Group]) -> bool:
        """Read passages into notes. Whether there are any."""
        if not groups:
            return False
        read = await MapReader(self.calls).read(self.run, task, groups, self.parent)
        notes = [part.notes for part in read if part.notes]
        self.texts += notes
        self.run.draft = "\n".join(self.texts)
        return bool(notes)

    async def _read_all(self, known: str) -> None:
        """Read everything, in order, or of too much as many parts as the budget has calls for."""
        self.all_read = True
        context = self.question.context
        listing = not asks_for_summary(self.question.text)
        prompt, room = (READ_ITEMS, LIST_TOKENS) if listing else (READ_ALL, NOTE_TOKENS)
        task = Task(prompt, self.question, room, known)
        calls = max(1, self.run.budget.calls_left - 1)
        parts = self._numbered(context.pieces(await self._size_for_all(task, calls)))
        # in a thread: it may search through all of a long text
        selection = await asyncio.to_thread(select_parts, self.question.text, known, parts, calls, context)
        self.read = [selection.coverage]
        groups: list[Group] = [{number: piece} for number, piece in selection.parts.items()]
        read = await MapReader(self.calls).read(self.run, task, groups, self.parent, selection.coverage)
        done = sum(part.notes is not None for part in read)
        if done < len(groups):
            self.read = [f"{done} of {counted(len(parts), 'part')} of the material"]
        if selection.missed or done < len(groups):
            self.ended_by = f"Only {self._coverage} could be read."
            self.run.warn(
                "not_all_read", f"{self.ended_by} Raise max_llm_calls or num_ctx to read everything."
            )
        for part in read:
            number = next(iter(part.group))
            if part.notes and listing:
                self.items += parse_items(part.notes, number)
            elif part.notes:
                self.texts.append(part.notes)
        self.run.draft = "\n".join([*self.texts, *(item.line for item in self.items)])

    # --- passages ---------------------------------------------------------------------------------------------------

    @property
    def _coverage(self) -> str:
        """Which passages were read, in words."""
        return " and ".join(self.read)

    @property
    def _notes(self) -> Notes:
        return Notes(tuple(self.texts), tuple(self.items), self.passages, self._coverage or "nothing")

    async def _found(self, words: str, k: int) -> dict[int, Piece]:
        return self._numbered(await self.search(self.question.context, words, k))

    def _numbered(self, pieces: Sequence[Piece]) -> dict[int, Piece]:
        """The pieces with their numbers; those that came up before keep theirs."""
        known = {(piece.start, piece.end): number for number, piece in self.passages.items()}
        numbers = {}
        for piece in pieces:
            number = known.setdefault((piece.start, piece.end), len(known) + 1)
            numbers[number] = piece
        self.passages.update(numbers)
        return numbers

    async def _size_for_all(self, task: Task, calls: int) -> int:
        """Characters of one part, so that the calls suffice for the whole context if that is possible at all."""
        context = self.question.context
        room = await self._room(task, task.reply_tokens, context.text)
        if await self.calls.parameters(self.run) < SMALL:
            room = min(room, PASSAGES_CHARS)
        most = await self._room(task, NOTE_TOKENS // 2, context.text)
        enough = int(len(context) / calls * 1.1) + 100
        return max(SMALLEST_PART_CHARS, min(most, max(room, enough)))

    async def _groups(self, task: Task, pieces: dict[int, Piece]) -> list[Group]:
        """Numbered passages, as many in a group as one prompt holds, best first."""
        room = await self._room(task, task.reply_tokens, "".join(piece.text for piece in pieces.values()))
        groups: list[dict[int, Piece]] = []
        used = 0
        for number, piece in pieces.items():
            length = len(piece.text) + len(piece.heading) + 12
            if not groups or used + length > room:
                groups.append({})
                used = 0
            groups[-1][number] = piece
            used += length
        return list(groups)

    async def _room(self, task: Task, reply_tokens: int, like: str) -> int:
        return await self.calls.room_chars(
            self.run, "fast", task.messages(), reply_tokens=reply_tokens, like=like[:1_000_000]
        )

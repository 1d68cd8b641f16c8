"""Strategy ``retrieve``: find passages, read every group of them with the question, answer from the notes. Needs no
coding skill.

For questions about everything (count, list, compare, summarise) the best few passages would give a confident wrong
answer, so these are read in full, what they list is counted and added up by code, and the answer says what was covered.
An answer that needs something else first (the person who ...) is looked up in further searches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from memory_store import MemoryStore
from rlm_core.backends.base import ChatMessage
from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.complexity import asks_for_everything, asks_for_summary
from rlm_core.context import Context, Piece, search_both
from rlm_core.coverage import best_passages, select_parts
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
from rlm_core.run import Run
from rlm_core.small_models import PASSAGES_CHARS, SMALL, TINY, SmallReader, parameters
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


@dataclass
class _Findings:
    """What reading has brought so far. Passages are numbered across all searches."""

    passages: dict[int, Piece] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    read_all: bool = False
    ended_by: str | None = None

    def add(self, pieces: Sequence[Piece]) -> dict[int, Piece]:
        """Number those pieces that are new."""
        known = {(piece.start, piece.end) for piece in self.passages.values()}
        fresh = [piece for piece in pieces if (piece.start, piece.end) not in known]
        numbered = dict(enumerate(fresh, start=len(self.passages) + 1))
        self.passages.update(numbered)
        return numbered

    @property
    def coverage(self) -> str:
        """Which passages were read, in words."""
        return " and ".join(self.read)

    @property
    def notes(self) -> Notes:
        return Notes(tuple(self.texts), tuple(self.items), self.passages, self.coverage or "nothing")

    def marked(self, answer: Answer) -> Answer:
        """The answer with what was read for it, as partial when reading ended before its end."""
        answer = replace(answer, coverage=self.coverage)
        return answer if self.ended_by is None else replace(answer, partial=True, reason=self.ended_by)


class PassageReader:
    """Answers from passages. ``store`` gives the hybrid search over stored documents, if there is a store."""

    def __init__(
        self, calls: ModelCalls, synthesizer: Synthesizer, store: Callable[[], MemoryStore | None]
    ) -> None:
        self._calls = calls
        self._synthesizer = synthesizer
        self._store = store
        self._reader = MapReader(calls)
        self._small = SmallReader(calls, synthesizer, partial(self.search, k=PASSAGES_FOUND))

    async def answer(self, run: Run, question: Question, *, parent: str | None = None) -> Answer:
        """Answer ``question`` from its context. Raises what the calls raise; what was found until then is ``run.draft``."""
        everything = asks_for_everything(question.text)
        size = await parameters(self._calls, run)
        if size < SMALL:
            answer = await self._small.answer(
                run, question, tiny=size < TINY, everything=everything, parent=parent
            )
            return answer or await self._all_or_nothing(run, question, parent)
        found = _Findings()
        try:
            answer = None
            if everything:
                known = await self._looked_up_first(run, question, parent)
                await self._read_all(run, question, found, known, parent)
            else:
                answer = await self._from_best(run, question, found, parent)
            if answer is None:
                answer = await self._with_further_searches(run, question, found, parent)
        except BudgetExhausted as error:
            answer = None
            found.ended_by = found.ended_by or str(error)
        if answer is None:
            answer = await self._synthesizer.from_notes(run, question, found.notes, parent=parent)
        return found.marked(answer)

    async def _all_or_nothing(self, run: Run, question: Question, parent: str | None) -> Answer:
        """One pass over everything, without asking back."""
        found = _Findings()
        await self._read_all(run, question, found, "", parent)
        return found.marked(await self._synthesizer.from_notes(run, question, found.notes, parent=parent))

    async def search(self, context: Context, query: str, k: int) -> list[Piece]:
        """The ``k`` best passages of the context, best first."""
        return await search_both(context, query, k, self._store())

    # --- the steps --------------------------------------------------------------------------------------------------

    async def _from_best(
        self, run: Run, question: Question, found: _Findings, parent: str | None
    ) -> Answer | None:
        """The answer straight from the passages that fit the question best, if one prompt holds them and they hold it.
        Otherwise they are read into notes."""
        run.emit(PhaseEvent, parent=parent, text="searching")
        pieces = found.add(await self.search(question.context, question.text, PASSAGES_FOUND))
        found.read.append(best_passages(len(pieces)))
        task = Task(READ_PASSAGES, question, NOTE_TOKENS)
        groups = await self._groups(run, task, pieces)
        if len(groups) == 1:
            outcome = await self._synthesizer.try_passages(run, question, groups[0], parent=parent)
            if isinstance(outcome, Answer):
                return outcome
            if not outcome.search:
                return None
        await self._read_groups(run, task, groups, found, parent)
        return None

    async def _with_further_searches(
        self, run: Run, question: Question, found: _Findings, parent: str | None
    ) -> Answer | None:
        """The answer from the notes, after as many searches as it needs; at last from reading everything. None when
        even then the model asks back."""
        searches = 0
        while True:
            if not (found.texts or found.items):
                if found.read_all:
                    return None
                await self._read_all(run, question, found, "", parent)
            outcome = await self._synthesizer.try_notes(run, question, found.notes, parent=parent)
            if isinstance(outcome, Answer):
                return outcome
            if outcome.search and searches < FURTHER_SEARCHES:
                searches += 1
                if await self._search_again(run, question, outcome.search, found, parent):
                    continue
            if found.read_all:
                return None
            await self._read_all(run, question, found, "\n".join(found.texts), parent)

    async def _search_again(
        self, run: Run, question: Question, words: str, found: _Findings, parent: str | None
    ) -> bool:
        """Look for something that the notes lack. Whether anything was added to them."""
        run.emit(PhaseEvent, parent=parent, text=f"searching: {words}")
        pieces = found.add(await self.search(question.context, words, PASSAGES_FOUND))
        if pieces:
            found.read.append(f"{counted(len(pieces), 'passage')} found for “{words}”")
        known = "\n".join([*found.texts, LOOKED_FOR.format(words=words)])
        task = Task(READ_PASSAGES, question, NOTE_TOKENS, known)
        return await self._read_groups(run, task, await self._groups(run, task, pieces), found, parent)

    async def _looked_up_first(self, run: Run, question: Question, parent: str | None) -> str:
        """What readers of single parts have to know beforehand, for a question that describes a thing instead of naming it."""
        prompt = LOOK_UP_FIRST.format(question=question.text, nothing=NOTHING_FOUND)
        reply = await self._calls.call(
            run,
            "fast",
            "map",
            [ChatMessage("user", prompt)],
            parent=parent,
            temperature=0.0,
            max_tokens=NOTE_TOKENS,
        )
        first = reply.text.strip().splitlines()[0] if reply.text.strip() else ""
        if says_nothing(first) or "?" not in first:
            return ""
        run.emit(PhaseEvent, parent=parent, text=f"looking up first: {first}")
        found = _Findings()
        pieces = found.add(await self.search(question.context, first, PASSAGES_LOOKED_UP))
        task = Task(READ_PASSAGES, Question(first, question.context), NOTE_TOKENS)
        await self._read_groups(run, task, await self._groups(run, task, pieces), found, parent)
        return "\n".join([first, *found.texts]) if found.texts else ""

    async def _read_groups(
        self, run: Run, task: Task, groups: Sequence[Group], found: _Findings, parent: str | None
    ) -> bool:
        """Read passages into notes. Whether there are any."""
        if not groups:
            return False
        notes = [read.notes for read in await self._reader.read(run, task, groups, parent) if read.notes]
        found.texts += notes
        run.draft = "\n".join(found.texts)
        return bool(notes)

    async def _read_all(
        self, run: Run, question: Question, found: _Findings, known: str, parent: str | None
    ) -> None:
        """Read everything, in order, or of too much as many parts as the budget has calls for."""
        found.read_all = True
        listing = not asks_for_summary(question.text)
        task = Task(
            READ_ITEMS if listing else READ_ALL, question, LIST_TOKENS if listing else NOTE_TOKENS, known
        )
        calls = max(1, run.budget.calls_left - 1)
        size = await self._size_for_all(run, task, calls)
        parts = found.add(question.context.pieces(size))
        selection = select_parts(question.text, known, parts, calls, question.context)
        found.read = [selection.coverage]
        groups: list[Group] = [{number: piece} for number, piece in selection.parts.items()]
        read = await self._reader.read(run, task, groups, parent, selection.coverage)
        done = sum(part.notes is not None for part in read)
        if done < len(groups):
            found.read = [f"{done} of {counted(len(parts), 'part')} of the material"]
        if selection.missed or done < len(groups):
            found.ended_by = f"Only {found.coverage} could be read."
            run.warn("not_all_read", f"{found.ended_by} Raise max_llm_calls or num_ctx to read everything.")
        for part in read:
            number = next(iter(part.group))
            if part.notes and listing:
                found.items += parse_items(part.notes, number)
            elif part.notes:
                found.texts.append(part.notes)
        run.draft = "\n".join([*found.texts, *(item.line for item in found.items)])

    # --- sizes ------------------------------------------------------------------------------------------------------

    async def _size_for_all(self, run: Run, task: Task, calls: int) -> int:
        """Characters of one part, so that the calls suffice for the whole context if that is possible at all."""
        context = task.question.context
        room = await self._room(run, task, task.reply_tokens, context.text)
        if await parameters(self._calls, run) < SMALL:
            room = min(room, PASSAGES_CHARS)
        most = await self._room(run, task, NOTE_TOKENS // 2, context.text)
        enough = int(len(context) / calls * 1.1) + 100
        return max(SMALLEST_PART_CHARS, min(most, max(room, enough)))

    async def _groups(self, run: Run, task: Task, pieces: dict[int, Piece]) -> list[Group]:
        """Numbered passages, as many in a group as one prompt holds, best first."""
        room = await self._room(
            run, task, task.reply_tokens, "".join(piece.text for piece in pieces.values())
        )
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

    async def _room(self, run: Run, task: Task, reply_tokens: int, like: str) -> int:
        return await self._calls.room_chars(
            run, "fast", task.messages(), reply_tokens=reply_tokens, like=like[:1_000_000]
        )

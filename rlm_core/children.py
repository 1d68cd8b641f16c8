"""The recursion: what code in a REPL may call, and the child RLMs that ``rlm_query`` makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.events import ChildAnswerEvent
from rlm_core.question import Question, shorten
from rlm_core.recursion import CannotCode, ReplLoop
from rlm_core.results import Answer
from rlm_core.run import Run
from rlm_core.subcalls import MemorySearch, SubCalls
from rlm_core.workspaces import Workspaces

if TYPE_CHECKING:
    from memory_store import MemoryStore

ANSWER_PREVIEW = 2_000
"""Characters of a child's answer that go into the trace."""


class Children:
    """Makes the sub-calls of a REPL, and answers those that ask for a child RLM with a loop in a REPL of its own."""

    def __init__(
        self,
        calls: ModelCalls,
        loop: ReplLoop,
        workspaces: Workspaces,
        store: Callable[[], MemoryStore | None],
    ) -> None:
        self._calls = calls
        self._loop = loop
        self._workspaces = workspaces
        self._store = store

    def subcalls(self, run: Run, *, user: str | None) -> SubCalls:
        """The functions of the root's REPL. ``user`` None: without long-term memory."""
        return self._subcalls(run, run.budget.limits.max_depth, self._memory_of(user))

    def _subcalls(self, run: Run, depth: int, memory: MemorySearch | None) -> SubCalls:
        solve = partial(self._solve, memory=memory)
        return SubCalls(self._calls, run, depth=depth, solve_child=solve, memory=memory)

    async def _solve(
        self, run: Run, question: Question, depth: int, parent: str | None, *, memory: MemorySearch | None
    ) -> str:
        """A child's answer. Raises BudgetExhausted when it found none."""
        child = run.next_child()
        subcalls = self._subcalls(run, depth, memory)
        async with self._workspaces.borrow(question, subcalls) as workspace:
            try:
                answer = await self._loop.answer(
                    run, question, workspace, depth=depth, parent=parent, child=child
                )
            except CannotCode as error:
                answer = Answer(error.last_reply, partial=True, reason=str(error))
        run.emit(
            ChildAnswerEvent,
            parent=parent,
            child=child,
            text=shorten(answer.text, ANSWER_PREVIEW),
            chars=len(answer.text),
            partial=answer.partial,
            reason=answer.reason,
        )
        if answer.partial and not answer.text:
            raise BudgetExhausted("child", answer.reason or "The child found no answer.")
        return answer.text

    def _memory_of(self, user: str | None) -> MemorySearch | None:
        store = self._store()
        if store is None or user is None:
            return None

        def search(text: str, k: int) -> list[tuple[str, str, float]]:
            return [(hit.role, hit.text, hit.created_at) for hit in store.recall(text, k, user=user)]

        return search

"""How the engine is put together: which object is given which, made when the first message needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rlm_core.backends.base import Backend
from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.complexity import ComplexityAnalyzer
from rlm_core.decomposer import Decomposer
from rlm_core.direct import DirectAnswer
from rlm_core.events import PhaseEvent
from rlm_core.plan import PlanRunner
from rlm_core.probe import CapabilityProbe
from rlm_core.question import Question
from rlm_core.recursion import CannotCode, ReplLoop
from rlm_core.retrieval import PassageReader
from rlm_core.router import Router
from rlm_core.run import Run
from rlm_core.settings import Settings
from rlm_core.subcalls import SubCalls
from rlm_core.synthesizer import Synthesizer
from rlm_core.tokens import TokenEstimator
from rlm_core.workspaces import Workspaces

if TYPE_CHECKING:
    from memory_store import MemoryStore
    from rlm_core.backends.choose import Choice

CAPABILITIES_FILE = "capabilities.json"


class Parts:
    """Builds the engine's parts for one set of settings, once, with the backend that those settings choose."""

    @dataclass(frozen=True)
    class Opened:
        """The parts, each given what it needs."""

        calls: ModelCalls
        complexity: ComplexityAnalyzer
        direct: DirectAnswer
        reader: PassageReader
        loop: ReplLoop
        plan: PlanRunner
        probe: CapabilityProbe
        workspaces: Workspaces
        store: Callable[[], MemoryStore | None]

        def subcalls(self, run: Run, depth: int, user: str | None) -> SubCalls:
            """The functions of a REPL at this depth. ``user`` None: without long-term memory."""
            store = self.store()

            def search(text: str, k: int) -> list[tuple[str, str, float]]:
                assert store is not None
                hits = store.recall(text, k, user=user or "local")
                return [(hit.role, hit.text, hit.created_at) for hit in hits]

            memory = search if user is not None and store is not None else None
            return SubCalls(
                self.calls, run, depth=depth, solve_child=partial(self._child, memory=memory), memory=memory
            )

        async def _child(
            self,
            run: Run,
            question: Question,
            depth: int,
            parent: str | None,
            *,
            memory: Callable[[str, int], list[tuple[str, str, float]]] | None,
        ) -> str:
            """A child RLM with a REPL of its own."""
            subcalls = SubCalls(
                self.calls, run, depth=depth, solve_child=partial(self._child, memory=memory), memory=memory
            )
            async with self.workspaces.borrow(question, subcalls) as workspace:
                try:
                    answer = await self.loop.answer(
                        run, question, workspace, depth=depth, parent=parent, child=run.next_child()
                    )
                except CannotCode as error:
                    return error.last_reply
            if answer.partial and not answer.text:
                raise BudgetExhausted("child", answer.reason or "The child found no answer.")
            return answer.text

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        open_store: Callable[[], MemoryStore],
        existing_store: Callable[[], MemoryStore | None],
        backend: Backend | None = None,
        estimator: TokenEstimator | None = None,
        workspaces: Workspaces | None = None,
    ) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._open_store = open_store
        self._existing_store = existing_store
        self._given = backend
        self._estimator = estimator or TokenEstimator()
        self._workspaces = workspaces or Workspaces(settings)
        self._choice: Choice | None = None
        self._opened: Parts.Opened | None = None
        self._opening = asyncio.Lock()
        self._handed_over = False

    async def choice(self) -> Choice:
        """The backend, chosen once."""
        async with self._opening:
            return await self._chosen()

    async def opened(self, run: Run) -> Opened:
        """The parts, built for the first message."""
        async with self._opening:
            if self._opened is None:
                run.emit(PhaseEvent, text="looking for a model server")
                self._opened = self._build((await self._chosen()).backend)
            return self._opened

    def with_settings(self, settings: Settings, *, keep_backend: bool = True) -> Parts:
        """Parts for new settings. Backend and REPLs go over to them unless the settings ask for others; call
        :meth:`retire` then on these."""
        keep_backend = keep_backend and _backend_fields(settings) == _backend_fields(self._settings)
        keep_repls = settings.repl == self._settings.repl
        fresh = Parts(
            settings,
            self._data_dir,
            self._open_store,
            self._existing_store,
            self._given,
            self._estimator,
            self._workspaces if keep_repls else None,
        )
        if keep_backend:
            fresh._choice, self._choice = self._choice, None
        self._handed_over = keep_repls
        return fresh

    async def forget_workspace(self, conversation_id: str) -> None:
        """Close the REPL of a conversation."""
        await self._workspaces.forget(conversation_id)

    async def retire(self) -> None:
        """Close what newer parts did not take over."""
        if not self._handed_over:
            await self._workspaces.close()
        if self._choice is not None and self._given is None:
            await self._choice.backend.close()
            self._choice = None

    async def close(self) -> None:
        """Close everything."""
        await self.retire()
        if self._given is not None:
            await self._given.close()

    async def _chosen(self) -> Choice:
        if self._choice is None:
            from rlm_core.backends.choose import Choice, choose_backend

            if self._given is not None:
                self._choice = Choice(self._given, (await self._given.status()).sentence)
            else:
                self._choice = await choose_backend(self._settings)
        return self._choice

    def _build(self, backend: Backend) -> Opened:
        calls = ModelCalls(backend, Router(backend, self._settings), self._estimator)
        synthesizer = Synthesizer(calls)
        reader = PassageReader(calls, synthesizer, self._existing_store)
        return Parts.Opened(
            calls=calls,
            complexity=ComplexityAnalyzer(calls),
            direct=DirectAnswer(calls, self._existing_store),
            reader=reader,
            loop=ReplLoop(calls),
            plan=PlanRunner(calls, Decomposer(calls), reader, synthesizer),
            probe=CapabilityProbe(calls, self._data_dir / CAPABILITIES_FILE),
            workspaces=self._workspaces,
            store=self._existing_store,
        )


def _backend_fields(settings: Settings) -> tuple[object, ...]:
    embedded_file = settings.models.fast if settings.models.fast.endswith(".gguf") else None
    return settings.backend, settings.base_url, settings.api_key, embedded_file

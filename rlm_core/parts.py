"""How the engine is put together: which object is given which, made when the first message needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rlm_core.backends.base import Backend
from rlm_core.calls import ModelCalls
from rlm_core.children import Children
from rlm_core.complexity import ComplexityAnalyzer
from rlm_core.decomposer import Decomposer
from rlm_core.direct import DirectAnswer
from rlm_core.events import PhaseEvent
from rlm_core.plan import PlanRunner
from rlm_core.probe import CapabilityProbe
from rlm_core.recursion import ReplLoop
from rlm_core.retrieval import PassageReader
from rlm_core.router import Router
from rlm_core.run import Run
from rlm_core.settings import Settings
from rlm_core.shared import Shared
from rlm_core.strategy import StrategyChoice
from rlm_core.synthesizer import Synthesizer
from rlm_core.tokens import TokenEstimator
from rlm_core.workspaces import Workspaces

if TYPE_CHECKING:
    from memory_store import MemoryStore
    from rlm_core.backends.choose import Choice

CAPABILITIES_FILE = "capabilities.json"


@dataclass(frozen=True)
class Parts:
    """What makes answers, each part given what it needs. They keep nothing about single messages."""

    complexity: ComplexityAnalyzer
    strategies: StrategyChoice
    probe: CapabilityProbe
    direct: DirectAnswer
    reader: PassageReader
    plan: PlanRunner
    loop: ReplLoop
    children: Children
    workspaces: Workspaces


class ChosenBackend:
    """The model server that the settings ask for, chosen once, when it is first needed; or the one that was ``given``."""

    def __init__(self, settings: Settings, given: Backend | None = None) -> None:
        self.given = given
        self._settings = settings
        self._choice: Choice | None = None
        self._choosing = asyncio.Lock()

    async def choice(self) -> Choice:
        """The backend, and why it is this one."""
        async with self._choosing:
            if self._choice is None:
                self._choice = await self._choose()
            return self._choice

    async def close(self) -> None:
        backend = self._choice.backend if self._choice is not None else self.given
        self._choice = None
        if backend is not None:
            await backend.close()

    async def _choose(self) -> Choice:
        from rlm_core.backends.choose import Choice, choose_backend

        if self.given is not None:
            return Choice(self.given, (await self.given.status()).sentence)
        return await choose_backend(self._settings)


class Assembly:
    """The parts for one set of settings. New settings make a new assembly, which takes over what they do not change; the
    rest is closed when the last answer that is made with it is done."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        store: Callable[[], MemoryStore | None],
        backend: Backend | None = None,
    ) -> None:
        """``store`` is the store if it is open already. ``backend`` is taken instead of the one that the settings choose."""
        self._settings = settings
        self._data_dir = data_dir
        self._store = store
        self._estimator = TokenEstimator()
        self._backend = Shared(ChosenBackend(settings, backend))
        self._workspaces = Shared(Workspaces(settings))
        self._parts: Parts | None = None

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[Self]:
        """Keeps backend and REPLs open for as long as the block runs."""
        async with self._backend.used(), self._workspaces.used():
            yield self

    def warm_up(self) -> None:
        """Bring up a worker for the first code."""
        self._workspaces.thing.warm_up()

    async def parts(self, run: Run) -> Parts:
        """The parts, built for the first message."""
        if self._parts is None:
            self.warm_up()
            run.emit(PhaseEvent, text="looking for a model server")
            backend = (await self.choice()).backend
            self._parts = self._parts or self._build(backend)
        return self._parts

    async def choice(self) -> Choice:
        """The backend, and why it is this one."""
        return await self._backend.thing.choice()

    def successor(self, settings: Settings, *, choose_again: bool = False) -> Assembly:
        """The assembly for new settings. Put it in the place of this one, then :meth:`retire` this. ``choose_again`` looks
        anew for a backend, even if the settings ask for the same."""
        fresh = Assembly(settings, self._data_dir, self._store)
        fresh._estimator = self._estimator
        same_backend = not choose_again and _backend_fields(settings) == _backend_fields(self._settings)
        if same_backend or self._backend.thing.given is not None:
            fresh._backend = self._backend
        if settings.repl == self._settings.repl:
            fresh._workspaces = self._workspaces
        return fresh

    async def retire(self, successor: Assembly) -> None:
        """Give up what the successor did not take over."""
        if successor._backend is not self._backend:
            await self._backend.give_up()
        if successor._workspaces is not self._workspaces:
            await self._workspaces.give_up()

    async def forget_workspace(self, conversation_id: str) -> None:
        """Close the REPL of a conversation."""
        await self._workspaces.thing.forget(conversation_id)

    async def forget_workspaces(self) -> None:
        """Close the REPLs of all conversations."""
        await self._workspaces.thing.forget_all()

    async def close(self) -> None:
        """Close everything, whoever still uses it."""
        await self._workspaces.thing.close()
        await self._backend.thing.close()

    def _build(self, backend: Backend) -> Parts:
        calls = ModelCalls(backend, Router(backend, self._settings), self._estimator)
        synthesizer = Synthesizer(calls)
        direct = DirectAnswer(calls, self._store)
        reader = PassageReader(calls, synthesizer, direct, self._store)
        loop = ReplLoop(calls)
        probe = CapabilityProbe(calls, self._data_dir / CAPABILITIES_FILE)
        workspaces = self._workspaces.thing
        return Parts(
            complexity=ComplexityAnalyzer(calls),
            strategies=StrategyChoice(probe),
            probe=probe,
            direct=direct,
            reader=reader,
            plan=PlanRunner(calls, Decomposer(calls), reader, synthesizer),
            loop=loop,
            children=Children(calls, loop, workspaces, self._store),
            workspaces=workspaces,
        )


def _backend_fields(settings: Settings) -> tuple[object, ...]:
    """What the choice of a backend depends on."""
    embedded_file = settings.models.fast if settings.models.fast.endswith(".gguf") else None
    return settings.backend, settings.base_url, settings.api_key, settings.num_ctx, embedded_file

"""A REPL session driven from plain (not async) tests: one event loop, one session, kept for many cells."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from rlm_core.repl import CellResult, ReplLimits, ReplSession, WorkerPool


class Cells:
    """``with Cells(context=...) as cells: cells.run("1 + 1").output``."""

    def __init__(self, context: str = "", **options: Any) -> None:
        options.setdefault("limits", ReplLimits(seconds=10, memory_mb=256))
        self.session = ReplSession(context, **options)
        self._runner = asyncio.Runner()

    def run(self, code: str) -> CellResult:
        """Run one cell."""
        return self._runner.run(self.session.run(code))

    def do(self, coroutine: Any) -> Any:
        """Run a coroutine on the session's loop."""
        return self._runner.run(coroutine)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        worker = self.session._worker
        assert worker is not None
        assert worker.pid is not None
        return worker.pid

    def __enter__(self) -> Cells:
        self._runner.run(self.session.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self.session.close())
        self._runner.close()


async def close_pool(pool: WorkerPool) -> None:
    """For fixtures that are not async."""
    await pool.close()

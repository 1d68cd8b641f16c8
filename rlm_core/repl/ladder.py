"""The clock of a cell and what happens when it runs out: a soft interrupt, repeated, and after a grace a kill."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final

from rlm_core.repl.process import WorkerProcess
from rlm_core.repl.types import CellResult, ReplLimits

CANCEL_GRACE: Final = 0.15
"""Seconds a cancelled cell gets to end softly: the caller waits for it."""
REPEAT_INTERRUPT: Final = 0.05


class NoReaction(Exception):
    """The soft interrupt had no effect in time; the worker has been killed."""


class RunningCell:
    """A cell that runs now."""

    def __init__(self, stopped: asyncio.Future[None]) -> None:
        self.stopped = stopped
        self.task: asyncio.Future[CellResult] | None = None
        self.seconds = 0.0
        self.timed_out = False

    def stop(self, worker: WorkerProcess | None) -> None:
        """The caller does not want it any more."""
        if not self.stopped.done():
            self.stopped.set_result(None)
        if worker is not None:
            worker.nudge()


class Ladder:
    """Soft interrupt, repeated; after the grace a kill."""

    def __init__(self, limits: ReplLimits, cell: RunningCell, worker: WorkerProcess) -> None:
        self._limits = limits
        self._cell = cell
        self._worker = worker
        self._kill_at = math.inf

    @property
    def stopping(self) -> bool:
        """True once the cell has been asked to stop."""
        return self._kill_at < math.inf

    def wait(self) -> float:
        """Seconds until the next step is due."""
        if self.stopping:
            return REPEAT_INTERRUPT
        return max(self._limits.seconds - self._cell.seconds, 0.0)

    def climb(self) -> None:
        """Take the step that is due, if any. Raises NoReaction after killing the worker."""
        now = time.monotonic()
        if self._cell.stopped.done():
            self._kill_at = min(self._kill_at, now + CANCEL_GRACE)
        elif self._cell.seconds >= self._limits.seconds and not self.stopping:
            self._cell.timed_out = True
            self._kill_at = now + self._limits.grace_seconds
        if not self.stopping:
            return
        if now >= self._kill_at:
            self._worker.kill()
            raise NoReaction
        self._worker.interrupt()

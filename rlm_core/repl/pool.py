"""A warm spare worker, so that a session starts in milliseconds."""

from __future__ import annotations

import threading
from pathlib import Path

from rlm_core.repl.launch import BOOT
from rlm_core.repl.process import WorkerProcess


class WorkerPool:
    """Owns one spare worker. Give the same pool to all sessions of an application; close it at the end.

    A session asks for the next spare when it ends (:meth:`make_ready`), because a start costs 60 ms of processor, which
    the turns of the session would feel; without a spare a worker starts while the model makes its first reply. ``script``
    is the worker's entry point (tests put another one in its place). With ``ready`` False there is no spare before
    :meth:`make_ready`.
    """

    def __init__(self, script: Path = BOOT, *, ready: bool = True) -> None:
        self._script = script
        self._lock = threading.Lock()
        self._closed = False
        self._spare: WorkerProcess | None = None
        if ready:
            self.make_ready()

    def make_ready(self) -> None:
        """Start the spare worker if there is none."""
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare = WorkerProcess(self._script)

    def take(self) -> WorkerProcess:
        """The spare worker, or a new one."""
        with self._lock:
            spare, self._spare = self._spare, None
        return spare if spare is not None and spare.alive else WorkerProcess(self._script)

    async def close(self) -> None:
        """End the spare worker."""
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.kill()
            await spare.ended()

    async def __aenter__(self) -> WorkerPool:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

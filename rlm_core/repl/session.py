"""A REPL session: cells run one after the other in one namespace, in a locked worker process.

The session is a small state machine on the host's side. Everything that could block (the process, its pipes) lives in
:mod:`rlm_core.repl.process`; how a worker gets its material and old variables is in :mod:`rlm_core.repl.starting`;
everything the worker says is checked in :mod:`rlm_core.repl.cells`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlm_core.repl import protocol, telling
from rlm_core.repl.calls import CallDesk, interrupted_reply
from rlm_core.repl.cells import ReplMemory, read_report, visible
from rlm_core.repl.ladder import CANCEL_GRACE, Ladder, NoReaction, RunningCell
from rlm_core.repl.pool import WorkerPool
from rlm_core.repl.process import WorkerGone, WorkerProcess
from rlm_core.repl.protocol import Frame, ProtocolError
from rlm_core.repl.starting import Material, bring_up, hand_over, loaded, restore
from rlm_core.repl.tables import encoded
from rlm_core.repl.types import (
    CellResult,
    Level,
    ReplDocument,
    ReplError,
    ReplLimits,
    ReplTable,
)

log = logging.getLogger(__name__)


class ReplSession:
    """One conversation's Python: ``async with ReplSession(context=...) as repl: result = await repl.run(code)``.

    ``functions`` are what a cell may call on the host, plain or async, with JSON-like arguments and results. A session
    may be used from different event loops one after the other, and runs one cell at a time. ``memory`` is that of a
    closed session: its definitions and plain variables are there at the start, and the first cell is told what is not.
    """

    def __init__(
        self,
        context: str = "",
        *,
        limits: ReplLimits | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        query: str = "",
        documents: Sequence[ReplDocument] = (),
        tables: Sequence[ReplTable] = (),
        pool: WorkerPool | None = None,
        memory: ReplMemory | None = None,
    ) -> None:
        self.limits = limits or ReplLimits()
        self.level: Level = "language-only"
        """What the worker reached; known after start."""
        self.layers: dict[str, str] = {}
        """Layer -> "on", "on (detail)" or "off: reason"; known after start."""
        self._functions = dict(functions or {})
        for name in self._functions:
            if not name.isidentifier() or name.startswith("_"):
                raise ValueError(f"{name!r} cannot be the name of a function in the REPL")
        self._material = Material(context, query, tuple(documents), [encoded(table) for table in tables])
        self._pool = pool
        self._worker: WorkerProcess | None = None
        self._memory = memory or ReplMemory(self.limits.snapshot_bytes)
        self.draft: str | None = None
        """What ``answer["content"]`` held when the last cell ended, also one that was stopped."""
        self._lost: tuple[str, ...] | None = None
        self._granted = 0
        self._loading = False
        self._started = False
        self._closed = False
        self._cell: RunningCell | None = None

    @property
    def memory(self) -> ReplMemory:
        """What brings the variables back in another session, when this one is closed."""
        return self._memory

    @property
    def variables(self) -> tuple[str, ...]:
        """``name: type, size`` of the variables, as after the last cell, without those that were lost since."""
        return self._memory.variables

    # ---- life ----

    async def __aenter__(self) -> ReplSession:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the worker and send the material; the first cell waits until it is there.

        Raises ReplError, or SandboxTooWeak below the minimum level.
        """
        if self._closed:
            raise ReplError("this REPL session is closed")
        await self._have_worker()

    async def close(self) -> None:
        """Stop a cell that runs, end the worker and wait until nothing of it is left."""
        self._closed = True
        if self._cell is not None and self._cell.task is not None:
            self._cell.stop(self._worker)
            await asyncio.wait((self._cell.task,))
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            await worker.ended()
        if self._pool is not None:
            self._pool.make_ready()

    async def prepare(
        self,
        *,
        query: str,
        context: str | None = None,
        documents: Sequence[ReplDocument] = (),
        tables: Sequence[ReplTable] = (),
    ) -> None:
        """The next message of the conversation: variables stay, ``answer`` is fresh, the context is sent only if it is
        another one.

        Without a context the old one stays with its documents and tables, unless others are given.
        """
        if self._closed:
            raise ReplError("this REPL session is closed")
        self._refuse_overlap()
        self.draft = None
        new_tables = context is not None or bool(tables)
        material = self._material
        material.query = query
        new_context = context is not None and context != material.context
        if context is not None:
            material.context, material.documents = context, tuple(documents)
        elif documents:
            material.documents = tuple(documents)
        if new_tables:
            material.tables = [encoded(table) for table in tables]
        half = self.limits.memory_mb * 1024 * 1024 // 2
        if self._worker is None or not self._worker.alive:
            await self._revive()
            return
        if material.memory_needed(self.limits) > self._granted + half:
            await self._revive()  # a worker's memory limit cannot be raised
            return
        try:
            if self._loading:  # the message before ended without a cell
                await loaded(self._worker)
            await hand_over(
                self._worker,
                material,
                self._functions,
                self.limits,
                send_context=new_context,
                send_tables=new_tables,
            )
            self._loading = True
        except (WorkerGone, ProtocolError, TimeoutError) as error:
            log.warning("the sandbox worker did not take the next message and is replaced: %s", error)
            await self._revive()
        except asyncio.CancelledError:
            self._worker.kill()  # it may hold the material of the message before
            raise

    # ---- the worker ----

    async def _have_worker(self) -> None:
        if self._worker is None or not self._worker.alive:
            await self._revive()

    async def _revive(self) -> None:
        """A new worker with the same material; definitions and plain variables come back, the rest is named as lost."""
        if self._worker is not None:
            self._worker.kill()
            await self._worker.ended()
            self._worker = None
        known = self._memory.names
        try:
            restored = await self._start_with_variables()
        except asyncio.CancelledError:
            if self._worker is not None:
                self._worker.kill()  # it may be without the variables
            raise
        lost = tuple(name for name in known if name not in restored)
        self._memory.forget_lines(lost)
        if lost or self._started:  # a first worker that has everything is nothing to speak of
            self._lost = (*(self._lost or ()), *lost)
        self._started = True

    async def _start_with_variables(self) -> set[str]:
        """Start a worker and bring back what can be: all, or without the definitions, or nothing."""
        while True:
            worker = await self._start_worker()
            if not self._memory.restorable:
                return set()
            await self._material_is_there()
            try:
                return await restore(worker, self._memory)
            except (WorkerGone, ProtocolError, TimeoutError) as error:
                log.warning("variables could not be restored: %s", error)
                if self._memory.definitions:
                    self._memory.definitions = {}  # running them again is what can hang
                else:
                    self._memory = ReplMemory(self.limits.snapshot_bytes)
                worker.kill()
                await worker.ended()

    async def _start_worker(self) -> WorkerProcess:
        fresh = self._pool.take() if self._pool is not None else WorkerProcess()
        started = await bring_up(fresh, self._material, self._functions, self.limits)
        self._worker, self._granted, self._loading = started.worker, started.granted, True
        self.level, self.layers = started.level, started.layers
        return started.worker

    async def _material_is_there(self, cell: RunningCell | None = None) -> bool:
        """Wait for it; False when the cell that needs it was stopped meanwhile. Raises ReplError if it does not arrive;
        the worker is ended then."""
        worker = self._worker
        if worker is None or not self._loading:
            return True
        try:
            self._loading = not await loaded(worker, lambda: cell is not None and cell.stopped.done())
        except (WorkerGone, ProtocolError, TimeoutError) as error:
            worker.kill()
            await worker.ended()
            raise ReplError(
                f"The material ({len(self._material.context):,} characters) could not be handed to the sandbox worker "
                f"({error}). It may be too large for this computer's memory."
            ) from error
        return not self._loading

    # ---- cells ----

    async def run(self, code: str) -> CellResult:
        """Run one cell. Cancelling this coroutine stops the cell (soft, then hard) and leaves the session usable.

        Raises ReplError if the session is closed or busy, or if no worker can be started.
        """
        if self._closed:
            raise ReplError("this REPL session is closed")
        self._refuse_overlap()
        self.draft = None
        cell = self._cell = RunningCell(asyncio.get_running_loop().create_future())
        task = cell.task = asyncio.ensure_future(self._run_cell(cell, code))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cell.stop(self._worker)
            while not task.done():
                try:
                    await asyncio.wait((task,))
                except asyncio.CancelledError:
                    continue
            if not task.cancelled() and task.exception() is not None:
                log.warning("a cancelled cell failed: %s", task.exception())
            raise
        finally:
            self._cell = None

    def _refuse_overlap(self) -> None:
        if self._cell is not None:
            raise ReplError("a cell is already running in this REPL session")

    async def _run_cell(self, cell: RunningCell, code: str) -> CellResult:
        await self._have_worker()
        if not await self._material_is_there(cell):
            return telling.not_begun(cell)
        worker = self._worker
        assert worker is not None
        cell_id = secrets.token_hex(8)
        worker.send(protocol.RUN, {"id": cell_id}, [code.encode("utf-8", "surrogatepass")])
        try:
            report = read_report(await self._until_result(worker, cell), cell_id)
            self._memory.update(report)
            self.draft = report.draft
        except ProtocolError as error:
            log.warning("the sandbox worker broke the protocol: %s", error)
            worker.kill()
            return await self._after_kill(cell, f"The sandbox worker was ended: it sent {error}.")
        except WorkerGone as gone:
            log.warning("the sandbox worker is gone: %s", gone)
            return await self._after_kill(cell, telling.why_gone(gone))
        except NoReaction:
            return await self._after_kill(cell, telling.no_reaction(cell))
        return telling.ended(report, cell, self.limits, self._take_lost())

    async def _until_result(self, worker: WorkerProcess, cell: RunningCell) -> Frame:
        """Run the clock, answer calls, climb the ladder of interrupts; returns the RESULT frame."""
        desk = CallDesk(self._functions, self.limits)
        ladder = Ladder(self.limits, cell, worker)
        while True:
            before = time.monotonic()
            frame = await worker.receive(ladder.wait())
            cell.seconds += time.monotonic() - before
            if frame is not None and frame.kind == protocol.RESULT:
                return frame
            ladder.climb()
            if frame is None:
                continue
            if frame.kind == protocol.VIOLATION:
                raise WorkerGone(f"violation: {str(frame.header.get('event'))[:80]}")
            if frame.kind == protocol.FAULT:
                log.error("the sandbox worker failed:\n%s", visible("".join(frame.texts)))
                raise WorkerGone("its own code failed, see the log")
            if frame.kind != protocol.CALL:
                raise ProtocolError(f"a frame of kind {frame.kind} in the middle of a cell")
            header, texts = await self._answer_call(desk, frame, cell, stopping=ladder.stopping)
            worker.send(protocol.REPLY, header, texts)

    async def _answer_call(
        self, desk: CallDesk, frame: Frame, cell: RunningCell, *, stopping: bool
    ) -> tuple[dict[str, Any], list[bytes]]:
        if stopping or cell.stopped.done():
            return interrupted_reply()
        call = asyncio.ensure_future(desk.answer(frame))
        await asyncio.wait((call, cell.stopped), return_when=asyncio.FIRST_COMPLETED)
        if call.done():
            return call.result()
        call.cancel()
        await asyncio.wait((call,), timeout=CANCEL_GRACE / 3)
        if call.done() and not call.cancelled():
            call.exception()  # taken, so that asyncio does not report it as forgotten
        return interrupted_reply()

    async def _after_kill(self, cell: RunningCell, reason: str) -> CellResult:
        """The worker is gone. Bring a new one up at once, unless the cell was cancelled (then at the next one)."""
        if self._worker is not None:
            self._worker.kill()
        if not cell.stopped.done():
            await self._revive()
        return telling.killed(reason, cell, self._take_lost() or ())

    def _take_lost(self) -> tuple[str, ...] | None:
        lost, self._lost = self._lost, None
        return None if lost is None else tuple(dict.fromkeys(lost))

"""A REPL session: cells run one after the other in one namespace, in a locked worker process.

The session is a small state machine on the host's side. Everything that could block (the process, its pipes) lives in
:mod:`rlm_core.repl.process`; everything the worker says is checked in :mod:`rlm_core.repl.cells`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rlm_core.repl import protocol
from rlm_core.repl.calls import CallDesk, interrupted_reply
from rlm_core.repl.cells import CellReport, Memory, read_report, visible
from rlm_core.repl.ladder import CANCEL_GRACE, Ladder, NoReaction, RunningCell
from rlm_core.repl.levels import explain, level_of, reaches
from rlm_core.repl.pool import WorkerPool
from rlm_core.repl.process import WorkerGone, WorkerProcess
from rlm_core.repl.protocol import Frame, ProtocolError
from rlm_core.repl.tables import encoded
from rlm_core.repl.types import (
    CellResult,
    Level,
    ReplDocument,
    ReplError,
    ReplLimits,
    ReplTable,
    SandboxTooWeak,
    cut_middle,
)

log = logging.getLogger(__name__)

START_SECONDS: Final = 30.0
SETUP_SECONDS: Final = 120.0
RESTORE_SECONDS: Final = 10.0
FULL_OUTPUT_CHARS: Final = 1024 * 1024


class ReplSession:
    """One conversation's Python: ``async with ReplSession(context=...) as repl: result = await repl.run(code)``.

    ``functions`` are what a cell may call on the host, plain or async, with JSON-like arguments and results. A session
    may be used from different event loops one after the other, and runs one cell at a time.
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
        self._context = context
        self._query = query
        self._documents = tuple(documents)
        self._tables = [encoded(table) for table in tables]
        self._pool = pool
        self._worker: WorkerProcess | None = None
        self._memory = Memory(self.limits.snapshot_bytes)
        self._lost: tuple[str, ...] | None = None
        self._granted = 0
        self._started = False
        self._closed = False
        self._cell: RunningCell | None = None

    # ---- life ----

    async def __aenter__(self) -> ReplSession:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the worker and hand over the material. Raises ReplError, or SandboxTooWeak below the minimum level."""
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

    async def prepare(
        self,
        *,
        query: str,
        context: str | None = None,
        documents: Sequence[ReplDocument] = (),
        tables: Sequence[ReplTable] = (),
    ) -> None:
        """The next message of the conversation: variables stay, ``answer`` is fresh, the context is sent only if given.

        Without a new context the documents and tables of the old one stay, too, unless others are given.
        """
        if self._closed:
            raise ReplError("this REPL session is closed")
        self._refuse_overlap()
        new_tables = context is not None or bool(tables)
        self._query = query
        if context is not None:
            self._context, self._documents = context, tuple(documents)
        elif documents:
            self._documents = tuple(documents)
        if new_tables:
            self._tables = [encoded(table) for table in tables]
        half = self.limits.memory_mb * 1024 * 1024 // 2
        if self._worker is None or not self._worker.alive:
            await self._have_worker()
            return
        if self._memory_needed() > self._granted + half:
            await self._revive()  # a worker's memory limit cannot be raised
            return
        try:
            await self._set_up(
                self._worker, first=False, send_context=context is not None, send_tables=new_tables
            )
        except (WorkerGone, ProtocolError, TimeoutError) as error:
            log.warning("the sandbox worker did not take the next message and is replaced: %s", error)
            await self._revive()

    # ---- the worker ----

    async def _start_worker(self) -> None:
        worker = self._pool.take() if self._pool is not None else WorkerProcess()
        try:
            ready = await self._expect(worker, protocol.READY, START_SECONDS)
            layers = ready.header.get("layers")
            if type(layers) is not dict or not all(type(v) is str for v in layers.values()):
                raise ProtocolError("no list of layers")
            self._granted = self._memory_needed()
            limited = worker.limit_memory(self._granted)
            reported = await self._set_up(worker, first=True, send_context=True, send_tables=True)
        except (WorkerGone, ProtocolError, TimeoutError) as error:
            worker.kill()
            await worker.ended()
            raise ReplError(f"the sandbox worker did not start: {error}") from error
        except BaseException:
            worker.kill()
            raise
        self.layers = {**worker.layers, **layers, "memory limit": limited or reported}
        self.level = level_of(self.layers)
        if not reaches(self.level, self.limits.minimum_level):
            worker.kill()
            await worker.ended()
            raise SandboxTooWeak(
                f"This system only reaches the sandbox level '{self.level}', but '{self.limits.minimum_level}' is "
                f"required. {explain(self.level, self.layers)} Agree to the lower level in the settings to run "
                "model-written code anyway."
            )
        self._worker = worker
        self._started = True

    def _memory_needed(self) -> int:
        # A text becomes up to 4 bytes a character, and lower() or split() make copies: 14 bytes in all (measured).
        return self.limits.memory_mb * 1024 * 1024 + 14 * len(self._context)

    async def _set_up(
        self, worker: WorkerProcess, *, first: bool, send_context: bool, send_tables: bool
    ) -> str:
        limits = self.limits
        texts: list[bytes] = []
        query = protocol.encode_value(self._query, texts)
        if send_context:
            texts.append(self._context.encode("utf-8", "surrogatepass"))
        header = {
            "first": first,
            "context": send_context,
            "query": query,
            "documents": [[d.name, d.start, d.end] for d in self._documents],
            "functions": sorted(self._functions),
            "tables": [{"name": t.name, "columns": t.columns} for t in self._tables] if send_tables else None,
            "snapshot_bytes": limits.snapshot_bytes,
            "memory_bytes": self._granted,
            "sql_rows": limits.sql_rows,
            "seconds": min(limits.seconds, 30.0),
        }
        worker.send(protocol.SETUP, header, texts)
        done = await self._expect(worker, protocol.DONE, SETUP_SECONDS)
        if send_tables:
            for table in self._tables:
                for batch in table.batches:
                    worker.send(protocol.ROWS, {"table": table.name}, [batch])
                    await self._expect(worker, protocol.DONE, SETUP_SECONDS)
        return str(done.header.get("memory"))

    async def _expect(self, worker: WorkerProcess, kind: int, seconds: float) -> Frame:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            frame = await worker.receive(left)
            if frame is not None:
                if frame.kind != kind:
                    worker.kill()
                    raise ProtocolError(f"frame {frame.kind} where {kind} was due")
                return frame
        raise TimeoutError(f"no answer within {seconds:g} s")

    async def _have_worker(self) -> None:
        if not self._started:
            await self._start_worker()
        elif self._worker is None or not self._worker.alive:
            await self._revive()

    async def _revive(self) -> None:
        """A new worker with the same material; definitions and plain variables come back, the rest is named as lost."""
        if self._worker is not None:
            self._worker.kill()
            await self._worker.ended()
            self._worker = None
        known = self._memory.names
        restored = await self._start_with_variables()
        self._lost = (*(self._lost or ()), *(name for name in known if name not in restored))

    async def _start_with_variables(self) -> set[str]:
        """Start a worker and bring back what can be: all, or without the definitions, or nothing."""
        while True:
            await self._start_worker()
            assert self._worker is not None
            try:
                return await self._restore(self._worker)
            except (WorkerGone, ProtocolError, TimeoutError) as error:
                log.warning("variables could not be restored: %s", error)
                if self._memory.definitions:
                    self._memory.definitions = {}  # running them again is what can hang
                else:
                    self._memory = Memory(self.limits.snapshot_bytes)
                self._worker.kill()
                await self._worker.ended()

    async def _restore(self, worker: WorkerProcess) -> set[str]:
        memory = self._memory
        if not memory.definitions and not memory.values:
            return set()
        texts = [*memory.definitions.values(), *memory.values.values()]
        header = {"names": [*memory.definitions, *memory.values], "definitions": len(memory.definitions)}
        worker.send(protocol.RESTORE, header, [text.encode("utf-8", "replace") for text in texts])
        done = await self._expect(worker, protocol.DONE, RESTORE_SECONDS)
        names = done.header.get("restored")
        return {name for name in names if type(name) is str} if type(names) is list else set()

    # ---- cells ----

    async def run(self, code: str) -> CellResult:
        """Run one cell. Cancelling this coroutine stops the cell (soft, then hard) and leaves the session usable.

        Raises ReplError if the session is closed or busy, or if no worker can be started.
        """
        if self._closed:
            raise ReplError("this REPL session is closed")
        self._refuse_overlap()
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
        worker = self._worker
        assert worker is not None
        cell_id = secrets.token_hex(8)
        worker.send(protocol.RUN, {"id": cell_id}, [code.encode("utf-8", "surrogatepass")])
        try:
            report = read_report(await self._until_result(worker, cell), cell_id)
            self._memory.update(report)
        except ProtocolError as error:
            log.warning("the sandbox worker broke the protocol: %s", error)
            worker.kill()
            return await self._after_kill(cell, f"The sandbox worker was ended: it sent {error}.")
        except WorkerGone as gone:
            return await self._after_kill(cell, self._why_gone(gone))
        except NoReaction:
            return await self._after_kill(
                cell,
                f"The cell was stopped after {cell.seconds:.1f} s and did not react, so Python was restarted. "
                "Work on less at a time, and avoid single operations over endless or huge sequences.",
            )
        return self._result(cell, report)

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

    def _why_gone(self, gone: WorkerGone) -> str:
        if str(gone).startswith("violation"):
            log.warning("sandbox %s", gone)
            return (
                f"Python was ended: the cell reached for something that does not exist here ({gone}). Use the provided "
                "functions and plain Python only."
            )
        return (
            f"Python ended while the cell ran ({gone}); it may have used too much memory or CPU time. Work on less at a "
            "time."
        )

    async def _after_kill(self, cell: RunningCell, reason: str) -> CellResult:
        """The worker is gone. Bring a new one up at once, unless the cell was cancelled (then at the next one)."""
        if self._worker is not None:
            self._worker.kill()
        if not cell.stopped.done():
            await self._revive()
        lost = self._take_lost()
        told = f"{reason}\n{_lost_sentence(lost)}"
        return CellResult(
            output="", full_output="", error=told, final=None, draft=None, seconds=cell.seconds,
            interrupted=cell.timed_out, restarted=True, lost=lost, variables=(),
        )  # fmt: skip

    def _take_lost(self) -> tuple[str, ...]:
        lost, self._lost = tuple(dict.fromkeys(self._lost or ())), None
        return lost

    def _result(self, cell: RunningCell, report: CellReport) -> CellResult:
        restarted = self._lost is not None
        lost = self._take_lost()
        error: str | None = report.error or None
        if report.interrupted:
            stopped = (
                f"Stopped after {cell.seconds:.1f} s of code time (the limit is {self.limits.seconds:g} s)."
            )
            error = f"{stopped}\n{report.error}\nVariables are kept. Work on less at a time."
        if restarted:
            note = f"Python was restarted before this cell. {_lost_sentence(lost)}"
            error = f"{note}\n{error}" if error else None
        shown = cut_middle(report.head, report.tail, report.hidden, self.limits.output_chars)
        if restarted and not error:
            shown = f"[{note}]\n{shown}"
        return CellResult(
            output=shown,
            full_output=cut_middle(report.head, report.tail, report.hidden, FULL_OUTPUT_CHARS),
            error=error,
            final=report.final,
            draft=report.draft,
            seconds=cell.seconds,
            interrupted=report.interrupted,
            restarted=restarted,
            lost=lost,
            variables=report.variables,
        )


def _lost_sentence(lost: Sequence[str]) -> str:
    if not lost:
        return "What the cell had set is gone; earlier variables are back."
    names = ", ".join(lost[:30]) + (f" and {len(lost) - 30} more" if len(lost) > 30 else "")
    return f"Lost and to be made again: {names}. Other earlier variables are back."

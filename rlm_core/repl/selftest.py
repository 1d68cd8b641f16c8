"""Trying the lock: a locked worker is asked to open a file, a socket and a process, and the outcome is put in words."""

from __future__ import annotations

from typing import Final

from rlm_core.repl import protocol
from rlm_core.repl.levels import explain, level_of
from rlm_core.repl.process import WorkerGone, WorkerProcess
from rlm_core.repl.protocol import ProtocolError
from rlm_core.repl.types import LEVELS, Level, ReplError, SandboxReport

ATTEMPTS: Final = ("file", "socket", "process")
SECONDS: Final = 30.0
MEMORY_BYTES: Final = 256 * 1024 * 1024


async def self_test() -> SandboxReport:
    """Start a worker, lock it, and let the worker's own code (not a cell) try what must fail.

    Raises ReplError if no worker can be started at all.
    """
    worker = WorkerProcess()
    try:
        ready = await _frame(worker, protocol.READY)
        memory = worker.limit_memory(MEMORY_BYTES)
        worker.send(protocol.PROBE, {"memory_bytes": MEMORY_BYTES})
        done = await _frame(worker, protocol.DONE)
    except (WorkerGone, ProtocolError) as error:
        raise ReplError(f"the sandbox worker could not be tested: {error}") from error
    finally:
        worker.kill()
        await worker.ended()
    reported = done.header.get("attempts")
    attempts = (
        {name: str(reported.get(name, "not tried"))[:300] for name in ATTEMPTS}
        if type(reported) is dict
        else {}
    )
    layers = {str(name): str(state) for name, state in ready.header.get("layers", {}).items()}
    layers |= worker.layers
    layers["memory limit"] = memory or str(done.header.get("memory"))
    level = _tested(level_of(layers), attempts)
    return SandboxReport(level, layers, attempts, explain(level, layers, attempts))


async def _frame(worker: WorkerProcess, kind: int) -> protocol.Frame:
    frame = await worker.receive(SECONDS)
    if frame is None or frame.kind != kind:
        raise ProtocolError("no answer" if frame is None else f"frame {frame.kind} where {kind} was due")
    return frame


def _tested(level: Level, attempts: dict[str, str]) -> Level:
    """A level that is claimed but did not stand the test is lowered to what the test shows."""
    denied = {name for name in ATTEMPTS if attempts.get(name, "").startswith("denied")}
    if level == "strict" and denied != set(ATTEMPTS):
        level = "standard"
    if level == "standard" and "process" not in denied:
        level = "language-only"
    assert level in LEVELS
    return level

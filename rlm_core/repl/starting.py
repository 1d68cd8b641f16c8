"""Bringing a worker up: it says how far it locked itself, gets its memory limit and the material, and old variables.

The material is on its way when a session goes on; whoever needs it there waits with :func:`loaded`.

Nothing here knows about cells; what a session does with a worker that is up is in :mod:`rlm_core.repl.session`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rlm_core.repl import protocol
from rlm_core.repl.cells import ReplMemory, visible
from rlm_core.repl.levels import explain, level_of, reaches
from rlm_core.repl.process import WorkerGone, WorkerProcess
from rlm_core.repl.protocol import Frame, ProtocolError
from rlm_core.repl.tables import EncodedTable
from rlm_core.repl.types import Level, ReplDocument, ReplError, ReplLimits, SandboxTooWeak

START_SECONDS: Final = 30.0
SETUP_SECONDS: Final = 30.0
LOAD_SECONDS: Final = 120.0
RESTORE_SECONDS: Final = 10.0
BYTES_A_CHARACTER: Final = 14
"""A text becomes up to 4 bytes a character, and lower() or split() make copies: 14 bytes in all (measured)."""
PIECE_CHARS: Final = 256 * 1024
"""The context is sent in pieces of this size, so that neither side ever holds it twice."""


@dataclass(slots=True)
class Material:
    """What a session's cells work on. The host keeps it, so that it can be sent again to a new worker."""

    context: str
    query: str
    documents: tuple[ReplDocument, ...]
    tables: list[EncodedTable]

    def __post_init__(self) -> None:
        if not isinstance(self.context, str):
            raise TypeError(f"The context of a REPL must be text, not {type(self.context).__name__}.")

    def memory_needed(self, limits: ReplLimits) -> int:
        """Bytes that a worker with this context is granted."""
        return limits.memory_mb * 1024 * 1024 + BYTES_A_CHARACTER * len(self.context)


@dataclass(frozen=True, slots=True)
class Started:
    """A worker that is locked; its material is on its way."""

    worker: WorkerProcess
    granted: int
    """Bytes; a worker's memory limit cannot be raised later."""
    level: Level
    layers: dict[str, str]


async def bring_up(
    worker: WorkerProcess, material: Material, functions: Iterable[str], limits: ReplLimits
) -> Started:
    """Wait until the worker is locked, limit its memory and send the material.

    Raises ReplError if it does not start, SandboxTooWeak if it does not reach the minimum level; it is ended then.
    """
    try:
        ready = await expect(worker, protocol.READY, START_SECONDS)
        layers = ready.header.get("layers")
        if type(layers) is not dict or not all(type(v) is str for v in layers.values()):
            raise ProtocolError("no list of layers")
        granted = material.memory_needed(limits)
        limited = worker.limit_memory(granted)
        reported = await hand_over(worker, material, functions, limits, granted=granted)
    except (WorkerGone, ProtocolError, TimeoutError) as error:
        worker.kill()
        await worker.ended()
        raise ReplError(f"the sandbox worker did not start: {error}") from error
    except BaseException:
        worker.kill()
        raise
    layers = {**worker.layers, **layers, "memory limit": limited or reported}
    level = level_of(layers)
    if not reaches(level, limits.minimum_level):
        worker.kill()
        await worker.ended()
        raise SandboxTooWeak(
            f"This system only reaches the sandbox level '{level}', but '{limits.minimum_level}' is "
            f"required. {explain(level, layers)} Agree to the lower level in the settings to run "
            "model-written code anyway."
        )
    return Started(worker, granted, level, layers)


async def hand_over(
    worker: WorkerProcess,
    material: Material,
    functions: Iterable[str],
    limits: ReplLimits,
    *,
    granted: int | None = None,
    send_context: bool = True,
    send_tables: bool = True,
) -> str:
    """Set a worker up and send the material; returns what the worker says of its memory limit. ``granted`` (bytes) is
    for the first time. Raises WorkerGone, ProtocolError or TimeoutError.
    """
    texts: list[bytes] = []
    query = protocol.encode_value(material.query, texts)
    header = {
        "first": granted is not None,
        "query": query,
        "functions": sorted(functions),
        "tables": [{"name": t.name, "columns": t.columns} for t in material.tables] if send_tables else None,
        "snapshot_bytes": limits.snapshot_bytes,
        "memory_bytes": granted,
        "sql_rows": limits.sql_rows,
        "seconds": min(limits.seconds, 30.0),
    }
    worker.send(protocol.SETUP, header, texts)
    done = await expect(worker, protocol.DONE, SETUP_SECONDS)
    documents = [[d.name, d.start, d.end] for d in material.documents]
    context = material.context if send_context else None
    worker.send_made_late(_load(documents, context, material.tables if send_tables else ()))
    return str(done.header.get("memory"))


def _load(
    documents: list[list[object]], context: str | None, tables: Iterable[EncodedTable]
) -> Iterator[bytes]:
    """The frames that carry the material. A context that is None stays as it is."""
    starts = None if context is None else range(0, len(context), PIECE_CHARS)
    batches = [(table.name, batch) for table in tables for batch in table.batches]
    header = {
        "documents": documents,
        "pieces": None if starts is None else len(starts),
        "batches": len(batches),
    }
    yield from protocol.encode_frame(protocol.LOAD, header)
    for start in starts or ():
        piece = (context or "")[start : start + PIECE_CHARS].encode("utf-8", "surrogatepass")
        yield from protocol.encode_frame(protocol.PIECE, {}, [piece])
    for name, batch in batches:
        yield from protocol.encode_frame(protocol.ROWS, {"table": name}, [batch])


async def loaded(worker: WorkerProcess, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Wait until the worker has the material that was sent; False when ``stopped`` before that (a nudge makes it look).

    Raises WorkerGone, ProtocolError or TimeoutError.
    """
    return await _await(worker, protocol.DONE, LOAD_SECONDS, stopped) is not None


async def restore(worker: WorkerProcess, memory: ReplMemory) -> set[str]:
    """Bring definitions and plain variables back; returns the names that came back.

    Raises WorkerGone, ProtocolError or TimeoutError.
    """
    texts = [*memory.definitions.values(), *memory.values.values()]
    header = {"names": [*memory.definitions, *memory.values], "definitions": len(memory.definitions)}
    worker.send(protocol.RESTORE, header, [text.encode("utf-8", "replace") for text in texts])
    done = await expect(worker, protocol.DONE, RESTORE_SECONDS)
    names = done.header.get("restored")
    return {name for name in names if type(name) is str} if type(names) is list else set()


async def expect(worker: WorkerProcess, kind: int, seconds: float) -> Frame:
    """The next frame, which must be of this kind. Raises WorkerGone, ProtocolError or TimeoutError."""
    frame = await _await(worker, kind, seconds)
    assert frame is not None
    return frame


async def _await(
    worker: WorkerProcess, kind: int, seconds: float, stopped: Callable[[], bool] = lambda: False
) -> Frame | None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if stopped():
            return None
        frame = await worker.receive(left)
        if frame is None:
            continue
        if frame.kind == protocol.FAULT:
            worker.kill()
            *_, last = visible("".join(frame.texts)).strip().splitlines() or [""]
            raise WorkerGone(f"its own code failed: {last[:200]}")
        if frame.kind != kind:
            worker.kill()
            raise ProtocolError(f"frame {frame.kind} where {kind} was due")
        return frame
    raise TimeoutError(f"no answer within {seconds:g} s")

"""The worker's loop: take a frame, do it, answer. One cell at a time, in the main thread; there is no other thread."""

from __future__ import annotations

import builtins
import codecs
import csv
import gc
import json
import os
from collections.abc import Callable, Iterable, Sequence
from types import GeneratorType
from typing import Any, Final

from rlm_core.repl import protocol
from rlm_core.repl.protocol import Frame
from rlm_core.repl.worker import errors, probe
from rlm_core.repl.worker.audit import Tripwire
from rlm_core.repl.worker.channel import Channel, HostGone, take_standard_streams
from rlm_core.repl.worker.desugar import private_name
from rlm_core.repl.worker.interrupts import CellInterrupt, Interrupts
from rlm_core.repl.worker.lock import Lock
from rlm_core.repl.worker.output import Sink
from rlm_core.repl.worker.policy import compile_cell
from rlm_core.repl.worker.running import CellRunner, Compile, Outcome
from rlm_core.repl.worker.scaffold import describe_variables
from rlm_core.repl.worker.snapshot import SnapshotLog, definitions, load_variable
from rlm_core.repl.worker.tables import Tables

MAX_NAMES: Final = 500
CPU_SECONDS: Final = 900
"""CPU time of one worker over its whole life: a backstop of the operating system behind the host's clock."""


class Worker:
    """One session's state on the worker's side."""

    def __init__(self, channel: Channel, interrupts: Interrupts, lock: Lock, compile_source: Compile) -> None:
        self._channel = channel
        self._interrupts = interrupts
        self._lock = lock
        self._functions: set[str] = set()
        self._calls_closed = ""
        self._log = SnapshotLog(0)
        self.tripwire = Tripwire(
            lambda: interrupts.armed, lambda event: channel.send(protocol.VIOLATION, {"event": event[:200]})
        )
        self.runner = CellRunner(interrupts, self.tripwire, compile_source)
        self.tables = Tables(interrupts, 10_000, 10.0)

    # ---- frames ----

    def serve_forever(self) -> None:
        """Answer frames until the host closes the pipe."""
        handlers = {
            protocol.SETUP: self._setup,
            protocol.LOAD: self._load,
            protocol.RESTORE: self._restore,
            protocol.RUN: self._run,
            protocol.PROBE: self._probe,
        }
        while True:
            frame = self._channel.receive()
            handlers[frame.kind](frame)

    def _setup(self, frame: Frame) -> None:
        header, material = frame.header, self.runner.material
        material.query = protocol.decode_value(header["query"], frame.texts)
        material.fresh_answer()
        if header["first"]:
            self._log = SnapshotLog(header["snapshot_bytes"])
            memory = self._lock.limit_memory(header["memory_bytes"])
        else:
            memory = "unchanged"
        self._provide_functions(header["functions"])
        if header["tables"] is not None:
            self.tables.clear()
            self.tables = Tables(self._interrupts, header["sql_rows"], header["seconds"])
            for table in header["tables"]:
                self.tables.create(table["name"], table["columns"])
            self.runner.namespace.provide({"sql": self.tables.query})
        self._channel.send(protocol.DONE, {"memory": memory})

    def _provide_functions(self, names: Sequence[str]) -> None:
        self.runner.namespace.withdraw(self._functions - set(names))
        self._functions = set(names)
        self.runner.namespace.provide({name: self._host_function(name) for name in names})

    def _load(self, frame: Frame) -> None:
        header, material = frame.header, self.runner.material
        if header["pieces"] is not None:
            material.forget_context()
            self.runner.namespace.begin_cell()  # nothing holds the old context any more but the cells' own variables
            material.context = self._joined(header["pieces"])
        material.set_documents(header["documents"])
        for _ in range(header["batches"]):
            rows = self._channel.receive()
            self.tables.insert(rows.header["table"], json.loads(rows.texts[0]))
        self._channel.send(protocol.DONE, {})

    def _joined(self, pieces: int) -> str:
        """The text of so many PIECE frames. CPython lets a local string grow in place: it is there only once."""
        text = ""
        for _ in range(pieces):
            text += self._channel.receive().texts[0]
        return text

    def _restore(self, frame: Frame) -> None:
        names, count = frame.header["names"], frame.header["definitions"]
        restored: list[str] = []
        self._calls_closed = "model calls are not made while definitions are brought back"
        self.runner.namespace.begin_cell()
        for name, source in zip(names[:count], frame.texts[:count], strict=True):
            try:
                self.runner.execute(source)
            except (Exception, CellInterrupt):
                continue
            restored.append(name)
        for name, text in zip(names[count:], frame.texts[count:], strict=True):
            self.runner.namespace.restore(name, load_variable(text))
            restored.append(name)
        self.runner.namespace.end_cell()
        self._calls_closed = ""
        self._log.changes(self.runner.namespace.variables())
        self._channel.send(protocol.DONE, {"restored": restored[:MAX_NAMES]})

    def _probe(self, frame: Frame) -> None:
        memory = self._lock.limit_memory(frame.header["memory_bytes"])
        self._channel.send(protocol.DONE, {"memory": memory, "attempts": probe.attempt_all()})

    # ---- cells ----

    def _run(self, frame: Frame) -> None:
        source = frame.texts[0].removeprefix("\ufeff")  # a byte order mark is no part of the code
        self._calls_closed = ""
        outcome = self.runner.run(source)
        cell = frame.header["id"]
        try:
            header, texts = self._result(cell, source, outcome)
        except (MemoryError, RecursionError) as problem:
            self._log = SnapshotLog(0)
            told = f"{type(problem).__name__}: too little memory is left to report the result; del large variables."
            outcome = Outcome(Sink(), outcome.error or told, outcome.interrupted)
            header, texts = self._result(cell, source, outcome)
        self._channel.send(protocol.RESULT, header, texts)

    def _result(self, cell: str, source: str, outcome: Outcome) -> tuple[dict[str, Any], list[bytes]]:
        variables = self.runner.namespace.variables()
        changed, gone = self._log.changes(variables)
        defined = definitions(source) if outcome.ran else {}
        defined = {
            name: text for name, text in defined.items() if private_name(name) in self.runner.namespace.cells
        }
        head, tail = outcome.sink.parts()
        header: dict[str, Any] = {
            "id": cell,
            "interrupted": outcome.interrupted,
            "hidden": outcome.sink.total - len(head) - len(tail),
            "final": outcome.final is not None,
            "draft": outcome.draft is not None,
            "names": _short(variables),
            "gone": _short(gone),
            "definitions": _short(defined),
            "values": _short(changed),
        }
        lines = "\n".join(describe_variables(variables))
        texts = [head, tail, outcome.error, outcome.final or "", outcome.draft or "", lines]
        texts += [defined[name] for name in header["definitions"]] + [
            changed[name] for name in header["values"]
        ]
        return header, [text.encode("utf-8", "backslashreplace") for text in texts]

    # ---- host functions ----

    def _host_function(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            args = tuple(list(arg) if isinstance(arg, _LAZY) else arg for arg in args)
            with self._interrupts.deferred():
                return self._call(name, args, kwargs)

        call.__name__ = call.__qualname__ = name
        return call

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._calls_closed:
            raise RuntimeError(self._calls_closed)
        texts: list[bytes] = []
        header = {
            "fn": name,
            "args": [protocol.encode_value(arg, texts) for arg in args],
            "kwargs": [[key, protocol.encode_value(value, texts)] for key, value in kwargs.items()],
        }
        size = sum(map(len, texts))
        if size > protocol.BODY_LIMITS[protocol.CALL] or len(json.dumps(header)) > protocol.HEADER_LIMIT // 2:
            raise ValueError(
                f"{name}: the arguments are too large to be passed ({size:,} bytes); pass less at a time"
            )
        self._channel.send(protocol.CALL, header, texts)
        reply = self._channel.receive()
        outcome = reply.header["outcome"]
        if outcome == "value":
            return protocol.decode_value(reply.header["value"], reply.texts)
        if outcome == "interrupted":
            self._interrupts.pending = True  # raised when the caller stops holding interrupts back
            return None
        message = protocol.decode_value(reply.header["message"], reply.texts)
        if outcome == "refused":
            self._calls_closed = message
        raise _exception(reply.header.get("type"), message)


_LAZY: Final[tuple[Any, ...]] = (GeneratorType, map, filter, zip, range, type({}.keys()), type({}.values()))
"""What models pass where a list is meant: llm_query_batched(f"..." for c in chunks())."""


def _short(names: Iterable[str]) -> list[str]:
    return [name for name in names if len(name) <= 100][:MAX_NAMES]


def _exception(kind: Any, message: str) -> Exception:
    found = getattr(builtins, kind, None) if isinstance(kind, str) else None
    if isinstance(found, type) and issubclass(found, Exception) and found in _PLAIN_ERRORS:
        return found(message)
    return RuntimeError(message)


_PLAIN_ERRORS: Final = frozenset(
    {ValueError, TypeError, KeyError, IndexError, LookupError, TimeoutError, RuntimeError, NotImplementedError,
     ConnectionError, PermissionError, ArithmeticError, NameError, AttributeError}
)  # fmt: skip


def serve(
    host_pid: int,
    interrupt_event: int | None = None,
    compile_source: Compile = compile_cell,
) -> None:
    """Take the pipes, lock the process down, say what was reached, and serve until the host goes away."""
    channel = take_standard_streams()
    interrupts = Interrupts()
    interrupts.install()
    csv.field_size_limit(2**31 - 1)
    lock = Lock()
    worker = Worker(channel, interrupts, lock, compile_source)
    warm_up(worker)
    lock.lock_down(host_pid, CPU_SECONDS, interrupt_event)
    gc.freeze()
    gc.enable()
    worker.tripwire.install()
    lock.layers["audit hook"] = "on"
    channel.send(protocol.READY, {"layers": lock.layers})
    try:
        worker.serve_forever()
    except HostGone:
        os._exit(0)
    except BaseException as fault:
        trace = errors.own_trace(fault)[-8000:].encode("utf-8", "backslashreplace")
        channel.send(protocol.FAULT, {}, [trace])
        os._exit(1)


def warm_up(worker: Worker) -> None:
    """Make the interpreter load what it loads lazily (codecs, sqlite), while it still can."""
    for codec in ("ascii", "latin-1", "utf-16", "utf-32", "utf-8-sig", "cp1252", "unicode_escape"):
        codecs.lookup(codec)
    worker.tables.query("SELECT 1")

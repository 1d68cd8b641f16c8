"""The worker's loop: take a frame, do it, answer. One cell at a time, in the main thread; there is no other thread."""

from __future__ import annotations

import builtins
import codecs
import csv
import json
import os
import time
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, Final

from rlm_core.repl import protocol
from rlm_core.repl.protocol import Frame
from rlm_core.repl.worker import errors, probe
from rlm_core.repl.worker.audit import Tripwire
from rlm_core.repl.worker.channel import Channel, HostGone, take_standard_streams
from rlm_core.repl.worker.desugar import LAST_VALUE
from rlm_core.repl.worker.interrupts import CellInterrupt, Interrupts
from rlm_core.repl.worker.lock import Lock
from rlm_core.repl.worker.namespace import Namespace
from rlm_core.repl.worker.output import Printer, Sink
from rlm_core.repl.worker.policy import compile_cell
from rlm_core.repl.worker.scaffold import ANSWER_CHARS, Material, Text, describe_variables
from rlm_core.repl.worker.snapshot import SnapshotLog, definitions, load_variable
from rlm_core.repl.worker.tables import Tables

Compile = Callable[[str, str, dict[str, tuple[str, ...]]], CodeType]

KEPT_SOURCES: Final = 200
MAX_NAMES: Final = 500


class Worker:
    """One session's state on the worker's side."""

    def __init__(
        self, channel: Channel, interrupts: Interrupts, lock: Lock, compile_source: Compile = compile_cell
    ) -> None:
        self._lock = lock
        self._channel = channel
        self._interrupts = interrupts
        self._compile = compile_source
        self.printer = Printer()
        self.material = Material()
        self.tripwire = Tripwire(
            lambda: interrupts.armed, lambda event: channel.send(protocol.VIOLATION, {"event": event[:200]})
        )
        self.namespace = Namespace(self.material, self.printer, interrupts)
        self._sources: dict[str, str] = {}
        self._cell = 0
        self._functions: set[str] = set()
        self._calls_closed = ""
        self._log = SnapshotLog(0)
        self.tables = Tables(interrupts, 10_000, 10.0)
        self.namespace.provide({"python_exec": self._python_exec})

    # ---- frames ----

    def serve_forever(self) -> None:
        """Answer frames until the host closes the pipe."""
        handlers = {
            protocol.SETUP: self._setup,
            protocol.ROWS: self._rows,
            protocol.RESTORE: self._restore,
            protocol.RUN: self._run,
            protocol.PROBE: self._probe,
        }
        while True:
            frame = self._channel.receive()
            handlers[frame.kind](frame)

    def _setup(self, frame: Frame) -> None:
        header, material = frame.header, self.material
        if header["context"]:
            material.context = frame.texts[-1]
        material.query = protocol.decode_value(header["query"], frame.texts)
        material.set_documents(header["documents"])
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
            self.namespace.provide({"sql": self.tables.query})
        self._channel.send(protocol.DONE, {"memory": memory})

    def _provide_functions(self, names: Sequence[str]) -> None:
        self.namespace.withdraw(self._functions - set(names))
        self._functions = set(names)
        self.namespace.provide({name: self._host_function(name) for name in names})

    def _rows(self, frame: Frame) -> None:
        self.tables.insert(frame.header["table"], json.loads(frame.texts[0]))
        self._channel.send(protocol.DONE, {})

    def _restore(self, frame: Frame) -> None:
        names, count = frame.header["names"], frame.header["definitions"]
        restored: list[str] = []
        self._calls_closed = "model calls are not made while definitions are brought back"
        self.namespace.begin_cell()
        for name, source in zip(names[:count], frame.texts[:count], strict=True):
            try:
                self._execute(source)
            except (Exception, CellInterrupt):
                continue
            restored.append(name)
        for name, text in zip(names[count:], frame.texts[count:], strict=True):
            self.namespace.restore(name, load_variable(text))
            restored.append(name)
        self.namespace.end_cell()
        self._calls_closed = ""
        self.printer.sinks = [Sink()]
        self._log.changes(self.namespace.variables())
        self._channel.send(protocol.DONE, {"restored": restored[:MAX_NAMES]})

    def _probe(self, frame: Frame) -> None:
        memory = self._lock.limit_memory(frame.header["memory_bytes"])
        self._channel.send(protocol.DONE, {"memory": memory, "attempts": probe.attempt_all()})

    # ---- running ----

    def _execute(self, source: str) -> None:
        """Compile and run source in the session's namespace; the last value stays under LAST_VALUE."""
        self._cell += 1
        filename = f"<cell {self._cell}>"
        self._sources[filename] = source
        while len(self._sources) > KEPT_SOURCES:
            del self._sources[next(iter(self._sources))]
        code = self._compile(source, filename, self.namespace.exports)
        cells = self.namespace.cells
        cells.pop(LAST_VALUE, None)
        self.tripwire.expect(code)
        self._interrupts.run(lambda: exec(code, cells))

    def _run(self, frame: Frame) -> None:
        source = frame.texts[0]
        material, sink = self.material, Sink()
        self.printer.sinks = [sink]
        material.finish.given = False
        self._calls_closed = ""
        self.namespace.begin_cell()
        error, interrupted, ran = "", False, False
        started = time.perf_counter()
        try:
            self._execute(source)
            ran = True
            self._interrupts.run(self._echo)
        except CellInterrupt as stop:
            interrupted = True
            error = errors.where(stop, self._sources)
        except Exception as problem:
            error = self._describe(problem)
        notes = self.namespace.end_cell()
        final, draft = self._answer(raised=bool(error) or interrupted)
        self.printer.sinks = [sink]
        if notes:
            sink.write(("" if sink.ends_line else "\n") + "\n".join(notes) + "\n")
        self._send_result(
            frame.header["id"], source if ran else None, sink, error, interrupted, final, draft, started
        )

    def _echo(self) -> None:
        value = self.namespace.cells.pop(LAST_VALUE, None)
        if value is not None:
            self.printer.echo(value)

    def _describe(self, problem: BaseException) -> str:
        try:
            message = self._interrupts.run(lambda: errors.message_of(problem))
        except (Exception, CellInterrupt):
            message = "(its message cannot be shown)"
        return errors.describe_error(problem, message, self._sources, self.namespace.provided_names())

    def _answer(self, *, raised: bool) -> tuple[str | None, str | None]:
        """``(final, draft)``; a cell that raised does not finish, whatever it had set before."""
        material = self.material

        def text(value: Any) -> str:
            shown = value if type(value) is str else str(value)
            if len(shown) > ANSWER_CHARS:
                shown = f"{shown[:ANSWER_CHARS]}\n[cut: {len(shown) - ANSWER_CHARS:,} more characters]"
            return str.__str__(shown)

        def look() -> tuple[str | None, str | None]:
            content = material.answer.get("content")
            empty = content is None or (isinstance(content, str) and not content)
            draft = None if empty else text(content)
            if material.finish.given:
                final = text(material.finish.value)
                return (None, draft or final) if raised else (final, draft or final)
            ready = bool(material.answer.get("ready"))
            if raised:
                if ready:
                    material.answer["ready"] = False
                return None, draft
            return (draft if ready else None), draft

        try:
            return self._interrupts.run(look)
        except (Exception, CellInterrupt):
            return None, None

    def _send_result(
        self, cell: str, source: str | None, sink: Sink, error: str, interrupted: bool, final: str | None,
        draft: str | None, started: float,
    ) -> None:  # fmt: skip
        seconds = time.perf_counter() - started
        variables = self.namespace.variables()
        changed, gone = self._log.changes(variables)
        defined = definitions(source) if source is not None and self._compile is compile_cell else {}
        head, tail = sink.parts()
        texts = [head, tail, error, final or "", draft or "", "\n".join(describe_variables(variables))]
        names = [name for name in variables if len(name) <= 100][:MAX_NAMES]
        header: dict[str, Any] = {
            "id": cell,
            "seconds": seconds,
            "interrupted": interrupted,
            "printed": sink.total,
            "final": final is not None,
            "draft": draft is not None,
            "names": names,
            "gone": gone[:MAX_NAMES],
            "definitions": [name for name in defined if name in names or name in self.namespace.cells][
                :MAX_NAMES
            ],
            "values": [name for name in changed if len(name) <= 100][:MAX_NAMES],
        }
        texts += [defined[name] for name in header["definitions"]] + [
            changed[name] for name in header["values"]
        ]
        self._channel.send(
            protocol.RESULT, header, [text.encode("utf-8", "backslashreplace") for text in texts]
        )

    def _python_exec(self, code: str) -> Text:
        """Run code in the same namespace and return what it printed and the value of its last expression."""
        if not isinstance(code, str):
            raise TypeError("python_exec(code) needs the code as a string")
        if len(self.printer.sinks) > 20:
            raise RecursionError("python_exec calls itself too deeply")
        sink = Sink()
        self.printer.sinks.append(sink)
        try:
            with self._interrupts.deferred():
                self._cell += 1
                filename = f"<cell {self._cell}>"
                self._sources[filename] = str.__str__(code)
                compiled = self._compile(str.__str__(code), filename, self.namespace.exports)
            cells = self.namespace.cells
            cells.pop(LAST_VALUE, None)
            exec(self.tripwire.expect(compiled), cells)
            self._echo()
        finally:
            self.printer.sinks.remove(sink)
        return Text("".join(sink.parts()))

    # ---- host functions ----

    def _host_function(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
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


def _exception(kind: Any, message: str) -> Exception:
    found = getattr(builtins, kind, None) if isinstance(kind, str) else None
    if isinstance(found, type) and issubclass(found, Exception) and found in _PLAIN_ERRORS:
        return found(message)
    return RuntimeError(message)


_PLAIN_ERRORS: Final = frozenset(
    {ValueError, TypeError, KeyError, IndexError, LookupError, TimeoutError, RuntimeError, NotImplementedError,
     ConnectionError, PermissionError, ArithmeticError, NameError, AttributeError}
)  # fmt: skip


def serve(host_pid: int, cpu_seconds: int = 900, compile_source: Compile = compile_cell) -> None:
    """Take the pipes, lock the process down, say what was reached, and serve until the host goes away."""
    channel = take_standard_streams()
    interrupts = Interrupts()
    interrupts.install()
    csv.field_size_limit(2**31 - 1)
    lock = Lock()
    worker = Worker(channel, interrupts, lock, compile_source)
    warm_up(worker)
    lock.lock_down(host_pid, cpu_seconds)
    worker.tripwire.install()
    lock.layers["audit hook"] = "on"
    channel.send(protocol.READY, {"layers": lock.layers})
    try:
        worker.serve_forever()
    except HostGone:
        os._exit(0)


def warm_up(worker: Worker) -> None:
    """Make the interpreter load what it loads lazily (codecs, sqlite), while it still can."""
    for codec in ("ascii", "latin-1", "utf-16", "utf-32", "utf-8-sig", "cp1252", "unicode_escape"):
        codecs.lookup(codec)
    worker.tables.query("SELECT 1")

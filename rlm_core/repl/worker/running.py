"""Running one cell: compile it, execute it, echo its last value, take up its answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import CodeType
from typing import Any, Final

from rlm_core.repl.worker import errors
from rlm_core.repl.worker.audit import Tripwire
from rlm_core.repl.worker.desugar import LAST_VALUE
from rlm_core.repl.worker.interrupts import CellInterrupt, Interrupts
from rlm_core.repl.worker.namespace import Namespace
from rlm_core.repl.worker.output import Printer, Sink
from rlm_core.repl.worker.scaffold import ANSWER_CHARS, Material, Text

Compile = Callable[[str, str, dict[str, tuple[str, ...]]], CodeType]

KEPT_SOURCES: Final = 200
RESERVE_BYTES: Final = 8 * 1024 * 1024
"""Address space set aside while a cell runs and given back for the bookkeeping after it."""


class Outcome:
    """What a cell did, before it is put into a frame. ``ran``: it was executed to its end."""

    def __init__(self, sink: Sink, error: str = "", interrupted: bool = False) -> None:
        self.sink = sink
        self.error = error
        self.interrupted = interrupted
        self.ran = False
        self.final: str | None = None
        self.draft: str | None = None


class CellRunner:
    """Runs the cells of one session in one namespace."""

    def __init__(self, interrupts: Interrupts, tripwire: Tripwire, compile_source: Compile) -> None:
        self._interrupts = interrupts
        self._tripwire = tripwire
        self._compile = compile_source
        self._printer = Printer()
        self._sources: dict[str, str] = {}
        self._count = 0
        self._reserve = b""
        self.material = Material()
        self.namespace = Namespace(self.material, self._printer, interrupts)
        self.namespace.provide({"python_exec": self._python_exec})

    def run(self, source: str) -> Outcome:
        """Run a cell. Nothing it does raises here."""
        outcome = Outcome(Sink())
        self._printer.sinks = [outcome.sink]
        self.material.finish.given = False
        self.namespace.begin_cell()
        self._set_reserve_aside()
        try:
            self.execute(source)
            self._interrupts.run(self._echo)
            outcome.ran = True
        except CellInterrupt as stop:
            outcome.interrupted = True
            outcome.error = errors.where(stop, self._sources)
        except BaseException as problem:  # nothing a cell raises may end the worker
            if isinstance(problem, MemoryError):
                self._reserve = b""
            outcome.error = self._describe(problem)
        notes = self.namespace.end_cell()
        self._take_answer(outcome)
        if notes:
            outcome.sink.write(("" if outcome.sink.ends_line else "\n") + "\n".join(notes) + "\n")
        return outcome

    def _set_reserve_aside(self) -> None:
        # Untouched zero pages cost nothing but address space. Not if that would leave the cell itself without any.
        if not self._reserve:
            with suppress(MemoryError):
                bytes(3 * RESERVE_BYTES)
                self._reserve = bytes(RESERVE_BYTES)

    def execute(self, source: str) -> None:
        """Compile and run source in the namespace; the value of a last expression stays under LAST_VALUE."""
        code = self._compiled(source)
        cells = self.namespace.cells
        cells.pop(LAST_VALUE, None)
        self._tripwire.expect(code)
        self._interrupts.run(lambda: exec(code, cells))

    def _compiled(self, source: str) -> CodeType:
        self._count += 1
        filename = f"<cell {self._count}>"
        self._sources[filename] = source
        while len(self._sources) > KEPT_SOURCES:
            del self._sources[next(iter(self._sources))]
        return self._compile(source, filename, self.namespace.exports)

    def _echo(self) -> None:
        value = self.namespace.cells.pop(LAST_VALUE, None)
        if value is not None:
            self._printer.echo(value)

    def _describe(self, problem: BaseException) -> str:
        try:
            message = self._interrupts.run(lambda: errors.message_of(problem))
        except (Exception, CellInterrupt):
            message = "(its message cannot be shown)"
        return errors.describe_error(problem, message, self._sources, self.namespace.provided_names())

    # ---- the answer ----

    def _take_answer(self, outcome: Outcome) -> None:
        """Fill in final and draft; a cell that raised does not finish, whatever it had set before."""
        raised = bool(outcome.error) or outcome.interrupted
        try:
            final, draft = self._interrupts.run(self._look_at_answer)
        except CellInterrupt:
            outcome.interrupted = True
            outcome.error = outcome.error or "Making text of the answer took too long."
        except Exception as problem:
            outcome.error = outcome.error or self._describe(problem)
        else:
            outcome.final, outcome.draft = (None if raised else final), draft
        if raised or outcome.error:
            self.material.answer["ready"] = False

    def _look_at_answer(self) -> tuple[str | None, str | None]:
        material = self.material
        content = material.answer.get("content")
        empty = content is None or (isinstance(content, str) and not content)
        draft = None if empty else _answer_text(content)
        if material.finish.given:
            final = _answer_text(material.finish.value)
            return final, draft or final
        return (draft if material.answer.get("ready") else None), draft

    # ---- code that runs code ----

    def _python_exec(self, code: str) -> Text:
        """Run code in the same namespace and return what it printed and the value of its last expression."""
        if not isinstance(code, str):
            raise TypeError("python_exec(code) needs the code as a string")
        if len(self._printer.sinks) > 20:
            raise RecursionError("python_exec calls itself too deeply")
        sink = Sink()
        self._printer.sinks.append(sink)
        try:
            with self._interrupts.deferred():
                compiled = self._compiled(str.__str__(code))
            cells = self.namespace.cells
            cells.pop(LAST_VALUE, None)
            exec(self._tripwire.expect(compiled), cells)
            self._echo()
        finally:
            self._printer.sinks.remove(sink)
        return Text("".join(sink.parts()))


def _answer_text(value: Any) -> str:
    shown = str.__str__(value if type(value) is str else str(value))
    if len(shown) > ANSWER_CHARS:
        shown = f"{shown[:ANSWER_CHARS]}\n[cut: {len(shown) - ANSWER_CHARS:,} more characters]"
    return shown

"""The one dictionary in which the cells of a session run, and the builtins under it.

Provided names (context, answer, search, llm_query ...) live among the builtins, so a cell's own variable of the same name
only hides them until the next cell, functions always see the current ones, and the variables of a cell are exactly the
dictionary's contents.
"""

from __future__ import annotations

import builtins
from typing import Any, Final

from rlm_core.repl.worker import guards
from rlm_core.repl.worker.desugar import LAST_VALUE, PRIVATE_PREFIX
from rlm_core.repl.worker.facades import Facade, build_facades, exported_names, make_import
from rlm_core.repl.worker.interrupts import Interrupts
from rlm_core.repl.worker.output import Printer
from rlm_core.repl.worker.scaffold import Material, build_helpers

_BUILTINS: Final = """
abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter float
format frozenset hash hex id int isinstance issubclass iter len list map max min next object oct ord pow property range
repr reversed round set slice sorted staticmethod str sum tuple zip Ellipsis NotImplemented
Exception ArithmeticError AssertionError AttributeError BufferError EOFError FileNotFoundError FloatingPointError
ImportError IndexError KeyError LookupError MemoryError ModuleNotFoundError NameError NotImplementedError OSError
OverflowError PermissionError RecursionError ReferenceError RuntimeError StopIteration SyntaxError SystemError TimeoutError
TypeError UnboundLocalError UnicodeDecodeError UnicodeEncodeError UnicodeError ValueError Warning UserWarning
DeprecationWarning RuntimeWarning ConnectionError ZeroDivisionError
""".split()  # noqa: SIM905


class _Exit(Exception):
    """What ``raise SystemExit`` and the like raise here: an ordinary exception that ends the cell."""


class SystemExit(_Exit):
    """Ends the cell."""


class KeyboardInterrupt(_Exit):
    """Ends the cell."""


class GeneratorExit(_Exit):
    """Ends the cell."""


class Namespace:
    """The namespace of one session."""

    def __init__(self, material: Material, printer: Printer, interrupts: Interrupts) -> None:
        self._material = material
        facades = build_facades(printer.print, interrupts)
        self.exports = exported_names(facades)
        self.builtins: dict[str, Any] = {name: getattr(builtins, name) for name in _BUILTINS}
        self.builtins |= {
            # Interrupts derive from BaseException; a cell's "catch everything" must let them through.
            "BaseException": Exception,
            "SystemExit": SystemExit,
            "KeyboardInterrupt": KeyboardInterrupt,
            "GeneratorExit": GeneratorExit,
            "type": guards.TypeOf,
            "getattr": guards.guarded_getattr,
            "hasattr": guards.guarded_hasattr,
            "setattr": guards.guarded_setattr,
            "delattr": guards.guarded_delattr,
            "super": super,  # the policy lets it through only as super().name
            "print": printer.print,
            "rlm_name_of": guards.name_of,
            "rlm_type_of": guards.TypeOf,
            "__build_class__": builtins.__build_class__,
            "__import__": make_import(facades),
            "__metaclass__": guards.make_class,
            "__name__": "sandbox",
            "_getattr_": guards.static_getattr,
            "_super_attr_": guards.super_getattr,
            "_write_": guards.guarded_write,
        }
        self.cells: dict[str, Any] = {"__builtins__": self.builtins, "__name__": "sandbox"}
        self._provided: set[str] = {"print", "context", "query", "documents", "answer"}
        self.provide(build_helpers(material, self.variables))

    def provide(self, functions: dict[str, Any]) -> None:
        """Add functions to what every cell finds."""
        self.builtins |= functions
        self._provided |= set(functions)

    def withdraw(self, names: set[str]) -> None:
        """Take functions away again."""
        for name in names & self._provided:
            del self.builtins[name]
            self._provided.discard(name)

    def provided_names(self) -> list[str]:
        """What a cell finds besides Python, for messages."""
        return sorted(self._provided - {"print"})

    def variables(self) -> dict[str, Any]:
        """The variables that cells have made, by the name the model wrote."""
        return {
            name.replace(PRIVATE_PREFIX, "_", 1): value
            for name, value in self.cells.items()
            if not name.startswith("__")
            and name != LAST_VALUE
            and name not in self._provided
            and type(value) is not Facade
        }

    def begin_cell(self) -> None:
        """Put the provided names in place for the next cell."""
        material = self._material
        self.builtins |= {
            "context": material.context,
            "query": material.query,
            "documents": list(material.documents),
            "answer": material.answer,
        }

    def end_cell(self) -> list[str]:
        """Take up a rebound ``answer`` and restore what the cell overwrote; returns notes for the model."""
        if "answer" in self.cells:
            rebound = self.cells.pop("answer")
            if isinstance(
                rebound, dict
            ):  # a plain copy: a class of the cell's own must not run in our bookkeeping
                self._material.answer = dict(dict.items(rebound))
            else:
                self._material.answer["content"] = rebound
        notes = []
        for name in sorted(self._provided & self.cells.keys()):
            value = self.cells.pop(name)
            kept = f"my_{name}"
            self.cells[kept] = value
            notes.append(
                f"[note: {name!r} is a provided name and is restored before the next cell; yours is kept as {kept!r}]"
            )
        return notes

    def restore(self, name: str, value: Any) -> None:
        """Set a variable after a restart; names that could hide a guard are refused."""
        if name.startswith("_") and not name.endswith("_") and not name.startswith("__"):
            name = PRIVATE_PREFIX + name[1:]
        if name.isidentifier() and not name.startswith("_"):
            self.cells[name] = value

"""The tripwire: CPython's audit events while a cell runs.

Not a wall (the interpreter's own documentation says so), but it ends a worker in which something happened that no cell can
do through the guards: a file opened, a socket made, a frame read. On Windows and macOS it is also what stops a plain
``open`` that got past the language wall.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, Final

_HARMLESS: Final = frozenset(
    {
        "builtins.id",
        "object.__delattr__",
        "object.__setattr__",
        "time.sleep",
        "sys.unraisablehook",
        "cpython.run_interactivehook",
    }
)
"""Events an ordinary cell may cause; ``import`` is refused with ImportError, everything else ends the worker."""


class Tripwire:
    """Watches while ``active()`` is true; ``report`` tells the host before the worker ends."""

    def __init__(self, active: Callable[[], bool], report: Callable[[str], None]) -> None:
        self._active = active
        self._report = report
        self._expected: CodeType | None = None

    def expect(self, code: CodeType) -> CodeType:
        """The one code object that may be executed next (a cell's own)."""
        self._expected = code
        return code

    def install(self) -> None:
        """Watch from now on; an audit hook cannot be removed."""
        leave, active, report = os._exit, self._active, self._report

        def hook(event: str, args: tuple[Any, ...]) -> None:
            if not active() or event in _HARMLESS:
                return
            if event == "import":
                raise ImportError("nothing can be imported in the sandbox any more")
            if event == "exec" and args[0] is self._expected:
                self._expected = None
                return
            try:
                report(event)
            finally:
                leave(97)

        sys.addaudithook(hook)

"""The soft interrupt: it ends a running cell and keeps its variables.

The host sends SIGINT (on Windows it sets an event whose callback is ``PyErr_SetInterrupt``). The handler raises only
while a cell runs; during the worker's own bookkeeping and input/output the interrupt is remembered and raised after.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class CellInterrupt(BaseException):
    """Raised in the cell. Not an Exception, so that ``except Exception`` in the cell does not swallow it."""


class Interrupts:
    """Decides when an interrupt may be raised."""

    def __init__(self) -> None:
        self.armed = False
        self.pending = False

    def install(self) -> None:
        """Take over SIGINT."""
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _signum: int, _frame: Any) -> None:
        if self.armed:
            raise CellInterrupt
        self.pending = True

    def run(self, work: Callable[[], T]) -> T:
        """Run the cell's code; an interrupt raises CellInterrupt out of it."""
        self.pending = False
        try:
            try:
                self.armed = True
                return work()
            finally:
                self.armed = False
        except CellInterrupt:
            self._disarm()
            raise

    def _disarm(self) -> None:
        # A second signal may arrive right here; the armed flag must end up False in every case.
        while True:
            try:
                self.armed = False
                return
            except CellInterrupt:
                continue

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold interrupts back; one that came in between is raised at the end, if a cell is running."""
        armed, self.armed = self.armed, False
        try:
            yield
        finally:
            self.armed = armed
        if armed and self.pending:
            self.pending = False
            raise CellInterrupt

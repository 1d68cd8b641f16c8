"""What a cell prints: kept up to a cap (its beginning and its end), counted in full."""

from __future__ import annotations

from collections import deque
from io import StringIO
from typing import Any

HEAD_CHARS = 768 * 1024
TAIL_CHARS = 256 * 1024


class Sink:
    """Collects printed text. Never grows beyond HEAD_CHARS + TAIL_CHARS plus one write."""

    def __init__(self) -> None:
        self.total = 0
        self._head: list[str] = []
        self._head_room = HEAD_CHARS
        self._tail: deque[str] = deque()
        self._tail_size = 0

    def write(self, text: str) -> None:
        """Add text; what does not fit is counted and dropped from the middle."""
        self.total += len(text)
        if self._head_room:
            kept = text[: self._head_room]
            self._head.append(kept)
            self._head_room -= len(kept)
            text = text[len(kept) :]
        if text:
            self._tail.append(text[-TAIL_CHARS:])
            self._tail_size += len(self._tail[-1])
            while self._tail_size - len(self._tail[0]) >= TAIL_CHARS:
                self._tail_size -= len(self._tail.popleft())

    def parts(self) -> tuple[str, str]:
        """The beginning and the end that were kept; in between ``total - len(both)`` characters are missing."""
        return "".join(self._head), "".join(self._tail)[-TAIL_CHARS:]

    @property
    def ends_line(self) -> bool:
        """True if nothing was written or the last thing written was a line break."""
        last = self._tail[-1] if self._tail else (self._head[-1] if self._head else "\n")
        return last.endswith("\n") or self.total == 0


class Printer:
    """The sandbox's ``print`` and where it goes: the innermost sink, so that python_exec can collect its own."""

    def __init__(self) -> None:
        self.sinks = [Sink()]

    @property
    def sink(self) -> Sink:
        """Where text goes now."""
        return self.sinks[-1]

    def print(
        self,
        *values: Any,
        sep: str | None = " ",
        end: str | None = "\n",
        file: Any = None,
        flush: bool = False,
    ) -> None:
        """Like the builtin. ``file`` may be an io.StringIO; anything else is ignored, there are no other streams."""
        text = (" " if sep is None else sep).join([v if type(v) is str else str(v) for v in values])
        text += "\n" if end is None else end
        if type(file) is StringIO:
            file.write(text)
        else:
            self.sink.write(text)

    def echo(self, value: Any) -> None:
        """Write the value of a cell's last expression, as Python's own prompt does."""
        if not self.sink.ends_line:
            self.sink.write("\n")
        if type(value) is str and len(value) > HEAD_CHARS + TAIL_CHARS:
            hidden = len(value) - HEAD_CHARS - TAIL_CHARS
            self.sink.write(repr(value[:HEAD_CHARS])[:-1])
            self.sink.write(repr(value[-TAIL_CHARS:])[1:] + "\n")
            self.sink.total += hidden
            return
        self.sink.write(repr(value) + "\n")

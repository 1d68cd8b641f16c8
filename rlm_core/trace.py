"""Saved events of an answer: one JSON object a line in ``<data>/traces/<message_id>.jsonl``.

What only matters while it happens (phases, single tokens) is not saved; thinking is joined into one event.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO

from rlm_core.events import Event, PhaseEvent, ThinkingEvent, TokenEvent, from_json

log = logging.getLogger(__name__)

_ENCODE = json.JSONEncoder(ensure_ascii=False, default=vars).encode
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def traces_dir(data_dir: Path) -> Path:
    """The folder of all traces."""
    return data_dir / "traces"


def trace_path(data_dir: Path, message_id: str) -> Path:
    """Where the trace of a message lies. Raises ValueError for an id that cannot be a file's name."""
    if not _SAFE_ID.fullmatch(message_id):
        raise ValueError(f"not a message id: {message_id!r}")
    return traces_dir(data_dir) / f"{message_id}.jsonl"


class TraceWriter:
    """Appends events as they happen, each line complete when it is written.

    A trace is worth less than the answer: when the disk is full, the writer says so once in the log and goes quiet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None
        self._unwritten: list[Event] = []
        self._thinking: ThinkingEvent | None = None
        self._broken = False

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, *events: Event) -> None:
        """Append events that happened, all at once."""
        for event in events:
            if isinstance(event, PhaseEvent | TokenEvent):
                continue
            if isinstance(event, ThinkingEvent):
                self._join(event)
            else:
                self._end_thinking()
                self._unwritten.append(event)
        self._flush()

    def close(self) -> None:
        self._end_thinking()
        self._flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Close and remove what was written."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _join(self, event: ThinkingEvent) -> None:
        before = self._thinking
        if before is not None and before.parent_id == event.parent_id:
            self._thinking = ThinkingEvent(
                id=before.id,
                parent_id=before.parent_id,
                message_id=before.message_id,
                ts=before.ts,
                text=before.text + event.text,
            )
        else:
            self._end_thinking()
            self._thinking = event

    def _end_thinking(self) -> None:
        if self._thinking is not None:
            self._unwritten.append(self._thinking)
            self._thinking = None

    def _flush(self) -> None:
        events, self._unwritten = self._unwritten, []
        if self._broken or not events:
            return
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # a text may hold half a surrogate pair, which UTF-8 has no form for
                self._file = self.path.open("a", encoding="utf-8", errors="replace")
            self._file.write("".join(map(_line, events)))
            self._file.flush()
        except OSError as error:
            self._broken = True
            log.warning(
                "The trace %s cannot be written (%s); the answer goes on without it.", self.path, error
            )


def _line(event: Event) -> str:
    """:func:`to_json` and its text in one go: there are two events for each of many parallel calls."""
    return f"{_ENCODE({'type': event.type, **vars(event)})}\n"


def read_trace(path: Path) -> list[Event]:
    """The events of a saved trace, in order.

    A half-written last line (the app was killed) is left out. Raises FileNotFoundError, and ValueError naming the
    line when the file is not a trace.
    """
    return parse_trace(path.read_text(encoding="utf-8").split("\n"))  # splitlines() also splits inside texts


def parse_trace(lines: Iterable[str]) -> list[Event]:
    """The events in the lines of a trace. Raises ValueError naming the line that is not an event."""
    texts = [line for line in lines if line.strip()]
    events: list[Event] = []
    for number, line in enumerate(texts, start=1):
        try:
            events.append(from_json(json.loads(line)))
        except (ValueError, TypeError, AttributeError) as error:
            if number == len(texts) and isinstance(error, json.JSONDecodeError):
                break
            raise ValueError(f"Line {number} is not an event of a trace: {error}") from None
    return events

"""A trace as a table: one row a step, for sorting, filtering and downloading."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlm_core.events import (
    CodeEvent,
    Event,
    ModelCallFinishedEvent,
    ModelCallStartedEvent,
    OutputEvent,
    TurnStartedEvent,
)
from ui.words import shortened

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["seconds", "step", "detail", "role", "model", "tokens in", "reused", "tokens out", "took (s)"]
Row = tuple[float, str, str, str, str, int | None, int | None, int | None, float | None]


def rows(events: Sequence[Event]) -> list[Row]:
    """One row for each turn, model call, cell and other step, in the order in which they happened."""
    if not events:
        return []
    start = events[0].ts
    ends = {event.parent_id: event for event in events if isinstance(event, ModelCallFinishedEvent)}
    return [
        _row(event, start, ends.get(event.id))
        for event in events
        if not isinstance(event, ModelCallFinishedEvent)
    ]


def frame(events: Sequence[Event]) -> pd.DataFrame:
    """The rows as a pandas table."""
    import pandas as pd

    return pd.DataFrame(rows(events), columns=COLUMNS)


def as_csv(events: Sequence[Event]) -> str:
    """The rows as CSV with a header. A cell that a spreadsheet would run as a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows(events):
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue()


def _row(event: Event, start: float, end: ModelCallFinishedEvent | None) -> Row:
    at = round(event.ts - start, 3)
    match event:
        case ModelCallStartedEvent() if end is not None:
            return (
                at, "model call", event.purpose, event.role, end.model,
                end.tokens_in, end.tokens_cached, end.tokens_out, round(end.seconds, 3),
            )  # fmt: skip
        case ModelCallStartedEvent():
            return (
                at,
                "model call",
                f"{event.purpose} (no reply)",
                event.role,
                event.model,
                event.prompt_tokens,
                None,
                None,
                None,
            )
        case TurnStartedEvent():
            title = event.title or f"turn {event.iteration} of {event.of}"
            return (at, "turn", f"depth {event.depth}: {title}", "", "", None, None, None, None)
        case CodeEvent():
            return (at, "code", shortened(event.code, 200), "", "", None, None, None, None)
        case OutputEvent():
            detail = shortened(event.error or event.shown, 200)
            return (
                at,
                "error" if event.error else "output",
                detail,
                "",
                "",
                None,
                None,
                None,
                round(event.seconds, 3),
            )
    detail = shortened(str(getattr(event, "text", "") or getattr(event, "decision", "")), 200)
    return (at, event.type, detail, "", "", None, None, None, None)


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell

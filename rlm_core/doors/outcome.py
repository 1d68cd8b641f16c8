"""What the events of one answer come to. The last part of every door that hands over a whole answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from rlm_core.events import AnswerEvent, ErrorEvent, Event, RouteEvent, TokenEvent, UsageEvent, WarningEvent
from rlm_core.record import NOT_STORED
from rlm_core.results import Citation, Usage

T = TypeVar("T")

EVENT_STREAM: dict[str, Any] = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "required": ["data"],
            "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        }
    }
}
"""Server-sent events in the OpenAPI description: each one's data is JSON."""


@dataclass(frozen=True)
class Outcome:
    """``route`` is None when the message was stopped before it was decided; ``reason`` is why the answer is partial, or not
    stored; ``error`` is a sentence for the user."""

    text: str
    citations: tuple[Citation, ...]
    coverage: str
    route: RouteEvent | None
    usage: UsageEvent | None
    partial: bool
    reason: str | None
    error: str | None
    error_code: str | None

    @classmethod
    def of(cls, events: Iterable[Event]) -> Outcome:
        route: RouteEvent | None = None
        usage: UsageEvent | None = None
        answer: AnswerEvent | None = None
        error: ErrorEvent | None = None
        not_stored: str | None = None
        pieces: list[str] = []
        for event in events:
            if isinstance(event, RouteEvent):
                route = event
            elif isinstance(event, UsageEvent):
                usage = event
            elif isinstance(event, AnswerEvent):
                answer = event
            elif isinstance(event, ErrorEvent):
                error = event
            elif isinstance(event, WarningEvent) and event.code == NOT_STORED:
                not_stored = event.text
            elif isinstance(event, TokenEvent):
                pieces.append(event.text)
        return cls(
            text=answer.text if answer else "".join(pieces),
            citations=answer.citations if answer else (),
            coverage=answer.coverage if answer else "",
            route=route,
            usage=usage,
            partial=answer.partial if answer else True,
            reason=(answer.reason if answer else (error.text if error else None)) or not_stored,
            error=error.text if error else None,
            error_code=error.code if error else None,
        )

    @property
    def nothing_but_an_error(self) -> bool:
        """The model server failed before a single word of an answer was there."""
        return self.error is not None and not self.text.strip()

    def as_json(self) -> dict[str, Any]:
        """The fields that the HTTP door and the terminal share."""
        route = self.route
        return {
            "answer": self.text,
            "route": route.decision if route else None,
            "strategy": route.strategy if route else None,
            "complexity": {
                "score": route.score,
                "threshold": route.threshold,
                "reasons": list(route.reasons),
                "asked_model": route.asked_model,
            }
            if route
            else None,
            "citations": [asdict(citation) for citation in self.citations],
            "coverage": self.coverage,
            "usage": self.usage_json(),
            "partial": self.partial,
            "reason": self.reason,
            "error": self.error,
        }

    def usage_json(self) -> dict[str, Any]:
        if self.usage is None:
            return {
                "llm_calls": 0,
                "tokens_in": 0,
                "tokens_out": 0,
                "tokens_cached": 0,
                "seconds": 0.0,
                "iterations": 0,
                "by_model": {},
            }
        return {field.name: getattr(self.usage, field.name) for field in fields(Usage)}


async def with_heartbeat(events: AsyncIterator[T], seconds: float) -> AsyncIterator[T | None]:
    """The items of ``events``, and None whenever nothing came for ``seconds``: proxies and clients drop a silent line."""
    pending: asyncio.Task[T] | None = None
    try:
        while True:
            if pending is None:
                pending = asyncio.ensure_future(_next(events))
            done, _ = await asyncio.wait({pending}, timeout=seconds)
            if not done:
                yield None
                continue
            finished, pending = pending, None
            try:
                yield finished.result()
            except StopAsyncIteration:
                return
    finally:
        if pending is not None:
            pending.cancel()


async def _next(events: AsyncIterator[T]) -> T:
    return await events.__anext__()


def now() -> int:
    """Whole seconds since the epoch, as the foreign protocols want them."""
    return int(time.time())

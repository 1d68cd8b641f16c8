"""Answers for callers that wait: one result instead of a stream of events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from rlm_core.events import AnswerEvent, Event, RouteEvent, UsageEvent, WarningEvent
from rlm_core.record import NOT_STORED
from rlm_core.results import Result, Route, Usage

T = TypeVar("T")


def result_of(events: Sequence[Event]) -> Result:
    """The result that a finished stream of events amounts to."""
    answer = next(event for event in reversed(events) if isinstance(event, AnswerEvent))
    usage = next(event for event in reversed(events) if isinstance(event, UsageEvent))
    route = next((event for event in events if isinstance(event, RouteEvent)), None)
    not_stored = (e.text for e in events if isinstance(e, WarningEvent) and e.code == NOT_STORED)
    return Result(
        answer=answer.text,
        citations=answer.citations,
        route=Route("direct", 0.0, 0.0, ("not decided",))
        if route is None
        else Route(
            route.decision, route.score, route.threshold, route.reasons, route.strategy, route.asked_model
        ),
        usage=Usage(
            usage.llm_calls,
            usage.tokens_in,
            usage.tokens_out,
            usage.tokens_cached,
            usage.seconds,
            usage.iterations,
            usage.by_model,
        ),
        partial=answer.partial,
        reason=answer.reason or next(not_stored, None),
        trace_id=answer.message_id,
    )


class LoopThread:
    """An event loop in a thread of its own, for callers that wait: connections and workers stay with one loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rlm-ask", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()

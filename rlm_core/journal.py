"""Writes a growing answer to the store, so that nothing that was said is lost when the app is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from memory_store import MemoryStore, StoreError
from rlm_core.events import (
    AnswerEvent,
    ErrorEvent,
    Event,
    RouteEvent,
    TokenEvent,
    UsageEvent,
    to_json,
)

SECONDS_BETWEEN_WRITES = 0.3


class Journal:
    """Follows the events of one answer and keeps its message in the store up to date."""

    def __init__(self, store: MemoryStore, answer_id: str) -> None:
        self._store = store
        self._id = answer_id
        self._text: list[str] = []
        self._saved = 0
        self._save_at = 0.0
        self._refused = False  # by the store, which may take long to say so: the rest waits for the end
        self._metadata: dict[str, Any] = {}
        self._answer: AnswerEvent | None = None

    def note(self, events: Sequence[Event]) -> None:
        """Take in what happened."""
        for event in events:
            if isinstance(event, TokenEvent):
                self._text.append(event.text)
            elif isinstance(event, RouteEvent):
                self._metadata["route"] = _values(event)
            elif isinstance(event, UsageEvent):
                self._metadata["usage"] = _values(event)
            elif isinstance(event, ErrorEvent):
                self._metadata["error"] = event.text
            elif isinstance(event, AnswerEvent):
                self._answer = event

    @property
    def due(self) -> float | None:
        """Seconds until the growing text is to be committed; None when all of it is, or the store does not take it."""
        if self._refused or self._saved == len(self._text):
            return None
        return max(0.0, self._save_at - time.monotonic())

    async def save(self, *, last: bool) -> None:
        """Commit the growing text if it is due, and with ``last`` the whole answer. Raises StoreError."""
        pieces = len(self._text)
        if last:
            await asyncio.to_thread(self._finish)
        elif pieces and not self._save_at:
            self._save_at = time.monotonic() + SECONDS_BETWEEN_WRITES  # the first words wait for no commit
        elif self.due == 0.0:
            try:
                await asyncio.to_thread(self._store.update_message, self._id, text="".join(self._text))
            except StoreError:
                self._refused = True
                raise
            self._saved = pieces
            self._save_at = time.monotonic() + SECONDS_BETWEEN_WRITES

    def _finish(self) -> None:
        answer = self._answer
        text = "".join(self._text) if answer is None else answer.text
        status = "complete"
        if answer is not None:
            self._metadata["citations"] = [asdict(citation) for citation in answer.citations]
            self._metadata["quotations"] = [asdict(quotation) for quotation in answer.quotations]
            self._metadata["partial"] = answer.partial
            self._metadata["reason"] = answer.reason
            self._metadata["coverage"] = answer.coverage
        if "error" in self._metadata:
            status = "failed" if not text else "interrupted"
        elif answer is None or (answer.partial and not text):
            status = "interrupted"
        self._store.update_message(self._id, text=text, status=status, metadata=self._metadata)


def _values(event: Event) -> dict[str, Any]:
    """The event without what only places it in the stream."""
    place = {"type", "id", "parent_id", "message_id", "ts"}
    return {key: value for key, value in to_json(event).items() if key not in place}

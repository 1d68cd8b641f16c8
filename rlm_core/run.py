"""One message on its way through the engine: its ids, its ledger, its stop button, and where its events go."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rlm_core.budget import Budget, CancelToken
from rlm_core.events import Event, WarningEvent
from rlm_core.settings import Settings


def new_id() -> str:
    """A fresh id for a message or a conversation."""
    return uuid.uuid4().hex


@dataclass
class Run:
    """Handed down the whole tree of one message. Whoever does a step reports it with :meth:`emit`.

    ``model`` overrules the roles when the caller named one model for everything; ``slots`` bounds how many model
    calls of the tree are under way at the same time; ``draft`` is the best answer so far, for the case that the run ends
    before its time.
    """

    message_id: str
    settings: Settings
    budget: Budget
    cancel: CancelToken
    model: str | None = None
    draft: str = ""
    slots: asyncio.Semaphore = field(init=False)
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    _children: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _warned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.slots = asyncio.Semaphore(self.budget.limits.max_parallel)

    def emit(self, make: Callable[..., Event], *, parent: str | None = None, **values: Any) -> str:
        """Send one event and return its id, for the events that belong under it."""
        event_id = f"e{next(self._numbers)}"
        self.events.put_nowait(
            make(id=event_id, parent_id=parent, message_id=self.message_id, ts=time.time(), **values)
        )
        return event_id

    def next_child(self) -> int:
        """A number for one more child RLM of this message."""
        return next(self._children)

    def warn(self, code: str, text: str, *, parent: str | None = None) -> None:
        """Tell the user something about this answer, once for each text."""
        if text not in self._warned:
            self._warned.add(text)
            self.emit(WarningEvent, parent=parent, code=code, text=text)

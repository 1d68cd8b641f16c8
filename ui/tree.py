"""The events of an answer as the tree they form: a turn under its run, a call under its turn, a child run under its call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rlm_core.events import (
    DoneEvent,
    Event,
    ModelCallFinishedEvent,
    PhaseEvent,
    ThinkingEvent,
    TokenEvent,
    TurnStartedEvent,
)


@dataclass
class Node:
    """One event with what belongs under it. ``finished`` is the end of a model call, None while it runs. ``level``
    counts the turns above it: a turn at level 1 belongs to a child RLM."""

    event: Event
    level: int = 0
    children: list[Node] = field(default_factory=list)
    finished: ModelCallFinishedEvent | None = None

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


def grow(events: Iterable[Event]) -> list[Node]:
    """The roots of the tree, in order. An event whose parent is not there becomes a root: nothing is lost.

    Pieces of thinking under the same parent are joined; phases, tokens and the final ``done`` are no part of the tree.
    """
    roots: list[Node] = []
    known: dict[str, Node] = {}
    for event in events:
        if isinstance(event, PhaseEvent | TokenEvent | DoneEvent):
            continue
        parent = known.get(event.parent_id or "")
        if isinstance(event, ModelCallFinishedEvent) and parent is not None:
            parent.finished = event
            known[event.id] = parent
            continue
        siblings = parent.children if parent is not None else roots
        last = siblings[-1].event if siblings else None
        if isinstance(event, ThinkingEvent) and isinstance(last, ThinkingEvent):
            siblings[-1].event = ThinkingEvent(
                id=last.id,
                parent_id=last.parent_id,
                message_id=last.message_id,
                ts=last.ts,
                text=last.text + event.text,
            )
            continue
        level = 0 if parent is None else parent.level + isinstance(parent.event, TurnStartedEvent)
        node = Node(event, level)
        known[event.id] = node
        siblings.append(node)
    return roots

"""The line in front of the model: a few places, and who comes next.

The next place goes to the user who has the fewest answers in the making; among equals, to who came first. So one user with
twenty questions does not keep another waiting for all of them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Ticket:
    """One answer's place in the line; ``turn`` is done when its turn has come."""

    user: str
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Line:
    """``places`` answers are made at the same time. Belongs to one event loop."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._working: Counter[str] = Counter()
        self._waiting: list[Ticket] = []
        self._moved: asyncio.Event | None = None

    def enter(self, user: str) -> Ticket:
        """Stand in line. :meth:`leave` must follow, whether or not the turn came."""
        ticket = Ticket(user)
        self._waiting.append(ticket)
        self._admit()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        else:
            self._working[ticket.user] -= 1
            self._free += 1
        self._admit()

    def ahead(self, ticket: Ticket) -> int:
        """How many come before it, itself included; 0 when its turn has come."""
        order = self._order()
        return order.index(ticket) + 1 if ticket in order else 0

    async def moved(self) -> None:
        """Until somebody enters, leaves, or has their turn."""
        if self._moved is None:
            self._moved = asyncio.Event()
        await self._moved.wait()

    def _admit(self) -> None:
        for ticket in self._order()[: self._free]:
            self._waiting.remove(ticket)
            self._working[ticket.user] += 1
            self._free -= 1
            ticket.turn.set_result(None)
        if self._moved is not None:
            self._moved.set()
            self._moved = None

    def _order(self) -> list[Ticket]:
        """Those who wait, in the order in which they would be let in if nobody left."""
        busy = Counter(self._working)
        waiting, order = list(self._waiting), list[Ticket]()
        while waiting:
            ticket = min(waiting, key=lambda each: busy[each.user])  # min keeps the first among equals
            waiting.remove(ticket)
            busy[ticket.user] += 1
            order.append(ticket)
        return order

"""Things that several answers share and that new settings may replace while answers are being made with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    async def close(self) -> None: ...


T = TypeVar("T", bound=Closable)


class Shared(Generic[T]):
    """Counts the users of ``thing``: once it is given up it is closed as soon as nobody uses it any more."""

    def __init__(self, thing: T) -> None:
        self.thing = thing
        self._users = 0
        self._given_up = False

    @asynccontextmanager
    async def used(self) -> AsyncIterator[T]:
        """The thing, open for as long as the block runs."""
        self._users += 1
        try:
            yield self.thing
        finally:
            self._users -= 1
            await self._close_if_idle()

    async def give_up(self) -> None:
        """No new users will come."""
        self._given_up = True
        await self._close_if_idle()

    async def _close_if_idle(self) -> None:
        if self._given_up and self._users == 0:
            await self.thing.close()

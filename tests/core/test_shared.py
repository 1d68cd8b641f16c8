"""What is given up is closed when its last user is done, and not before."""

from __future__ import annotations

from rlm_core.shared import Shared


class Door:
    def __init__(self) -> None:
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


async def test_it_stays_open_for_those_who_use_it_and_closes_behind_the_last() -> None:
    shared = Shared(Door())
    async with shared.used() as door:
        async with shared.used():
            await shared.give_up()
            assert door.closed == 0
        assert door.closed == 0
    assert door.closed == 1


async def test_it_closes_at_once_when_nobody_uses_it() -> None:
    shared = Shared(Door())
    async with shared.used():
        pass
    assert shared.thing.closed == 0
    await shared.give_up()
    assert shared.thing.closed == 1


async def test_a_user_that_fails_is_a_user_that_is_done() -> None:
    shared = Shared(Door())
    try:
        async with shared.used():
            await shared.give_up()
            raise ValueError
    except ValueError:
        pass
    assert shared.thing.closed == 1

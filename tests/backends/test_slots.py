"""Which slot a call goes to."""

from __future__ import annotations

from rlm_core.backends.slots import Slots


def test_a_session_keeps_its_slot_and_others_stay_out_of_it() -> None:
    slots = Slots(3)
    root = slots.take("root")
    slots.give_back(root)
    for _ in range(5):
        assert slots.take(None) != root
    assert slots.take("root") == root


def test_the_longest_unused_session_makes_room() -> None:
    slots = Slots(3)
    first, second = slots.take("first"), slots.take("second")
    slots.give_back(first)
    slots.give_back(second)
    assert slots.take("first") == first
    slots.give_back(first)
    assert slots.take("third") == second


def test_a_busy_session_is_not_evicted_while_an_idle_one_is_there() -> None:
    slots = Slots(3)
    busy, idle = slots.take("busy"), slots.take("idle")
    slots.give_back(idle)
    assert slots.take("new") == idle != busy


def test_calls_without_a_session_spread_over_what_is_free() -> None:
    slots = Slots(3)
    assert {slots.take(None), slots.take(None), slots.take(None)} == {0, 1, 2}


def test_one_slot_serves_everybody() -> None:
    slots = Slots(1)
    assert [slots.take("a"), slots.take("b"), slots.take(None)] == [0, 0, 0]

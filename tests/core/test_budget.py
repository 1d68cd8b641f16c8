"""One ledger for the whole tree, and one place to stop it."""

import asyncio
import threading

import pytest

from rlm_core.backends.base import CallUsage
from rlm_core.budget import RESERVED_SHARE, Budget, BudgetExhausted, CancelToken
from rlm_core.settings import Limits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ledger(clock: Clock | None = None, **limits: float) -> Budget:
    return Budget(Limits.model_validate(limits), clock=clock or Clock())


def test_the_last_call_is_kept_back_for_the_answer() -> None:
    budget = ledger(max_llm_calls=3)
    budget.charge_call("m", 10)
    budget.charge_call("m", 10)
    assert budget.calls_left == 0
    with pytest.raises(BudgetExhausted, match="limit of 3 model calls") as caught:
        budget.charge_call("m", 10)
    assert caught.value.limit == "max_llm_calls"
    budget.close()
    budget.charge_call("m", 10)
    with pytest.raises(BudgetExhausted):
        budget.charge_call("m", 10)


def test_a_budget_of_one_call_keeps_nothing_back() -> None:
    budget = ledger(max_llm_calls=1)
    budget.charge_call("m", 10)
    with pytest.raises(BudgetExhausted):
        budget.charge_call("m", 10)


def test_a_refused_call_is_not_entered() -> None:
    budget = ledger(max_llm_calls=1)
    budget.charge_call("m", 10)
    with pytest.raises(BudgetExhausted):
        budget.charge_call("other", 10)
    assert budget.usage().by_model == {"m": 1}
    assert budget.usage().llm_calls == 1


def test_calls_at_the_same_time_cannot_overdraw_the_tokens_together() -> None:
    budget = ledger(max_tokens=1_000)
    budget.charge_call("m", 400)
    budget.charge_call("m", 400)
    with pytest.raises(BudgetExhausted, match="1,000 tokens") as caught:
        budget.charge_call("m", 400)
    assert caught.value.limit == "max_tokens"


def test_a_finished_call_costs_what_the_server_reports_not_what_was_promised() -> None:
    budget = ledger(max_tokens=1_000)
    budget.charge_call("m", 400)
    budget.record(CallUsage(100, 50, tokens_cached=30), promised=400)
    usage = budget.usage()
    assert (usage.tokens_in, usage.tokens_out, usage.tokens_cached) == (100, 50, 30)
    assert budget.tokens_left == 1_000 - 150 - int(1_000 * RESERVED_SHARE)


def test_a_part_of_the_tokens_is_kept_back_for_the_answer() -> None:
    budget = ledger(max_tokens=1_000)
    with pytest.raises(BudgetExhausted):
        budget.charge_call("m", 900)
    budget.close()
    budget.charge_call("m", 900)


def test_without_a_token_limit_tokens_are_only_counted() -> None:
    budget = ledger()
    budget.charge_call("m", 10**9)
    assert budget.tokens_left is None


def test_a_part_of_the_time_is_kept_back_for_the_answer() -> None:
    clock = Clock()
    budget = ledger(clock, max_seconds=100)
    clock.now += 84
    budget.check_time()
    assert budget.seconds_left == pytest.approx(1.0)
    clock.now += 2
    with pytest.raises(BudgetExhausted, match="time limit of 100 s"):
        budget.check_time()
    with pytest.raises(BudgetExhausted):
        budget.charge_call("m", 1)
    budget.close()
    budget.charge_call("m", 1)
    assert budget.seconds_left == pytest.approx(14.0)
    clock.now += 15
    with pytest.raises(BudgetExhausted):
        budget.check_time()


def test_at_most_45_seconds_are_kept_back() -> None:
    assert ledger(max_seconds=3_600).seconds_left == pytest.approx(3_555)


def test_many_threads_cannot_overdraw_the_calls() -> None:
    budget = ledger(max_llm_calls=51)
    entered = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(20):
            try:
                budget.charge_call("m", 1)
                entered.append(1)
            except BudgetExhausted:
                return

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) == 50


async def test_a_cancel_from_another_thread_stops_the_watched_task() -> None:
    token = CancelToken()

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        with token.watching(task):
            threading.Thread(target=token.cancel).start()
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())
    assert token.reason == "Stopped by the user."


async def test_a_token_that_was_cancelled_before_stops_the_work_at_once() -> None:
    token = CancelToken()
    token.cancel("closed")
    token.cancel("a later reason changes nothing")

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        with token.watching(task):
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())
    assert token.reason == "closed"


async def test_a_cancel_that_comes_as_the_work_ends_does_not_hit_what_follows() -> None:
    token = CancelToken()

    async def work() -> str:
        task = asyncio.current_task()
        assert task is not None
        with token.watching(task):
            token.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "went on"

    assert await asyncio.create_task(work()) == "went on"

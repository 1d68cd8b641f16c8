"""One ledger for the whole tree of a message, and the one place where it is stopped (DESIGN.md 4.4).

The ledger knows nothing about models or events: it counts calls, tokens and seconds, and says no *before* a call is
made. A part of it is kept back, so that an answer can still be written when the work has used up the rest.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rlm_core.backends.base import CallUsage
from rlm_core.errors import LocalRLMError
from rlm_core.results import Usage
from rlm_core.settings import Limits

RESERVED_SHARE = 0.15
RESERVED_SECONDS_AT_MOST = 45.0


class BudgetExhausted(LocalRLMError):
    """The message has used up one of its limits. ``limit`` is that setting's name."""

    def __init__(self, limit: str, text: str) -> None:
        super().__init__(text)
        self.limit = limit


class CancelToken:
    """Handed down the whole tree; cancelling it stops everything that belongs to the message. Thread-safe."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self.reason is not None

    def cancel(self, reason: str = "Stopped by the user.") -> None:
        """Stop. The first reason stays; later calls change nothing."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    @contextmanager
    def watching(self, task: asyncio.Task[object]) -> Iterator[None]:
        """While the block runs, a cancel also cancels ``task``, from whatever thread it comes."""
        loop = asyncio.get_running_loop()
        inside = True

        def cancel_task() -> None:
            if inside:  # the block may have ended since the cancel came from another thread
                task.cancel()

        def callback() -> None:
            loop.call_soon_threadsafe(cancel_task)

        with self._lock:
            self._callbacks.append(callback)
            already = self.cancelled
        if already:
            callback()
        try:
            yield
        finally:
            inside = False
            with self._lock:
                self._callbacks.remove(callback)


class Budget:
    """The ledger of one message. All times in seconds, all sizes in tokens."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()
        self._calls = 0
        self._iterations = 0
        self._tokens_in = 0
        self._tokens_out = 0
        self._tokens_cached = 0
        self._tokens_promised = 0
        self._by_model: Counter[str] = Counter()
        self._closing = False

    def charge_call(self, model: str, prompt_tokens: int) -> None:
        """Enter one model call before it is made.

        Its prompt counts as spent until :meth:`record` enters the true figures, so calls made at the same time cannot
        overdraw the ledger together. Raises :class:`BudgetExhausted` when calls, tokens or time are used up; then nothing
        is entered.
        """
        with self._lock:
            self._check_time()
            calls_allowed = self.limits.max_llm_calls - self._reserved_calls()
            if self._calls >= calls_allowed:
                raise BudgetExhausted(
                    "max_llm_calls",
                    f"The limit of {self.limits.max_llm_calls} model calls for one message is reached.",
                )
            left = self._tokens_left()
            if left is not None and prompt_tokens >= left:
                spent = self._tokens_in + self._tokens_out
                raise BudgetExhausted(
                    "max_tokens",
                    f"The limit of {self.limits.max_tokens:,} tokens for one message is reached ({spent:,} used).",
                )
            self._calls += 1
            self._by_model[model] += 1
            self._tokens_promised += prompt_tokens

    def record(self, usage: CallUsage, *, promised: int) -> None:
        """Enter what a call has cost, as reported by the server. ``promised`` is the size of its prompt as it was
        charged."""
        with self._lock:
            self._tokens_promised -= promised
            self._tokens_in += usage.tokens_in
            self._tokens_out += usage.tokens_out
            self._tokens_cached += usage.tokens_cached

    def count_iteration(self) -> None:
        """Enter one turn of a REPL loop, for the usage report. (Each loop compares its own turns with max_iterations.)"""
        with self._lock:
            self._iterations += 1

    def check_time(self) -> None:
        """Raises :class:`BudgetExhausted` when the time for work is over."""
        with self._lock:
            self._check_time()

    @property
    def seconds(self) -> float:
        """Since the message came in."""
        return self._clock() - self._started

    @property
    def seconds_left(self) -> float:
        """For work, without what is kept back for the answer (with it, once :meth:`close` was called)."""
        return max(0.0, self.limits.max_seconds - self._reserved_seconds() - self.seconds)

    @property
    def calls_left(self) -> int:
        """Model calls that work may still make."""
        return max(0, self.limits.max_llm_calls - self._reserved_calls() - self._calls)

    @property
    def tokens_left(self) -> int | None:
        """Tokens that work may still spend; None without a limit."""
        with self._lock:
            return self._tokens_left()

    def time_is_up(self) -> BudgetExhausted:
        """The error that says so."""
        return BudgetExhausted(
            "max_seconds", f"The time limit of {self.limits.max_seconds:g} s for one message is reached."
        )

    def close(self) -> None:
        """Work is over: what was kept back may now be spent on the answer."""
        self._closing = True

    def usage(self) -> Usage:
        """What has been spent so far."""
        with self._lock:
            return Usage(
                llm_calls=self._calls,
                tokens_in=self._tokens_in,
                tokens_out=self._tokens_out,
                tokens_cached=self._tokens_cached,
                seconds=round(self.seconds, 3),
                iterations=self._iterations,
                by_model=dict(self._by_model),
            )

    def _check_time(self) -> None:
        if self.seconds_left <= 0:
            raise self.time_is_up()

    def _tokens_left(self) -> int | None:
        if self.limits.max_tokens is None:
            return None
        reserved = 0 if self._closing else int(RESERVED_SHARE * self.limits.max_tokens)
        spent = self._tokens_in + self._tokens_out + self._tokens_promised
        return max(0, self.limits.max_tokens - reserved - spent)

    def _reserved_calls(self) -> int:
        return 1 if not self._closing and self.limits.max_llm_calls >= 3 else 0

    def _reserved_seconds(self) -> float:
        if self._closing:
            return 0.0
        return min(RESERVED_SECONDS_AT_MOST, RESERVED_SHARE * self.limits.max_seconds)

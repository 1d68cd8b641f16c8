"""Every model call of every strategy goes through here: role to model, window check, ledger, stream, events.

Nothing is ever sent that does not fit: a prompt is measured first and refused with its sizes (DESIGN.md 5.4).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from rlm_core.backends.base import Backend, CallUsage, ChatMessage, ChatOptions
from rlm_core.errors import LocalRLMError, PromptTooLong
from rlm_core.events import (
    ModelCallFinishedEvent,
    ModelCallStartedEvent,
    PhaseEvent,
    PromptPart,
    Purpose,
    ThinkingEvent,
)
from rlm_core.repetition import TAIL_CHARS, turns_in_circles, without_circles
from rlm_core.router import Assignment, Router
from rlm_core.run import Run
from rlm_core.settings import Role
from rlm_core.tokens import TokenEstimator

SAFETY = 1.05
"""Room left in every window for what the estimate may miss."""
PREVIEW_HEAD, PREVIEW_TAIL = 4_000, 1_500
REPLY_PREVIEW = 8_000
QUICK: frozenset[Purpose] = frozenset({"direct", "sub", "complexity", "map", "probe"})
"""Calls for which a thinking model is told not to think, unless the user wants it."""


@dataclass(frozen=True)
class Reply:
    """A model's whole reply. ``call_id`` is the id of its ``model_call_started`` event."""

    text: str
    thinking: str
    model: str
    finish_reason: str
    usage: CallUsage
    call_id: str


@dataclass(frozen=True)
class Speed:
    """What was measured of a model, for the page's forecasts: prompt tokens a second."""

    prompt: float


class ModelCalls:
    """The engine's only way to a model. One object serves all messages and knows none of them."""

    def __init__(self, backend: Backend, router: Router, estimator: TokenEstimator) -> None:
        self.backend = backend
        self.router = router
        self.estimator = estimator
        self._speeds: dict[str, Speed] = {}
        self._noticed: set[str] = set()

    async def assign(self, run: Run, role: Role, model: str | None = None) -> Assignment:
        """The model and the window that a call in this role would have; ``model`` overrules the roles."""
        assignment = await self.router.assign(role, model=model or run.model)
        if assignment.notice and assignment.notice not in self._noticed:
            self._noticed.add(assignment.notice)
            run.warn("model_missing", assignment.notice)
        return assignment

    async def parameters(self, run: Run) -> float:
        """How many parameters the model has that reads passages; infinite when the server does not say."""
        return (await self.assign(run, "fast")).parameter_count

    def reply_room(self, window: int, *, prompt_tokens: int) -> int:
        """Tokens left for a reply behind a prompt of this size."""
        return window - int(prompt_tokens * SAFETY)

    def smallest_reply(self, window: int) -> int:
        """Tokens that any prompt has to leave free."""
        return min(512, window // 6)

    async def prompt_chars(self, run: Run, role: Role, *, reply_tokens: int = 0, like: str = "") -> int:
        """How many characters a single prompt in this role may have, when it is made of text like ``like``."""
        assignment = await self.assign(run, role)
        free = max(reply_tokens, self.smallest_reply(assignment.window))
        tokens = int((assignment.window - free) / SAFETY) - 64
        return self.estimator.chars(tokens, assignment.model, like=like)

    async def room_chars(
        self, run: Run, role: Role, messages: Sequence[ChatMessage], *, reply_tokens: int, like: str
    ) -> int:
        """How many characters of text like ``like`` can be added to these messages, with this much left for the reply."""
        to = await self.assign(run, role)
        free = max(reply_tokens, self.smallest_reply(to.window))
        tokens = int((to.window - free) / SAFETY) - 8 - self.estimator.prompt(messages, to.model)
        return self.estimator.chars(max(0, tokens), to.model, like=like)

    async def call(
        self,
        run: Run,
        role: Role,
        purpose: Purpose,
        messages: Sequence[ChatMessage],
        *,
        parent: str | None = None,
        schema: dict[str, Any] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        model: str | None = None,
        session: str | None = None,
        same_prefix: int = 0,
        on_text: Callable[[str], None] | None = None,
    ) -> Reply:
        """Make one call and return the whole reply; pieces go to ``on_text`` as they come.

        Raises PromptTooLong before anything is sent, BudgetExhausted when the ledger says no or the time runs out,
        and the backend's own errors.
        """
        async with run.slots:
            run.budget.check_time()
            to = await self.assign(run, role, model)
            prompt_tokens = self.estimator.prompt(messages, to.model)
            room = self.reply_room(to.window, prompt_tokens=prompt_tokens)
            if room < self.smallest_reply(to.window):
                raise PromptTooLong(
                    prompt_tokens, to.window, "Give it less text, or raise num_ctx in the settings."
                )
            run.budget.charge_call(to.model, prompt_tokens)
            allowed = [size for size in (room, max_tokens, run.budget.tokens_left) if size is not None]
            options = ChatOptions(
                num_ctx=to.window,
                temperature=run.settings.temperature if temperature is None else temperature,
                max_tokens=max(1, min(allowed)),
                schema=schema,
                think=self._think(run, purpose),
                keep_alive=run.settings.keep_alive,
                session=session,
            )
            call_id = run.emit(
                ModelCallStartedEvent,
                parent=parent,
                role=role,
                model=to.model,
                purpose=purpose,
                prompt_tokens=prompt_tokens,
                window=to.window,
                same_prefix=same_prefix,
                prompt=tuple(_part(message) for message in messages[same_prefix:]),
            )
            run.emit(PhaseEvent, parent=call_id, text=self._forecast(to, prompt_tokens))
            stream = _Stream(run, call_id, on_text)
            try:
                async with asyncio.timeout(run.budget.seconds_left):
                    await stream.read(self.backend, to.model, messages, options)
            except TimeoutError:
                stream.finish(role, to.model, purpose, prompt_tokens, self.estimator, error="the time was up")
                raise run.budget.time_is_up() from None
            except (LocalRLMError, asyncio.CancelledError) as error:
                stream.finish(
                    role, to.model, purpose, prompt_tokens, self.estimator, error=str(error) or "stopped"
                )
                raise
            reply = stream.finish(role, to.model, purpose, prompt_tokens, self.estimator)
            self._learn(to, messages, reply.usage, counted=stream.usage is not None)
            return reply

    def _think(self, run: Run, purpose: Purpose) -> bool | None:
        if run.settings.think != "auto":
            return run.settings.think == "on"
        return False if purpose in QUICK else None

    def _forecast(self, to: Assignment, prompt_tokens: int) -> str:
        if not to.loaded:
            return f"loading {to.model}"
        speed = self._speeds.get(to.model)
        about = f", about {max(1, round(prompt_tokens / speed.prompt))} s" if speed else ""
        return f"reading {prompt_tokens:,} tokens{about}"

    def _learn(
        self, to: Assignment, messages: Sequence[ChatMessage], usage: CallUsage, *, counted: bool
    ) -> None:
        if not to.loaded:
            self.router.forget()
        if not counted:
            return
        self.estimator.learn(to.model, messages, usage.tokens_in)
        fresh = usage.tokens_in - usage.tokens_cached
        if usage.prompt_seconds > 0.05 and fresh > 100:
            self._speeds[to.model] = Speed(prompt=fresh / usage.prompt_seconds)


class _Stream:
    """Collects one reply and reports it."""

    def __init__(self, run: Run, call_id: str, on_text: Callable[[str], None] | None) -> None:
        self._run = run
        self._call_id = call_id
        self._on_text = on_text
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._finish_reason = "stop"
        self._unchecked = 0
        self._started = time.monotonic()
        self._first: float | None = None
        self.usage: CallUsage | None = None

    async def read(
        self, backend: Backend, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> None:
        async with aclosing(backend.chat(model, messages, options)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                if self._first is None and (chunk.text or chunk.thinking):
                    self._first = time.monotonic() - self._started
                    self._run.emit(
                        PhaseEvent, parent=self._call_id, text="thinking" if chunk.thinking else "writing"
                    )
                if chunk.thinking:
                    self._thinking.append(chunk.thinking)
                    self._run.emit(ThinkingEvent, parent=self._call_id, text=chunk.thinking)
                if chunk.text:
                    self._text.append(chunk.text)
                    if self._on_text is not None:
                        self._on_text(chunk.text)
                    if self._goes_in_circles(chunk.text):
                        self._finish_reason = "repetition"
                        return
                self.usage = chunk.usage or self.usage
                self._finish_reason = chunk.finish_reason or self._finish_reason

    def _goes_in_circles(self, piece: str) -> bool:
        self._unchecked += len(piece)
        if self._unchecked < TAIL_CHARS // 3:
            return False
        self._unchecked = 0
        return turns_in_circles("".join(self._text[-TAIL_CHARS:]))

    def finish(
        self,
        role: Role,
        model: str,
        purpose: Purpose,
        prompt_tokens: int,
        estimator: TokenEstimator,
        *,
        error: str | None = None,
    ) -> Reply:
        text, thinking = "".join(self._text), "".join(self._thinking)
        if self._finish_reason == "repetition":
            text = without_circles(text)
            self._run.warn(
                "repetition", f"{model} began to repeat itself and was stopped.", parent=self._call_id
            )
        usage = self.usage or CallUsage(prompt_tokens, estimator.text(text + thinking, model))
        self._run.budget.record(usage, promised=prompt_tokens)
        self._run.emit(
            ModelCallFinishedEvent,
            parent=self._call_id,
            role=role,
            model=model,
            purpose=purpose,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            tokens_cached=usage.tokens_cached,
            seconds=round(time.monotonic() - self._started, 3),
            first_token_seconds=None if self._first is None else round(self._first, 3),
            reply=text[:REPLY_PREVIEW],
            reply_chars=len(text),
            finish_reason=self._finish_reason if error is None else "error",
            error=error,
        )
        return Reply(text, thinking, model, self._finish_reason, usage, self._call_id)


def _part(message: ChatMessage) -> PromptPart:
    text = message.content
    if len(text) > PREVIEW_HEAD + PREVIEW_TAIL:
        left_out = len(text) - PREVIEW_HEAD - PREVIEW_TAIL
        text = f"{text[:PREVIEW_HEAD]}\n[… {left_out:,} characters not kept in the trace …]\n{text[-PREVIEW_TAIL:]}"
    return PromptPart(message.role, text, len(message.content))

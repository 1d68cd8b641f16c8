"""The model calls that code in the REPL can make: ``llm_query``, ``rlm_query``, their batches, ``memory_search``.

They run on the host, are charged to the message's one ledger, and answer mistakes with sentences a model can learn from.
What they raise becomes an exception in the cell.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rlm_core.backends.base import ChatMessage
from rlm_core.calls import ModelCalls
from rlm_core.context import Context, Material
from rlm_core.errors import LocalRLMError, PromptTooLong
from rlm_core.parsing import without_thinking
from rlm_core.question import Question
from rlm_core.run import Run

ChildSolver = Callable[[Run, Question, int, str | None], Awaitable[str]]
MemorySearch = Callable[[str, int], Sequence[tuple[str, str, float]]]
MODEL_NAME_CHARS = 80
MOST_IN_A_BATCH = 1_000
BEGUN_TOGETHER = 8
"""Calls of a batch between two looks at the network. Each look costs a little, too: 1 and 4 are slower."""


class SubCalls:
    """The functions for one REPL and one message. ``depth`` as in DESIGN.md 4.4; ``parent`` is the event under which
    calls are shown, set by whoever runs the cells."""

    def __init__(
        self,
        calls: ModelCalls,
        run: Run,
        *,
        depth: int,
        solve_child: ChildSolver,
        memory: MemorySearch | None = None,
    ) -> None:
        self._calls = calls
        self._run = run
        self._depth = depth
        self._solve_child = solve_child
        self._memory = memory
        self.parent: str | None = None

    def functions(self) -> dict[str, Callable[..., Any]]:
        """What the REPL gets, by name."""
        found: dict[str, Callable[..., Any]] = {}
        if self._depth >= 1:
            found = {
                "llm_query": self.llm_query,
                "llm_query_batched": self.llm_query_batched,
                "rlm_query": self.rlm_query,
                "rlm_query_batched": self.rlm_query_batched,
                "llm_call": self.llm_query,
            }
        if self._memory is not None:
            found["memory_search"] = self.memory_search
        return found

    async def llm_query(self, prompt: Any, model: Any = None, schema: dict[str, Any] | None = None) -> Any:
        """One model call: its text, or with a JSON schema the parsed value.

        Raises PromptTooLong before anything is sent, ValueError when a reply does not follow the schema.
        """
        return await self.ask(prompt, model, schema, parent=self.parent)

    async def ask(
        self, prompt: Any, model: Any = None, schema: dict[str, Any] | None = None, *, parent: str | None
    ) -> Any:
        """:meth:`llm_query`, shown under ``parent``."""
        text = _as_prompt(prompt)
        name = None
        if isinstance(model, str) and model.strip():
            if len(model) > MODEL_NAME_CHARS or any(mark in model for mark in " \n"):
                text = f"{text}\n\n{model}"
            else:
                name = model
        messages = [ChatMessage("user", text)]
        try:
            reply = await self._calls.call(
                self._run, "fast", "sub", messages, parent=parent, schema=schema, model=name
            )
        except PromptTooLong as error:
            raise await self._with_advice(error, text) from None
        answer = without_thinking(reply.text).strip()
        if schema is None:
            return answer
        try:
            return json.loads(answer)
        except ValueError:
            raise ValueError(f"the reply does not follow the schema: {answer[:300]!r}") from None

    async def llm_query_batched(
        self, prompts: Any, model: Any = None, schema: dict[str, Any] | None = None
    ) -> list[Any]:
        """Many calls in parallel; the replies in the order of the prompts. A prompt that fails yields ``"Error: …"``
        in its place; if all fail, the first error is raised."""
        return await _all(self.llm_query(prompt, model, schema) for prompt in _as_batch(prompts))

    async def rlm_query(self, prompt: Any, context: Any = None, model: Any = None) -> str:
        """A child RLM with its own REPL over ``context`` (the prompt itself if none is given); at the depth limit a
        plain call."""
        return await self.solve(prompt, context, model, parent=self.parent)

    async def solve(self, prompt: Any, context: Any = None, model: Any = None, *, parent: str | None) -> str:
        """:meth:`rlm_query`, shown under ``parent``."""
        text = _as_prompt(prompt)
        material = text if context is None else _as_text(context)
        if self._depth < 2:
            plain = text if context is None else f"{text}\n\n{material}"
            return str(await self.ask(plain, model, parent=parent))
        question = Question(text, Context([Material("context", material)]))
        return await self._solve_child(self._run, question, self._depth - 1, parent)

    async def rlm_query_batched(self, prompts: Any, contexts: Any = None, model: Any = None) -> list[Any]:
        """Children in parallel, in order; ``contexts`` is a list beside ``prompts``, or one text for all."""
        questions = _as_batch(prompts)
        beside = contexts if isinstance(contexts, list) else [contexts] * len(questions)
        if len(beside) != len(questions):
            raise ValueError(f"{len(questions)} prompts but {len(beside)} contexts")
        pairs = zip(questions, beside, strict=True)
        return await _all(self.rlm_query(prompt, material, model) for prompt, material in pairs)

    async def memory_search(self, text: str, k: int = 5) -> list[dict[str, Any]]:
        """Earlier messages of the user's conversations that fit ``text``, best first."""
        if self._memory is None:
            raise LocalRLMError("There is no long-term memory in this session.")
        hits = await asyncio.to_thread(self._memory, str(text), max(1, min(int(k), 50)))
        return [
            {"role": role, "text": said, "date": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")}
            for role, said, at in hits
        ]

    async def _with_advice(self, error: PromptTooLong, text: str) -> PromptTooLong:
        most = await self._calls.prompt_chars(self._run, "fast")
        if len(text) <= most:
            return error
        return PromptTooLong(
            error.tokens,
            error.window,
            f"The prompt has {len(text):,} characters, the limit is about {most:,}. Cut the text, for example "
            f"`parts = chunks({most * 2 // 3}, 0)`, and ask about the pieces with llm_query_batched.",
        )


async def _all(calls: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Their results in order. The requests of the first few calls go out before the next ones are prepared: the model
    server has work meanwhile, and not all replies come in the same moment."""
    tasks: list[asyncio.Task[Any]] = []
    try:
        for number, call in enumerate(calls, 1):
            tasks.append(asyncio.create_task(call))
            if number % BEGUN_TOGETHER == 0:
                await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, LocalRLMError | ValueError):
            raise error
    if errors and len(errors) == len(results):
        raise errors[0]
    return [f"Error: {result}" if isinstance(result, BaseException) else result for result in results]


def _as_batch(prompts: Any) -> list[Any]:
    if isinstance(prompts, str) or not isinstance(prompts, list | tuple):
        raise TypeError("expected a list of prompts")
    if len(prompts) > MOST_IN_A_BATCH:
        raise ValueError(
            f"{len(prompts)} prompts in one batch; at most {MOST_IN_A_BATCH}. Use larger pieces, or code."
        )
    return list(prompts)


def _as_prompt(prompt: Any) -> str:
    if (
        isinstance(prompt, list)
        and prompt
        and all(isinstance(item, dict) and "content" in item for item in prompt)
    ):
        return "\n\n".join(str(item["content"]) for item in prompt)
    return _as_text(prompt)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)

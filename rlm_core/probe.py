"""What a model can do, found out by trying: three tiny tasks for the REPL, and a small plan.

Run once for each model (by the digest of its weights) and remembered in ``<data>/capabilities.json``. The smallest models
are not tried: none of them writes code, and the first answer would wait for nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rlm_core.backends.base import ChatMessage
from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.decomposer import PlanError, parse_plan
from rlm_core.events import PhaseEvent
from rlm_core.parsing import parse_reply, without_thinking
from rlm_core.paths import replace_text
from rlm_core.prompts import PLAN_SCHEMA
from rlm_core.repl import ReplLimits, ReplSession
from rlm_core.router import TINY
from rlm_core.run import Run

log = logging.getLogger(__name__)

PROBE_VERSION = 2
CODE_TOKENS = 256
PLAN_TOKENS = 400
RIGHT_TO_PASS = 2

_CONTEXT = "\n".join(
    f"box {number}: color={('red', 'blue', 'green')[number % 3]} weight={number * 7 % 40 + 3}"
    for number in range(1, 61)
)
_TASKS = (
    ("how many lines of `context` hold the word green", "20"),
    ("the weight of box 41", str(41 * 7 % 40 + 3)),
    ("the sum of the weights of all boxes", str(sum(number * 7 % 40 + 3 for number in range(1, 61)))),
)
MOST_CALLS = len(_TASKS) + 1
_CODE_PROMPT = """The variable `context` is a Python string with many lines such as
box 7: color=blue weight=12

Write Python code that prints {task}. `context` exists already; do not define it. Reply with one block of code:
```python
...
```"""
_PLAN_PROMPT = """Break this task into two or three sub-tasks: "Who signed the lease, and what is the monthly rent?"
Use only the types search_context (input: words to look for in the documents) and llm_call (input: a question to answer \
from the results of the sub-tasks in depends_on). Reply as JSON:
{"sub_tasks": [{"id": 1, "type": "...", "input": "...", "depends_on": []}], "synthesis_strategy": "..."}"""


@dataclass(frozen=True)
class Capabilities:
    """What a model showed. ``code_right`` counts the REPL tasks it got right, of the ``code_tried`` it was given."""

    model: str
    digest: str
    code_right: int
    code_tried: int
    writes_code: bool
    follows_schema: bool

    @property
    def strategy(self) -> Literal["loop", "plan", "retrieve"]:
        """The strategy that ``auto`` takes for this model."""
        if self.writes_code:
            return "loop"
        return "plan" if self.follows_schema else "retrieve"

    @property
    def sentence(self) -> str:
        """In words, for Settings."""
        if not self.code_tried:
            return f"{self.model} is too small to write code: material is searched and read in passages."
        did = f"{self.model} solved {self.code_right} of {self.code_tried} small tasks with code"
        if self.writes_code:
            return f"{did}: long material is worked on in the REPL."
        if self.follows_schema:
            return f"{did}, but made a usable plan: long material is worked on by plans of sub-tasks."
        return f"{did} and made no usable plan: long material is searched and read in passages."


class CapabilityProbe:
    """Finds out and remembers. ``file`` is where."""

    def __init__(self, calls: ModelCalls, file: Path) -> None:
        self._calls = calls
        self._file = file
        self._lock = asyncio.Lock()

    async def of(self, run: Run, *, again: bool = False) -> Capabilities:
        """The capabilities of the model that would drive the REPL for ``run``.

        Raises BudgetExhausted when the ledger has no room for trying, and the errors of the backend and the sandbox.
        """
        assignment = await self._calls.assign(run, "tools")
        digest = (assignment.info and assignment.info.digest) or assignment.model
        if assignment.parameter_count < TINY:
            return Capabilities(assignment.model, digest, 0, 0, writes_code=False, follows_schema=False)
        async with self._lock:
            known = None if again else self._load().get(digest)
            if known is not None:
                return known
            if run.budget.calls_left < MOST_CALLS:
                raise BudgetExhausted(
                    "max_llm_calls",
                    f"{MOST_CALLS} model calls are needed to find out what {assignment.model} can do.",
                )
            run.emit(PhaseEvent, text=f"getting to know {assignment.model} (once)")
            found = await self._try(run, assignment.model, digest)
            self._save(found)
            return found

    async def _try(self, run: Run, model: str, digest: str) -> Capabilities:
        async with ReplSession(
            context=_CONTEXT,
            limits=ReplLimits(
                seconds=5,
                memory_mb=256,
                output_chars=2_000,
                minimum_level="language-only" if run.settings.repl.accept_weak_sandbox else "standard",
            ),
        ) as repl:
            right = tried = 0
            for task, expected in _TASKS:
                right += await self._solves(run, repl, task, expected)
                tried += 1
                if right + len(_TASKS) - tried < RIGHT_TO_PASS:
                    break
        writes_code = right >= RIGHT_TO_PASS
        follows_schema = writes_code or await self._plans(run)
        return Capabilities(model, digest, right, tried, writes_code, follows_schema)

    async def _solves(self, run: Run, repl: ReplSession, task: str, expected: str) -> bool:
        prompt = _CODE_PROMPT.format(task=task)
        reply = await self._calls.call(
            run,
            "tools",
            "probe",
            [ChatMessage("user", prompt)],
            max_tokens=CODE_TOKENS,
            temperature=0.0,
        )
        for cell in parse_reply(reply.text).cells:
            result = await repl.run(cell)
            if result.error is None and re.search(rf"(?<!\d){expected}(?!\d)", result.output):
                return True
        return False

    async def _plans(self, run: Run) -> bool:
        try:
            reply = await self._calls.call(
                run,
                "tools",
                "probe",
                [ChatMessage("user", _PLAN_PROMPT)],
                schema=PLAN_SCHEMA,
                max_tokens=PLAN_TOKENS,
                temperature=0.0,
            )
            plan = parse_plan(without_thinking(reply.text))
        except PlanError:
            return False
        searches = [task.input.lower() for task in plan.tasks if task.type == "search_context"]
        about_rent = any("rent" in words and len(words) < 80 for words in searches)
        about_lease = any(("sign" in words or "lease" in words) and len(words) < 80 for words in searches)
        depends = any(task.type == "llm_call" and task.depends_on for task in plan.tasks)
        return about_rent and about_lease and depends

    def _load(self) -> dict[str, Capabilities]:
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            if stored["version"] != PROBE_VERSION:
                return {}
            return {digest: Capabilities(**values) for digest, values in stored["models"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read (%s); the models are tried again.", self._file, error)
            return {}

    def _save(self, found: Capabilities) -> None:
        models = {**self._load(), found.digest: found}
        stored = {
            "version": PROBE_VERSION,
            "models": {digest: asdict(values) for digest, values in models.items()},
        }
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self._file, json.dumps(stored, indent=1))
        except OSError as error:
            log.warning(
                "%s cannot be written (%s); the model will be tried again next time.", self._file, error
            )

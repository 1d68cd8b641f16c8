"""A complex task into sub-tasks: asks for a plan, checks it, has it repaired once.

The plan format is that of the project's plan, widened by ``search_context``, ``solve`` and ``depends_on``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rlm_core.backends.base import ChatMessage
from rlm_core.calls import ModelCalls
from rlm_core.events import PlanEvent, PlannedTask
from rlm_core.parsing import without_thinking
from rlm_core.prompts import DECOMPOSITION, PLAN_REPAIR, PLAN_SCHEMA
from rlm_core.question import Question, history_lines, shorten
from rlm_core.run import Run

TASK_TYPES = ("python_exec", "llm_call", "read_context", "search_context", "solve")
MOST_TASKS = 8


@dataclass(frozen=True)
class Plan:
    """Sub-tasks in an order in which each comes after those it depends on."""

    tasks: tuple[PlannedTask, ...]
    synthesis_strategy: str
    origin: Literal["model", "repaired", "default"] = "model"


class PlanError(ValueError):
    """A plan cannot be carried out; the text says why, for the model that wrote it."""


class Decomposer:
    """Asks the tools model for a plan."""

    def __init__(self, calls: ModelCalls) -> None:
        self._calls = calls

    async def plan(self, run: Run, question: Question, *, parent: str | None = None) -> Plan | None:
        """A plan that can be carried out, or None when the model did not manage one in two tries."""
        messages = [ChatMessage("user", await self._prompt(run, question))]
        origin: Literal["model", "repaired"] = "model"
        for _ in range(2):
            reply = await self._calls.call(
                run,
                "tools",
                "plan",
                messages,
                parent=parent,
                schema=PLAN_SCHEMA,
                temperature=0.0,
                session="root",
            )
            text = without_thinking(reply.text)
            try:
                plan = parse_plan(text, origin)
            except PlanError as error:
                messages += [
                    ChatMessage("assistant", shorten(text, 4_000) or "(empty reply)"),
                    ChatMessage("user", PLAN_REPAIR.format(problem=error)),
                ]
                origin = "repaired"
                continue
            announce(run, plan, parent)
            return plan
        return None

    async def _prompt(self, run: Run, question: Question) -> str:
        context = question.context
        material = "There is no material: `context` is empty.\n"
        if len(context):
            names = ", ".join(part.material.name for part in context.parts)
            material = (
                f"The material ({shorten(names, 400)}) is not shown here: it is the variable `context`, {len(context):,} characters.\n"
                f"It begins: {shorten(context.text[:600], 600)!r}\n"
            )
        tables = f", `sql(query)` over the tables {', '.join(table.name for table in context.tables)}"
        return DECOMPOSITION.format(
            task=history_lines(question.history, 1_000) + shorten(question.text, 4_000),
            material=material,
            tables=tables if context.tables else "",
            prompt_chars=await self._calls.prompt_chars(run, "fast"),
            most=MOST_TASKS,
        )


def announce(run: Run, plan: Plan, parent: str | None) -> None:
    """Show the plan."""
    run.emit(
        PlanEvent,
        parent=parent,
        sub_tasks=plan.tasks,
        synthesis_strategy=plan.synthesis_strategy,
        origin=plan.origin,
    )


def parse_plan(text: str, origin: Literal["model", "repaired", "default"] = "model") -> Plan:
    """Read and check a plan. Raises :class:`PlanError` with a reason that helps to correct it."""
    start, end = text.find("{"), text.rfind("}")
    try:
        value = json.loads(text[start : end + 1], strict=False) if start >= 0 else None
    except ValueError as error:
        raise PlanError(f"it is not valid JSON ({error}).") from None
    if not isinstance(value, dict) or not isinstance(value.get("sub_tasks"), list) or not value["sub_tasks"]:
        raise PlanError('it needs a list "sub_tasks" with at least one sub-task.')
    tasks = [_task(item, number) for number, item in enumerate(value["sub_tasks"], start=1)]
    if len({task.id for task in tasks}) < len(tasks):
        raise PlanError("two sub-tasks have the same id.")
    return Plan(_ordered(tasks), str(value.get("synthesis_strategy", "")), origin)


def _task(item: Any, number: int) -> PlannedTask:
    if not isinstance(item, dict):
        raise PlanError(f"sub-task {number} is not an object.")
    kind = item.get("type")
    if kind not in TASK_TYPES:
        raise PlanError(
            f"sub-task {number} has the type {kind!r}; it must be one of {', '.join(TASK_TYPES)}."
        )
    text = item.get("input")
    if isinstance(text, list | dict):
        text = json.dumps(text, ensure_ascii=False)
    if not isinstance(text, str) or not text.strip():
        raise PlanError(f"sub-task {number} has no input.")
    depends = item.get("depends_on") or []
    if not isinstance(depends, list):
        raise PlanError(f"sub-task {number} needs a list of whole numbers in depends_on.")
    try:
        return PlannedTask(int(item.get("id", number)), kind, text, tuple(int(other) for other in depends))
    except (TypeError, ValueError):
        raise PlanError(f"sub-task {number} needs whole numbers as id and in depends_on.") from None


def _ordered(tasks: Sequence[PlannedTask]) -> tuple[PlannedTask, ...]:
    known = {task.id for task in tasks}
    for task in tasks:
        missing = sorted(set(task.depends_on) - known)
        if missing:
            raise PlanError(f"sub-task {task.id} depends on sub-task {missing[0]}, which is not in the plan.")
    ordered: list[PlannedTask] = []
    placed: set[int] = set()
    while len(ordered) < len(tasks):
        ready = [task for task in tasks if task.id not in placed and placed.issuperset(task.depends_on)]
        if not ready:
            raise PlanError("the sub-tasks depend on each other in a circle.")
        ordered += ready
        placed.update(task.id for task in ready)
    return tuple(ordered)

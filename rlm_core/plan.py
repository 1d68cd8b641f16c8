"""Strategy ``plan``: decomposer, sub-tasks in one REPL, synthesizer.

Sub-tasks that do not depend on each other run in parallel. Each result becomes the variable ``result_<id>``; a failed
sub-task is tried once more with its error in view, then reported to the synthesizer as missing.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace

from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.context import Piece
from rlm_core.decomposer import Decomposer, Plan, announce
from rlm_core.errors import LocalRLMError
from rlm_core.events import CodeEvent, OutputEvent, PlannedTask, TurnStartedEvent
from rlm_core.parsing import compiles, parse_reply
from rlm_core.prompts import CODE_RETRY, TASK_RETRY
from rlm_core.question import Question, shorten
from rlm_core.repl import CellResult
from rlm_core.results import Answer
from rlm_core.retrieval import PassageReader
from rlm_core.run import Run
from rlm_core.synthesizer import Synthesizer, numbered
from rlm_core.workspaces import Workspace

PASSAGES_A_SEARCH = 6
READ_CHARS = 6_000

_PLACEHOLDER = re.compile(r"\{\{?\s*(?:result_)?(\d+)\s*\}\}?")
_RANGE = re.compile(r"(\d[\d_,]*)\D+?(\d[\d_,]*)")


class TaskFailed(LocalRLMError):
    """A sub-task did not give a result; the text says why."""


class PlanRunner:
    """Makes plans, has them carried out, combines the results. One object serves all messages."""

    def __init__(
        self, calls: ModelCalls, decomposer: Decomposer, reader: PassageReader, synthesizer: Synthesizer
    ) -> None:
        self._calls = calls
        self._decomposer = decomposer
        self._reader = reader
        self._synthesizer = synthesizer

    async def answer(
        self, run: Run, question: Question, workspace: Workspace, *, parent: str | None = None
    ) -> Answer:
        """Plan, work, combine. An unusable plan is replaced by the default plan: search, read, merge."""
        plan = await self._decomposer.plan(run, question, parent=parent)
        if plan is None:
            announce(run, _default_plan(question), parent)
            return await self._reader.answer(run, question, parent=parent)
        work = _Work(run, question, workspace, plan, self._reader)
        reason = None
        try:
            await work.carry_out(parent)
        except BudgetExhausted as error:
            reason = str(error)
        run.draft = await self._listed(run, work)
        answer = await self._synthesizer.from_results(
            run, question, run.draft, plan.synthesis_strategy, work.passages, parent=parent
        )
        return answer if reason is None else replace(answer, partial=True, reason=reason)

    async def _listed(self, run: Run, work: _Work) -> str:
        """The results as the synthesizer gets them, each with its share of the window."""
        room = await self._calls.prompt_chars(run, "quality", reply_tokens=512) - 1_500
        share = max(200, room // len(work.plan.tasks))
        lines = []
        for task in work.plan.tasks:
            result = work.results.get(task.id)
            if result is None:
                reason = work.failures.get(task.id, "it was not reached before the budget ended")
                lines.append(f"Sub-task {task.id} ({task.type}): MISSING: {shorten(reason, 300)}")
                continue
            if len(result) > share:
                run.warn(
                    "result_shortened",
                    f"The result of sub-task {task.id} has {len(result):,} characters; {share:,} of them fit into the final prompt.",
                )
            lines.append(
                f"Sub-task {task.id} ({task.type}, {shorten(task.input, 200)}):\n{shorten(result, share)}"
            )
        return "\n\n".join(lines)


@dataclass
class _Work:
    """A plan that is being carried out, and what its sub-tasks have given so far. ``passages`` are numbered across all of
    them."""

    run: Run
    question: Question
    workspace: Workspace
    plan: Plan
    reader: PassageReader
    results: dict[int, str] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    passages: dict[int, Piece] = field(default_factory=dict)

    async def carry_out(self, parent: str | None) -> None:
        """All sub-tasks, those at once that do not wait for others."""
        waiting = list(self.plan.tasks)
        while waiting:
            settled = self.results.keys() | self.failures.keys()
            ready = [task for task in waiting if settled >= set(task.depends_on)]
            waiting = [task for task in waiting if task not in ready]
            done = await asyncio.gather(*(self._task(task, parent) for task in ready), return_exceptions=True)
            for outcome in done:
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _task(self, task: PlannedTask, parent: str | None) -> None:
        """One sub-task; what fails is tried once more."""
        turn = self.run.emit(
            TurnStartedEvent,
            parent=parent,
            depth=0,
            iteration=self.plan.tasks.index(task) + 1,
            of=len(self.plan.tasks),
            title=f"{task.type}: {shorten(task.input, 120)}",
        )
        error = ""
        for _ in range(2):
            self.run.budget.check_time()
            try:
                result = await self._result(task, turn, error)
            except BudgetExhausted:
                raise
            except LocalRLMError as failure:
                error = str(failure)
                continue
            self.results[task.id] = result
            self.run.draft = "\n\n".join(self.results.values())
            await self._run_cell(f"result_{task.id} = {result!r}", turn)
            return
        self.failures[task.id] = error
        self.run.warn(
            "sub_task_failed", f"Sub-task {task.id} ({task.type}) failed twice: {error}", parent=turn
        )

    async def _result(self, task: PlannedTask, turn: str, error: str) -> str:
        """``error``: what a first try failed at."""
        if task.type == "python_exec":
            return await self._python(task, turn, error)
        if task.type == "read_context":
            return self._read(task)
        if task.type == "search_context":
            return await self._search(self._filled(task.input))
        prompt = self._with_results(task)
        if error:
            prompt = TASK_RETRY.format(prompt=prompt, error=error)
        if task.type == "solve":
            material = self.question.context.text or None
            return await self.workspace.subcalls.solve(prompt, material, parent=turn)
        return str(await self.workspace.subcalls.ask(prompt, parent=turn))

    async def _python(self, task: PlannedTask, turn: str, error: str) -> str:
        cells: tuple[str, ...] = (task.input,)
        if error:
            prompt = CODE_RETRY.format(code=task.input, error=error)
            cells = parse_reply(str(await self.workspace.subcalls.ask(prompt, parent=turn))).cells
        elif not compiles(task.input):
            cells = parse_reply(task.input).cells
        if not cells:
            raise TaskFailed("there is no code in it that runs")
        outputs = []
        for cell in cells:
            code_id = self.run.emit(CodeEvent, parent=turn, code=cell)
            result = await self._run_cell(cell, code_id)
            self.run.emit(
                OutputEvent,
                parent=code_id,
                shown=result.output,
                output=result.full_output,
                chars=len(result.full_output),
                error=result.error,
                seconds=round(result.seconds, 4),
            )
            if result.error is not None:
                raise TaskFailed(result.error)
            outputs.append(result.final or result.output)
        return "\n".join(outputs).strip() or "(no output)"

    async def _run_cell(self, code: str, parent: str) -> CellResult:
        try:
            return await self.workspace.run(code, parent=parent, seconds=self.run.budget.seconds_left)
        except TimeoutError:
            raise self.run.budget.time_is_up() from None

    def _read(self, task: PlannedTask) -> str:
        bounds = _RANGE.search(task.input)
        if bounds is None:
            raise TaskFailed('the input of read_context must be "start, end" in characters')
        context = self.question.context
        start, end = (int(bound.replace(",", "").replace("_", "")) for bound in bounds.groups())
        end = min(end, len(context), start + READ_CHARS)
        if start >= end:
            raise TaskFailed(f"the context has only {len(context):,} characters")
        return self._numbered([Piece(start, end, context.text[start:end])])

    async def _search(self, text: str) -> str:
        found = await self.reader.search(self.question.context, text, PASSAGES_A_SEARCH)
        if not found:
            raise TaskFailed(f"no passage fits {shorten(text, 100)!r}")
        return self._numbered(found)

    def _numbered(self, pieces: list[Piece]) -> str:
        fresh = dict(enumerate(pieces, start=len(self.passages) + 1))
        self.passages.update(fresh)
        return numbered(fresh)

    def _filled(self, text: str) -> str:
        """``{result_1}`` replaced by the result of sub-task 1."""
        return _PLACEHOLDER.sub(lambda match: self._said(int(match[1])) or match[0], text)

    def _with_results(self, task: PlannedTask) -> str:
        """The input of a sub-task with the results it depends on: in their placeholders, or behind it."""
        mentioned = {int(match[1]) for match in _PLACEHOLDER.finditer(task.input)}
        behind = [
            f"Result of sub-task {other}:\n{self._said(other)}"
            for other in task.depends_on
            if other not in mentioned
        ]
        return "\n\n".join([self._filled(task.input), *behind])

    def _said(self, number: int) -> str | None:
        """The result of a sub-task as later ones see it; None when there is no such sub-task yet."""
        if number in self.failures:
            return "(missing: this sub-task failed)"
        return self.results.get(number)


def _default_plan(question: Question) -> Plan:
    tasks = (
        PlannedTask(1, "search_context", question.text),
        PlannedTask(2, "llm_call", "Read each group of passages with the question", (1,)),
    )
    return Plan(tasks, "Merge the notes of the readers", "default")

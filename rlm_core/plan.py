"""Strategy ``plan``: decomposer, sub-tasks in one REPL, synthesizer.

Sub-tasks that do not depend on each other run in parallel. Each result becomes the variable ``result_<id>``; a failed
sub-task is tried once more with its error in view, then reported to the synthesizer as missing.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.context import Piece
from rlm_core.decomposer import Decomposer, Plan, announce
from rlm_core.errors import LocalRLMError
from rlm_core.events import CodeEvent, OutputEvent, PlannedTask, TurnStartedEvent
from rlm_core.parsing import compiles, parse_reply
from rlm_core.prompts import TASK_RETRY
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


@dataclass
class _Progress:
    """What the sub-tasks have given so far. ``passages`` are numbered across all of them."""

    results: dict[int, str] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    passages: dict[int, Piece] = field(default_factory=dict)

    def said(self, number: int) -> str | None:
        """The result of a sub-task as later ones see it; None when there is no such sub-task yet."""
        if number in self.failures:
            return "(missing: this sub-task failed)"
        return self.results.get(number)


class PlanRunner:
    """Carries out plans. One object serves all messages."""

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
        progress = _Progress()
        reason = None
        try:
            await self._carry_out(run, question, workspace, plan, progress, parent)
        except BudgetExhausted as error:
            reason = str(error)
        run.draft = await self._listed(run, plan, progress)
        answer = await self._synthesizer.from_results(
            run, question, run.draft, plan.synthesis_strategy, progress.passages, parent=parent
        )
        if reason is not None:
            return Answer(answer.text, answer.citations, answer.quotations, partial=True, reason=reason)
        return answer

    async def _carry_out(
        self,
        run: Run,
        question: Question,
        workspace: Workspace,
        plan: Plan,
        progress: _Progress,
        parent: str | None,
    ) -> None:
        waiting = list(plan.tasks)
        while waiting:
            settled = progress.results.keys() | progress.failures.keys()
            ready = [task for task in waiting if settled >= set(task.depends_on)]
            waiting = [task for task in waiting if task not in ready]
            done = await asyncio.gather(
                *(self._task(run, question, workspace, plan, task, progress, parent) for task in ready),
                return_exceptions=True,
            )
            for outcome in done:
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _task(
        self,
        run: Run,
        question: Question,
        workspace: Workspace,
        plan: Plan,
        task: PlannedTask,
        progress: _Progress,
        parent: str | None,
    ) -> None:
        number = plan.tasks.index(task) + 1
        title = f"{task.type}: {shorten(task.input, 120)}"
        turn = run.emit(
            TurnStartedEvent, parent=parent, depth=0, iteration=number, of=len(plan.tasks), title=title
        )
        error = ""
        for _ in range(2):
            run.budget.check_time()
            try:
                result = await self._work(run, question, workspace, task, progress, turn, error)
            except BudgetExhausted:
                raise
            except LocalRLMError as failure:
                error = str(failure)
                continue
            progress.results[task.id] = result
            run.draft = "\n\n".join(progress.results.values())
            await _in_repl(run, workspace, f"result_{task.id} = {result!r}", turn)
            return
        progress.failures[task.id] = error
        run.warn("sub_task_failed", f"Sub-task {task.id} ({task.type}) failed twice: {error}", parent=turn)

    async def _work(
        self,
        run: Run,
        question: Question,
        workspace: Workspace,
        task: PlannedTask,
        progress: _Progress,
        turn: str,
        error: str,
    ) -> str:
        if task.type == "python_exec":
            return await self._python(run, question, workspace, task, turn, error)
        if task.type == "read_context":
            return self._read(question, task, progress)
        if task.type == "search_context":
            return await self._search(question, _filled(task.input, progress), progress)
        prompt = _with_results(task, progress)
        if error:
            prompt = TASK_RETRY.format(prompt=prompt, error=error)
        if task.type == "solve":
            return await workspace.subcalls.solve(prompt, question.context.text or None, parent=turn)
        return str(await workspace.subcalls.ask(prompt, parent=turn))

    async def _python(
        self, run: Run, question: Question, workspace: Workspace, task: PlannedTask, turn: str, error: str
    ) -> str:
        cells: tuple[str, ...] = (task.input,)
        if error:
            cells = parse_reply(await self._corrected(workspace, task, turn, error)).cells
        elif not compiles(task.input):
            cells = parse_reply(task.input).cells
        if not cells:
            raise TaskFailed("there is no code in it that runs")
        outputs = []
        for cell in cells:
            code_id = run.emit(CodeEvent, parent=turn, code=cell)
            result = await _in_repl(run, workspace, cell, code_id)
            _report(run, code_id, result)
            if result.error is not None:
                raise TaskFailed(result.error)
            outputs.append(result.final or result.output)
        return "\n".join(outputs).strip() or "(no output)"

    async def _corrected(self, workspace: Workspace, task: PlannedTask, turn: str, error: str) -> str:
        """Code that failed is given back to the model with its traceback."""
        prompt = (
            f"This Python code failed in a REPL that holds `context` (str), `search(text, k)`, `chunks(size, overlap)`:\n\n{task.input}\n\n"
            f"{error}\n\nReply with the corrected code only, in one ```python block."
        )
        return str(await workspace.subcalls.ask(prompt, parent=turn))

    def _read(self, question: Question, task: PlannedTask, progress: _Progress) -> str:
        bounds = _RANGE.search(task.input)
        if bounds is None:
            raise TaskFailed('the input of read_context must be "start, end" in characters')
        start, end = (int(bound.replace(",", "").replace("_", "")) for bound in bounds.groups())
        end = min(end, len(question.context), start + READ_CHARS)
        if start >= end:
            raise TaskFailed(f"the context has only {len(question.context):,} characters")
        return _numbered_into([Piece(start, end, question.context.text[start:end])], progress)

    async def _search(self, question: Question, text: str, progress: _Progress) -> str:
        found = await self._reader.search(question.context, text, PASSAGES_A_SEARCH)
        if not found:
            raise TaskFailed(f"no passage fits {shorten(text, 100)!r}")
        return _numbered_into(found, progress)

    async def _listed(self, run: Run, plan: Plan, progress: _Progress) -> str:
        """The results as the synthesizer gets them, each with its share of the window."""
        room = await self._calls.prompt_chars(run, "quality", reply_tokens=512) - 1_500
        share = max(200, room // len(plan.tasks))
        lines = []
        for task in plan.tasks:
            result = progress.results.get(task.id)
            if result is None:
                reason = progress.failures.get(task.id, "it was not reached before the budget ended")
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


async def _in_repl(run: Run, workspace: Workspace, code: str, parent: str) -> CellResult:
    try:
        return await workspace.run(code, parent=parent, seconds=run.budget.seconds_left)
    except TimeoutError:
        raise run.budget.time_is_up() from None


def _default_plan(question: Question) -> Plan:
    tasks = (
        PlannedTask(1, "search_context", question.text),
        PlannedTask(2, "llm_call", "Read each group of passages with the question", (1,)),
    )
    return Plan(tasks, "Merge the notes of the readers", "default")


def _numbered_into(pieces: list[Piece], progress: _Progress) -> str:
    first = len(progress.passages) + 1
    fresh = dict(enumerate(pieces, start=first))
    progress.passages.update(fresh)
    return numbered(fresh)


def _filled(text: str, progress: _Progress) -> str:
    """``{result_1}`` replaced by the result of sub-task 1."""
    return _PLACEHOLDER.sub(lambda match: progress.said(int(match[1])) or match[0], text)


def _with_results(task: PlannedTask, progress: _Progress) -> str:
    """The input of a sub-task with the results it depends on: in their placeholders, or behind it."""
    text = _filled(task.input, progress)
    mentioned = {int(match[1]) for match in _PLACEHOLDER.finditer(task.input)}
    behind = [
        f"Result of sub-task {other}:\n{progress.said(other)}"
        for other in task.depends_on
        if other not in mentioned
    ]
    return "\n\n".join([text, *behind])


def _report(run: Run, code_id: str, result: CellResult) -> None:
    run.emit(
        OutputEvent,
        parent=code_id,
        shown=result.output,
        output=result.full_output,
        chars=len(result.full_output),
        error=result.error,
        seconds=round(result.seconds, 4),
        final=False,
    )

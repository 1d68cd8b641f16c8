"""Strategy ``loop``: the algorithm of the paper (arXiv 2512.24601, Algorithm 1).

    state   <- InitREPL(context)
    history <- metadata of the state
    repeat: code <- root model(history); output <- REPL(code); history <- history + code + view(output)
    until the REPL holds the final answer

The long input stays a variable; the root model sees only constant-size views of what its code prints. The answer is
what the REPL's ``answer`` or ``FINAL`` holds, to the letter.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace

from rlm_core import prompts
from rlm_core.backends.base import ChatMessage
from rlm_core.budget import BudgetExhausted
from rlm_core.calls import ModelCalls
from rlm_core.citations import cite
from rlm_core.errors import LocalRLMError, PromptTooLong
from rlm_core.events import CodeEvent, OutputEvent, PhaseEvent, TokenEvent, TurnStartedEvent
from rlm_core.parsing import ParsedReply, parse_reply, without_thinking
from rlm_core.question import Question, shorten
from rlm_core.repl import CellResult
from rlm_core.results import Answer
from rlm_core.root_prompt import RootConversation, RootPrompts, observed, turns_left
from rlm_core.run import Run
from rlm_core.workspaces import Workspace

REPLIES_WITHOUT_CODE = 3
SAME_CODE_AT_MOST = 4
OUTPUTS_KEPT_CHARS = 400_000
"""How much printed output one message leaves in its trace; beyond it only what the model was shown."""
NO_ANSWER_YET = 'answer["content"], answer["ready"] = "", False'
PLAN_CHARS = 600

_ANSWERS_IN_CODE = re.compile(r"\bFINAL(?:_VAR)?\(|\banswer\[")
_PLAN = re.compile(
    r"\W*(?:(?:first|next|now|okay|ok|sure|so|then)\b\W*)*"
    r"(?:i will\b|i'll\b|i am going to\b|i'm going to\b|i need to\b|let me\b|let's\b|we need to\b|my plan\b|the plan\b|plan:|"
    r"step 1\b|ich werde\b|zuerst (?:werde|muss)\b)",
    re.IGNORECASE,
)


def sounds_like_a_plan(text: str) -> bool:
    """Whether a short answer begins like an announcement (arXiv 2512.24601, appendix B: plans given as final answers)."""
    return len(text) <= PLAN_CHARS and _PLAN.match(text) is not None


class CannotCode(LocalRLMError):
    """The model does not write anything that runs. ``last_reply`` is what it wrote instead."""

    def __init__(self, last_reply: str) -> None:
        super().__init__("The model did not write any code that runs.")
        self.last_reply = last_reply


class ReplLoop:
    """Runs the loop over a REPL that is there already. One object serves every depth and every message."""

    def __init__(self, calls: ModelCalls) -> None:
        self._calls = calls
        self._prompts = RootPrompts(calls)

    async def answer(
        self,
        run: Run,
        question: Question,
        workspace: Workspace,
        *,
        depth: int,
        parent: str | None = None,
        child: int = 0,
    ) -> Answer:
        """Answer ``question`` in ``workspace``. ``depth`` counts down: the root has ``max_depth``, a child one less.
        ``child`` is 0 for the root, else the child's number.

        When the budget ends the best draft comes back, marked as partial. Raises :class:`CannotCode` after three
        replies in a row with nothing to run, and the errors of the backend.
        """
        conversation = await self._prompts.opening(run, question, workspace, depth)
        place = _Place(parent, run.budget.limits.max_depth - depth, child)
        return await _Trajectory(
            self._calls, self._prompts, run, question, workspace, conversation, place
        ).answer()


@dataclass(frozen=True)
class _Place:
    """Where a loop stands in the tree of its message: below the event ``parent``, ``level`` calls below the root."""

    parent: str | None
    level: int
    child: int

    @property
    def is_root(self) -> bool:
        return self.child == 0


@dataclass
class _Trajectory:
    """One loop on its way: the conversation with its root model, and what it has seen so far."""

    calls: ModelCalls
    root_prompts: RootPrompts
    run: Run
    question: Question
    workspace: Workspace
    conversation: RootConversation
    place: _Place
    turn: str = ""
    draft: str = ""
    variables: tuple[str, ...] = ()
    last_reply: str = ""
    last_output: str = ""
    last_cells: tuple[str, ...] = ()
    same_cells: int = 0
    without_code: int = 0
    code_ran: bool = False
    plan_refused: bool = False
    outputs_chars: int = 0

    async def answer(self) -> Answer:
        turns = self.run.budget.limits.max_iterations
        reason = f"The limit of {turns} turns is reached."
        try:
            for iteration in range(1, turns + 1):
                parsed = await self._reply(iteration, turns)
                outcome = await self._act(parsed)
                if outcome.final is not None:
                    return await self._finished(outcome.final)
                view = await self.root_prompts.view(self.run, self.conversation, outcome.observation)
                self.conversation.add(parsed.kept, view + turns_left(turns - iteration, turns))
                if self.same_cells >= SAME_CODE_AT_MOST:
                    reason = "The same code was run again and again."
                    break
        except BudgetExhausted as error:
            reason = str(error)
        return await self._best(reason)

    # --- one turn ---------------------------------------------------------------------------------------------------

    async def _reply(self, iteration: int, turns: int) -> ParsedReply:
        """What the root model says next."""
        run, place = self.run, self.place
        run.budget.check_time()
        run.budget.count_iteration()
        self.turn = run.emit(
            TurnStartedEvent,
            parent=place.parent,
            depth=place.level,
            iteration=iteration,
            of=turns,
            child=place.child,
        )
        self.conversation = await self.root_prompts.within_window(
            run, self.conversation, variables=self.variables, draft=self.draft, output=self.last_output
        )
        count = len(self.conversation.messages)
        reply = await self.calls.call(
            run,
            "tools",
            "root",
            self.conversation.messages,
            parent=self.turn,
            session="root" if place.is_root else None,
            same_prefix=self.conversation.sent,
        )
        self.conversation.sent = count
        self.last_reply = without_thinking(reply.text).strip()
        return parse_reply(reply.text)

    async def _act(self, parsed: ParsedReply) -> _Outcome:
        """Run what the reply asks for; what the model is told about it, or the final answer."""
        if parsed.text_final is not None:
            return await self._text_final(*parsed.text_final)
        if not parsed.cells:
            return self._nothing_ran(prompts.NO_CODE.format(problem=parsed.problem))
        self.without_code = 0
        self.same_cells = self.same_cells + 1 if parsed.cells == self.last_cells else 1
        self.last_cells = parsed.cells
        outputs: list[str] = []
        for cell in parsed.cells:
            result = await self._run_cell(cell)
            if result.final is not None:
                if sounds_like_a_plan(result.final) and not self.plan_refused:
                    return await self._refused_plan()
                return _Outcome("", result.final)
            outputs.append(observed(result))
            if result.error is not None:
                break
        self.last_output = "\n".join(outputs)
        observation = prompts.OBSERVATION.format(output=self.last_output)
        if parsed.dropped_final:
            observation += prompts.DROPPED_FINAL
        if self.same_cells > 1:
            observation += prompts.SAME_CODE
        return _Outcome(observation)

    def _nothing_ran(self, observation: str) -> _Outcome:
        self.without_code += 1
        if self.without_code >= REPLIES_WITHOUT_CODE:
            raise CannotCode(self.last_reply)
        return _Outcome(observation)

    async def _run_cell(self, cell: str) -> CellResult:
        run = self.run
        code_id = run.emit(CodeEvent, parent=self.turn, code=cell)
        run.emit(PhaseEvent, parent=code_id, text="running code")
        try:
            result = await self.workspace.run(cell, parent=code_id, seconds=run.budget.seconds_left)
        except TimeoutError:
            raise run.budget.time_is_up() from None
        finally:  # a cell that is stopped may have written down what it knew
            if self.workspace.draft:
                self._keep_draft(self.workspace.draft)
        self.code_ran = True
        self.variables = self.workspace.variables
        keep = self.outputs_chars + len(result.full_output) <= OUTPUTS_KEPT_CHARS
        self.outputs_chars += len(result.full_output)
        run.emit(
            OutputEvent,
            parent=code_id,
            shown=result.output,
            output=result.full_output if keep else "",
            chars=len(result.full_output),
            error=result.error,
            seconds=round(result.seconds, 4),
            final=result.final is not None,
        )
        return result

    def _keep_draft(self, draft: str) -> None:
        self.draft = draft
        if self.place.is_root:
            self.run.draft = draft

    async def _refused_plan(self) -> _Outcome:
        """A plan handed over as the answer is taken back, once: the model may insist."""
        self.plan_refused = True
        self._keep_draft("")
        await self.workspace.run(NO_ANSWER_YET, parent=None, seconds=self.run.budget.seconds_left)
        return _Outcome(prompts.PLAN_AS_FINAL)

    async def _text_final(self, tag: str, inside: str) -> _Outcome:
        if not self.code_ran and len(self.question.context):
            return self._nothing_ran(prompts.NOT_LOOKED_YET)
        if tag == "FINAL":
            return _Outcome("", inside)
        result = await self._run_cell(f"FINAL_VAR({inside!r})")
        if result.final is not None:
            return _Outcome("", result.final)
        return _Outcome(prompts.OBSERVATION.format(output=observed(result)))

    # --- the end ----------------------------------------------------------------------------------------------------

    async def _finished(self, final: str) -> Answer:
        if self.place.is_root:
            self.run.emit(TokenEvent, parent=self.turn, text=final)
        return await asyncio.to_thread(cite, final, {}, self.question.context)

    async def _best(self, reason: str) -> Answer:
        """The draft, or else one last call that asks for the best answer; partial either way."""
        if not self.draft:
            self.draft = await self._last_call(reason)
        elif self.place.is_root:
            self.run.emit(TokenEvent, text=self.draft)
        answer = await asyncio.to_thread(cite, self.draft or self.last_output, {}, self.question.context)
        return replace(answer, partial=True, reason=reason)

    async def _last_call(self, reason: str) -> str:
        run, conversation = self.run, self.conversation
        if self.place.is_root:
            run.budget.close()
        closing = prompts.GIVE_ANSWER_NOW.format(reason=reason, question=shorten(self.question.text, 1_000))
        if conversation.messages[-1].role == "assistant":
            conversation.messages.append(ChatMessage("user", closing))
        else:
            conversation.append_to_last(closing)

        def on_text(text: str) -> None:
            if self.place.is_root:
                run.draft += text
                run.emit(TokenEvent, text=text)

        try:
            reply = await self.calls.call(
                run,
                "tools",
                "synthesis",
                conversation.messages,
                same_prefix=conversation.sent,
                on_text=on_text,
            )
        except (BudgetExhausted, PromptTooLong):
            return ""
        return await self._handed_over(reply.text) or without_thinking(reply.text).strip()

    async def _handed_over(self, reply: str) -> str:
        """The answer in a last reply that gives it as code all the same; "" when there is none in it."""
        if not _ANSWERS_IN_CODE.search(reply):
            return ""
        parsed = parse_reply(reply)
        if parsed.text_final is not None and parsed.text_final[0] == "FINAL":
            return parsed.text_final[1]
        for cell in parsed.cells:
            try:
                result = await self._run_cell(cell)
            except BudgetExhausted:
                return ""
            if result.error is not None:
                return ""
            if result.final is not None:
                return result.final
        return self.draft


@dataclass(frozen=True)
class _Outcome:
    observation: str
    final: str | None = None

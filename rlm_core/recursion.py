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
from dataclasses import dataclass

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
from rlm_core.root_prompt import RootConversation, RootPrompts
from rlm_core.run import Run
from rlm_core.workspaces import Workspace

REPLIES_WITHOUT_CODE = 3
SAME_CODE_AT_MOST = 4
OUTPUTS_KEPT_CHARS = 400_000
"""How much printed output one message leaves in its trace; beyond it only what the model was shown."""
NO_ANSWER_YET = 'answer["content"], answer["ready"] = "", False'
PLAN_CHARS = 600

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


@dataclass
class _State:
    """What a loop has seen so far."""

    without_code: int = 0
    last_cells: tuple[str, ...] = ()
    same_cells: int = 0
    code_ran: bool = False
    plan_refused: bool = False
    draft: str = ""
    variables: tuple[str, ...] = ()
    outputs_chars: int = 0
    last_output: str = ""
    last_reply: str = ""


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
        state = _State()
        conversation = await self._prompts.opening(run, question, workspace, depth)
        turns = run.budget.limits.max_iterations
        is_root = child == 0
        try:
            for iteration in range(1, turns + 1):
                run.budget.check_time()
                run.budget.count_iteration()
                below = run.budget.limits.max_depth - depth
                turn = run.emit(
                    TurnStartedEvent, parent=parent, depth=below, iteration=iteration, of=turns, child=child
                )
                conversation = await self._prompts.within_window(
                    run,
                    conversation,
                    variables=state.variables,
                    draft=state.draft,
                    output=state.last_output,
                )
                reply = await self._ask(run, conversation, turn, is_root)
                state.last_reply = without_thinking(reply).strip()
                parsed = parse_reply(reply)
                result = await self._act(run, workspace, parsed, question, state, turn, is_root)
                if result.final is not None:
                    return await self._finished(run, question, result.final, turn, is_root)
                view = await self._prompts.view(run, conversation, result.observation)
                left = turns - iteration
                conversation.add(parsed.kept, view + _turns_left(left, turns))
                if state.same_cells >= SAME_CODE_AT_MOST:
                    return await self._best(
                        run, question, conversation, state, "The same code was run again and again.", is_root
                    )
        except BudgetExhausted as error:
            return await self._best(run, question, conversation, state, str(error), is_root)
        reason = f"The limit of {turns} turns is reached."
        return await self._best(run, question, conversation, state, reason, is_root)

    async def _ask(self, run: Run, conversation: RootConversation, turn: str, is_root: bool) -> str:
        count = len(conversation.messages)
        reply = await self._calls.call(
            run,
            "tools",
            "root",
            conversation.messages,
            parent=turn,
            session="root" if is_root else None,
            same_prefix=conversation.sent,
        )
        conversation.sent = count
        return reply.text

    # --- one turn ---------------------------------------------------------------------------------------------------

    async def _act(
        self,
        run: Run,
        workspace: Workspace,
        parsed: ParsedReply,
        question: Question,
        state: _State,
        turn: str,
        is_root: bool,
    ) -> _Outcome:
        """Run what the reply asks for; what the model is told about it, or the final answer."""
        if parsed.text_final is not None:
            return await self._text_final(run, workspace, parsed.text_final, question, state, turn, is_root)
        if not parsed.cells:
            state.without_code += 1
            if state.without_code >= REPLIES_WITHOUT_CODE:
                raise CannotCode(state.last_reply)
            return _Outcome(prompts.NO_CODE.format(problem=parsed.problem))
        state.without_code = 0
        state.same_cells = state.same_cells + 1 if parsed.cells == state.last_cells else 1
        state.last_cells = parsed.cells
        outputs: list[str] = []
        for cell in parsed.cells:
            result = await self._run_cell(run, workspace, cell, state, turn, is_root)
            if result.final is not None:
                if sounds_like_a_plan(result.final) and not state.plan_refused:
                    return await self._refused_plan(workspace, state, run, is_root)
                return _Outcome("", result.final)
            outputs.append(_observed(result))
            if result.error is not None:
                break
        state.last_output = "\n".join(outputs)
        observation = prompts.OBSERVATION.format(output=state.last_output)
        if parsed.dropped_final:
            observation += prompts.DROPPED_FINAL
        if state.same_cells > 1:
            observation += prompts.SAME_CODE
        return _Outcome(observation)

    async def _run_cell(
        self,
        run: Run,
        workspace: Workspace,
        cell: str,
        state: _State,
        turn: str,
        is_root: bool,
    ) -> CellResult:
        code_id = run.emit(CodeEvent, parent=turn, code=cell)
        run.emit(PhaseEvent, parent=code_id, text="running code")
        try:
            result = await workspace.run(cell, parent=code_id, seconds=run.budget.seconds_left)
        except TimeoutError:
            raise run.budget.time_is_up() from None
        state.code_ran = True
        state.variables = workspace.variables
        if result.draft:
            state.draft = result.draft
            if is_root:
                run.draft = result.draft
        keep = state.outputs_chars + len(result.full_output) <= OUTPUTS_KEPT_CHARS
        state.outputs_chars += len(result.full_output)
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

    async def _refused_plan(self, workspace: Workspace, state: _State, run: Run, is_root: bool) -> _Outcome:
        """A plan handed over as the answer is taken back, once: the model may insist."""
        state.plan_refused = True
        state.draft = ""
        if is_root:
            run.draft = ""
        await workspace.run(NO_ANSWER_YET, parent=None, seconds=run.budget.seconds_left)
        return _Outcome(prompts.PLAN_AS_FINAL)

    async def _text_final(
        self,
        run: Run,
        workspace: Workspace,
        final: tuple[str, str],
        question: Question,
        state: _State,
        turn: str,
        is_root: bool,
    ) -> _Outcome:
        tag, inside = final
        if not state.code_ran and len(question.context):
            state.without_code += 1
            if state.without_code >= REPLIES_WITHOUT_CODE:
                raise CannotCode(state.last_reply)
            return _Outcome(prompts.NOT_LOOKED_YET)
        if tag == "FINAL":
            return _Outcome("", inside)
        result = await self._run_cell(run, workspace, f"FINAL_VAR({inside!r})", state, turn, is_root)
        if result.final is not None:
            return _Outcome("", result.final)
        return _Outcome(prompts.OBSERVATION.format(output=_observed(result)))

    # --- the end ----------------------------------------------------------------------------------------------------

    async def _finished(self, run: Run, question: Question, final: str, turn: str, is_root: bool) -> Answer:
        if is_root:
            run.emit(TokenEvent, parent=turn, text=final)
        return await asyncio.to_thread(cite, final, {}, question.context)

    async def _best(
        self,
        run: Run,
        question: Question,
        conversation: RootConversation,
        state: _State,
        reason: str,
        is_root: bool,
    ) -> Answer:
        """The draft, or else one last call that asks for the best answer; partial either way."""
        if not state.draft:
            state.draft = await self._last_call(run, question, conversation, reason, is_root)
        elif is_root:
            run.emit(TokenEvent, text=state.draft)
        answer = await asyncio.to_thread(cite, state.draft or state.last_output, {}, question.context)
        return Answer(answer.text, answer.citations, answer.quotations, partial=True, reason=reason)

    async def _last_call(
        self, run: Run, question: Question, conversation: RootConversation, reason: str, is_root: bool
    ) -> str:
        if is_root:
            run.budget.close()
        closing = prompts.GIVE_ANSWER_NOW.format(reason=reason, question=shorten(question.text, 1_000))
        if conversation.messages[-1].role == "assistant":
            conversation.messages.append(ChatMessage("user", closing))
        else:
            conversation.append_to_last(closing)

        def on_text(text: str) -> None:
            if is_root:
                run.draft += text
                run.emit(TokenEvent, text=text)

        try:
            reply = await self._calls.call(
                run,
                "tools",
                "synthesis",
                conversation.messages,
                same_prefix=conversation.sent,
                on_text=on_text,
            )
        except (BudgetExhausted, PromptTooLong):
            return ""
        return without_thinking(reply.text).strip()


@dataclass(frozen=True)
class _Outcome:
    observation: str
    final: str | None = None


def _observed(result: CellResult) -> str:
    parts = [result.output.rstrip()] if result.output.strip() else []
    if result.error is not None:
        parts.append(result.error.rstrip())
    elif not parts:
        parts.append(prompts.NO_OUTPUT)
    return "\n".join(parts)


def _turns_left(left: int, of: int) -> str:
    if left > max(2, of // 4):
        return ""
    advice = prompts.ADVICE_LAST if left <= 1 else prompts.ADVICE_SOON
    return prompts.TURNS_LEFT.format(left=left, s="" if left == 1 else "s", advice=advice)

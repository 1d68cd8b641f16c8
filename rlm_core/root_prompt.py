"""What the root model of a loop is sent: the opening, views of what its code printed, and a new beginning when the
window is full.

The conversation only grows at its end (DESIGN.md 5.5); everything in it has a bounded size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlm_core import prompts
from rlm_core.backends.base import ChatMessage
from rlm_core.calls import ModelCalls
from rlm_core.question import Question, history_lines, shorten
from rlm_core.repl import CellResult
from rlm_core.run import Run
from rlm_core.workspaces import Workspace

HISTORY_CHARS = 2_000
SMALLEST_VIEW = 300


@dataclass
class RootConversation:
    """Grows only at its end, so that the model server can reuse the prefix it has already read."""

    messages: list[ChatMessage]
    question: str
    sent: int = 0

    def add(self, reply: str, observation: str) -> None:
        self.messages.append(ChatMessage("assistant", reply or "(empty reply)"))
        self.messages.append(ChatMessage("user", observation))

    def append_to_last(self, text: str) -> None:
        """Only for the last message, which was not sent yet."""
        self.messages[-1] = ChatMessage("user", f"{self.messages[-1].content}\n\n{text}")


class RootPrompts:
    """Writes them. One object serves all loops."""

    def __init__(self, calls: ModelCalls) -> None:
        self._calls = calls

    async def opening(
        self, run: Run, question: Question, workspace: Workspace, depth: int
    ) -> RootConversation:
        """System prompt and question, with the true sizes. ``depth`` as in :class:`rlm_core.recursion.ReplLoop`."""
        assignment = await self._calls.assign(run, "tools")
        asks = depth >= 1
        sizes = prompts.LoopSizes(
            window=assignment.window,
            output_chars=min(
                run.settings.repl.output_chars, self._calls.estimator.chars(assignment.window // 5)
            ),
            prompt_chars=await self._calls.prompt_chars(run, "fast") if asks else 0,
            calls_left=run.budget.calls_left,
        )
        tables = [
            f"{table.name}({', '.join(column for column, _ in table.columns)})"
            for table in question.context.tables
        ]
        memory = "memory_search" in workspace.subcalls.functions()
        system = prompts.loop_system(sizes, children=depth >= 2, tables=tables, memory=memory)
        if "rlm" in assignment.model.lower():
            system = prompts.official_system(sizes) or system
        opening = self._question(question, sizes, workspace.variables)
        return RootConversation([ChatMessage("system", system), ChatMessage("user", opening)], opening)

    def _question(self, question: Question, sizes: prompts.LoopSizes, variables: Sequence[str]) -> str:
        room = self._calls.estimator.chars(sizes.window // 4)
        context = question.context
        names = [part.material.name for part in context.parts]
        documents = (
            f", documents: {shorten(', '.join(names), 600)}" if len(names) > 1 or context.stored_ids else ""
        )
        listed = "\n".join(variables)
        return prompts.LOOP_QUESTION.format(
            history=history_lines(question.history, min(HISTORY_CHARS, room // 2)),
            memories=shorten(prompts.memories_block(question.memories), room // 3),
            question=shorten(question.text, room),
            chars=len(context),
            tokens=self._calls.estimator.text(context.text),
            documents=documents,
            variables=f"\nVariables from earlier messages:\n{shorten(listed, 600)}" if listed else "",
        )

    async def within_window(
        self, run: Run, conversation: RootConversation, *, variables: Sequence[str], draft: str, output: str
    ) -> RootConversation:
        """The conversation, or, when it has outgrown the window, a new one that begins with what is known so far."""
        assignment = await self._calls.assign(run, "tools")
        used = self._calls.estimator.prompt(conversation.messages, assignment.model)
        room = self._calls.reply_room(assignment.window, prompt_tokens=used)
        if room >= self._calls.smallest_reply(assignment.window) * 1.5 or len(conversation.messages) <= 2:
            return conversation
        run.warn(
            "history_restarted",
            "The work outgrew the model's window; it goes on from a summary of its state.",
        )

        def part(text: str) -> str:
            share = self._calls.estimator.chars(assignment.window // 10, assignment.model, like=text)
            return shorten(text, share) or "(none)"

        again = prompts.RESTARTED.format(
            question=conversation.question,
            variables=part("\n".join(variables)),
            draft=part(draft),
            output=part(output),
        )
        return RootConversation(
            [conversation.messages[0], ChatMessage("user", again)], question=conversation.question
        )

    async def view(self, run: Run, conversation: RootConversation, observation: str) -> str:
        """A view of constant size: never more than a quarter of what is left of the window."""
        assignment = await self._calls.assign(run, "tools")
        used = self._calls.estimator.prompt(conversation.messages, assignment.model)
        room = self._calls.reply_room(assignment.window, prompt_tokens=used)
        most = max(
            SMALLEST_VIEW,
            self._calls.estimator.chars(max(0, room) // 4, assignment.model, like=observation[:100_000]),
        )
        return shorten(observation, min(most, run.settings.repl.output_chars + 2_000))


def observed(result: CellResult) -> str:
    """What a cell printed, and its error."""
    parts = [result.output.rstrip()] if result.output.strip() else []
    if result.error is not None:
        parts.append(result.error.rstrip())
    elif not parts:
        parts.append(prompts.NO_OUTPUT)
    return "\n".join(parts)


def turns_left(left: int, of: int) -> str:
    """The reminder under the last views; nothing before."""
    if left > max(2, of // 4):
        return ""
    advice = prompts.ADVICE_LAST if left <= 1 else prompts.ADVICE_SOON
    return prompts.TURNS_LEFT.format(left=left, s="" if left == 1 else "s", advice=advice)

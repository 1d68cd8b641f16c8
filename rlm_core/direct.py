"""The shortest path: one model call, with the working memory and whatever material fits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from memory_store import MemoryStore
from rlm_core.backends.base import ChatMessage
from rlm_core.calls import ModelCalls
from rlm_core.citations import cite
from rlm_core.context import Piece, search_both
from rlm_core.events import TokenEvent
from rlm_core.prompts import DIRECT_WITH_PASSAGES, direct_system, memories_block
from rlm_core.question import Question, alternating, fit_history
from rlm_core.results import Answer
from rlm_core.run import Run
from rlm_core.synthesizer import numbered

PASSAGE_CHARS = 1_200
PASSAGES_AT_MOST = 40
SAMPLE_CHARS = 200_000
"""So much of the material tells how dense in tokens it is."""
HISTORY_SHARE = 0.4
"""Of the window, for the working memory; older messages are left to recall."""
REPLY_SHARE = 0.25
_CUT_SHORT = {
    "length": "The reply reached the end of the model's window.",
    "repetition": "The model began to repeat itself and was stopped.",
}


class DirectAnswer:
    """Answers with one call."""

    def __init__(self, calls: ModelCalls, store: Callable[[], MemoryStore | None]) -> None:
        self._calls = calls
        self._store = store

    async def room_tokens(self, run: Run, question: Question) -> int:
        """Tokens of material that a direct prompt for this question can hold."""
        to = await self._calls.assign(run, "fast")
        estimator = self._calls.estimator
        history = fit_history(question.history, int(to.window * HISTORY_SHARE), estimator, to.model)
        said = memories_block(question.memories) + question.text
        used = estimator.prompt(self._messages(question, said, history.messages), to.model)
        wrapping = estimator.text(DIRECT_WITH_PASSAGES, to.model) + estimator.text(question.text, to.model)
        return max(0, int(to.window * (1 - REPLY_SHARE) * 0.95) - used - wrapping)

    async def answer(self, run: Run, question: Question) -> Answer:
        """One call. Material that does not fit is searched, the best passages go in, and a warning says what stayed out."""
        to = await self._calls.assign(run, "fast")
        history = fit_history(
            question.history, int(to.window * HISTORY_SHARE), self._calls.estimator, to.model
        )
        if history.left_out:
            run.warn(
                "history_shortened",
                f"{history.left_out} of the last messages did not fit into the prompt; long-term memory still has them.",
            )
        passages = await self._passages(run, question, to.model)
        text = memories_block(question.memories) + question.text
        if passages:
            text = DIRECT_WITH_PASSAGES.format(
                memories=memories_block(question.memories),
                passages=numbered(passages),
                question=question.text,
            )
        run.budget.close()  # this call is the answer
        streamed: list[str] = []

        def on_text(piece: str) -> None:
            streamed.append(piece)
            run.draft = "".join(streamed)
            run.emit(TokenEvent, text=piece)

        reply = await self._calls.call(
            run,
            "fast",
            "direct",
            self._messages(question, text, history.messages),
            session="root",
            on_text=on_text,
        )
        answer = cite(reply.text.strip(), passages, question.context)
        reason = _CUT_SHORT.get(reply.finish_reason)
        if reason is not None:
            return Answer(answer.text, answer.citations, answer.quotations, partial=True, reason=reason)
        return answer

    def _messages(self, question: Question, text: str, history: tuple[ChatMessage, ...]) -> list[ChatMessage]:
        system = ChatMessage("system", direct_system(datetime.now()))
        return [system, *alternating([*history, ChatMessage("user", text)])]

    async def _passages(self, run: Run, question: Question, model: str) -> dict[int, Piece]:
        context = question.context
        if not len(context):
            return {}
        room = self._calls.estimator.chars(
            await self.room_tokens(run, question), model, like=context.text[:SAMPLE_CHARS]
        )
        if len(context) <= room:
            pieces = context.pieces(PASSAGE_CHARS)
            if sum(len(piece.text) + 8 for piece in pieces) <= room:
                return dict(enumerate(pieces, start=1))
        found = await search_both(context, question.text, PASSAGES_AT_MOST, self._store())
        kept: dict[int, Piece] = {}
        for piece in found:
            room -= len(piece.text) + 8
            if room < 0:
                break
            kept[len(kept) + 1] = piece
        run.warn(
            "material_left_out",
            f"The material is larger than a direct prompt: {len(kept)} passages that fit the question best went in, "
            "the rest was not read. Recursive mode reads all of it.",
        )
        return kept

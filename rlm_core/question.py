"""A question as the strategies get it: its words, its material, and what was said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlm_core.backends.base import ChatMessage
from rlm_core.context import Context
from rlm_core.tokens import TokenEstimator


@dataclass(frozen=True)
class Question:
    """``history`` is the working memory (the last messages, oldest first), ``memories`` what long-term memory added."""

    text: str
    context: Context
    history: tuple[ChatMessage, ...] = ()
    memories: tuple[str, ...] = ()


@dataclass(frozen=True)
class FittedHistory:
    messages: tuple[ChatMessage, ...]
    left_out: int


def fit_history(
    history: Sequence[ChatMessage], tokens: int, estimator: TokenEstimator, model: str
) -> FittedHistory:
    """The newest messages that fit into ``tokens``, beginning with one of the user (chat templates insist on it)."""
    kept: list[ChatMessage] = []
    used = 0
    for message in reversed(history):
        used += estimator.prompt([message], model)
        if used > tokens:
            break
        kept.append(message)
    kept.reverse()
    while kept and kept[0].role != "user":
        kept.pop(0)
    return FittedHistory(tuple(kept), len(history) - len(kept))


def alternating(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Join neighbours of the same role: strict chat templates demand that user and assistant take turns."""
    joined: list[ChatMessage] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            joined[-1] = ChatMessage(message.role, f"{joined[-1].content}\n\n{message.content}")
        else:
            joined.append(message)
    return joined


def history_lines(history: Sequence[ChatMessage], chars: int) -> str:
    """The talk before a question in a few lines, the newest last, for prompts that are not themselves a chat."""
    lines: list[str] = []
    for message in reversed(history):
        line = f"{'User' if message.role == 'user' else 'Assistant'}: {shorten(message.content, 400)}"
        chars -= len(line)
        if chars < 0:
            break
        lines.append(line)
    return "The conversation so far:\n" + "\n".join(reversed(lines)) + "\n\n" if lines else ""


def shorten(text: str, chars: int) -> str:
    """The text cut in the middle to about ``chars``, saying how much is missing."""
    if len(text) <= chars:
        return text
    head, tail = chars * 2 // 3, chars // 3
    return f"{text[:head]} [… {len(text) - head - tail:,} characters left out …] {text[len(text) - tail :]}"

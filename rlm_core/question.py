"""A question as the strategies get it: its words, its material, and what was said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rlm_core.backends.base import ChatMessage
from rlm_core.context import Context, Material
from rlm_core.tokens import TokenEstimator

LONG_CHARS = 12_000
LONG_CHARS_PER_WINDOW_TOKEN = 1.5
"""A longer message is itself material. In a small window that begins earlier: a message may take about two fifths of it."""


@dataclass(frozen=True)
class Question:
    """``history`` is the working memory (the last messages, oldest first), ``memories`` what long-term memory added."""

    text: str
    context: Context
    history: tuple[ChatMessage, ...] = ()
    memories: tuple[str, ...] = ()

    def with_long_text_as_material(self, window: int) -> Question:
        """What was pasted into a long message becomes context; its beginning and end stay the question. ``window`` is that
        of the model, in tokens."""
        most = min(LONG_CHARS, int(LONG_CHARS_PER_WINDOW_TOKEN * window))
        if len(self.text) <= most:
            return self
        materials = [*(part.material for part in self.context.parts), Material("your message", self.text)]
        return replace(self, text=shorten(self.text, most // 4), context=Context(materials))


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

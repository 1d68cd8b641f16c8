"""How a chat in somebody else's protocol becomes one question to the engine.

The rule, in full (LONG is 4,000 characters):

1. The **question** is the last user message.
2. When that message is longer than LONG, the whole of it becomes **context**, and the question is the part of it that
   asks: its first or last paragraph, whichever contains a question mark, both when both or neither do. So
   "<instructions> <book>" and "<book> <question>" both work, and nothing is lost.
3. **System** and developer messages up to LONG are instructions and stand before the question; longer ones become
   context.
4. **Earlier messages** are the history. One that is longer than LONG becomes context, and the history keeps its first
   lines.

Nothing of it is stored unless the request names a ``conversation_id``; then the history is what is stored there, and the
earlier messages of the request are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlm_core.backends.base import ChatMessage

LONG = 4_000
_ASKING = 1_500
_HEAD = 300


class NoQuestion(ValueError):
    """The chat has no user message to answer. The text is for the client's developer."""


@dataclass(frozen=True)
class Said:
    role: str
    text: str


@dataclass(frozen=True)
class Asked:
    """What the engine is given. ``context`` is None when there is no long material."""

    question: str
    context: str | None
    history: tuple[ChatMessage, ...]


def as_question(chat: Sequence[Said]) -> Asked:
    """Apply the rule above. Raises :class:`NoQuestion`."""
    last = max((place for place, said in enumerate(chat) if said.role == "user"), default=-1)
    if last < 0 or not chat[last].text.strip():
        raise NoQuestion("The messages must contain a user message with some text: it is the question.")
    material: list[str] = []
    instructions: list[str] = []
    history: list[ChatMessage] = []
    for place, said in enumerate(chat):
        text = said.text.strip()
        if place == last or not text:
            continue
        if len(text) > LONG:
            material.append(text)
            text = f"{text[:_HEAD]} [… the whole of it is in `context` …]"
        if said.role in {"system", "developer"}:
            if len(said.text.strip()) <= LONG:
                instructions.append(text)
        elif place < last:
            history.append(ChatMessage("assistant" if said.role == "assistant" else "user", text))
    question = chat[last].text.strip()
    if len(question) > LONG:
        material.append(question)
        question = _what_asks(question)
    return Asked(
        question="\n\n".join([*instructions, question]),
        context="\n\n".join(material) or None,
        history=tuple(history),
    )


def _what_asks(text: str) -> str:
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]
    if len(paragraphs) == 1:
        paragraphs = [line.strip() for line in text.splitlines() if line.strip()]
    first, last = paragraphs[0], paragraphs[-1]
    if len(paragraphs) == 1:
        return f"{first[:_ASKING]} […] {first[-_ASKING:]}"
    ends = [part for part in (first, last) if "?" in part] or [first, last]
    return "\n\n".join(part[-_ASKING:] if part is last else part[:_ASKING] for part in ends)

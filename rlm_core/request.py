"""What somebody asks of the engine with one message: the one object that every door fills in and everything behind reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlm_core.backends.base import ChatMessage
from rlm_core.context import MaterialSource
from rlm_core.settings import Mode, StrategyName


@dataclass(frozen=True)
class MessageRequest:
    """One message and how it is to be answered.

    With a ``conversation_id`` question and answer are stored, unless the question is asked ``incognito``; otherwise
    ``history`` says what was said before. ``documents`` are ids of stored documents, paths, or materials: None means those
    of the conversation's last question, an empty sequence none. ``context`` is one more text. ``mode`` overrules the
    complexity analysis, ``strategy`` the choice among the recursive strategies, ``model`` the roles. ``question_id`` asks
    for another answer to a stored question, ``parent_id`` places the question below that message.
    """

    message: str
    conversation_id: str | None = None
    documents: Sequence[MaterialSource] | None = None
    context: str | None = None
    history: Sequence[ChatMessage] = ()
    mode: Mode = "auto"
    strategy: StrategyName | None = None
    model: str | None = None
    user: str = "local"
    parent_id: str | None = None
    question_id: str | None = None
    incognito: bool = False

    @property
    def stored(self) -> bool:
        """Whether question and answer are kept in a conversation."""
        return self.conversation_id is not None and not self.incognito

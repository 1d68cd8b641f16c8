"""What somebody asks of the engine with one message: the one object that every door fills in and everything behind reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

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

    def __post_init__(self) -> None:
        """Raises TypeError and ValueError for what can only be a mistake in the calling program."""
        if not isinstance(self.message, str):
            raise TypeError(f"The message must be text, not {type(self.message).__name__}.")
        if isinstance(self.documents, str | Path):
            raise TypeError("documents must be a list of ids, paths or materials, not a single one.")
        for name, value, known in (
            ("mode", self.mode, get_args(Mode)),
            ("strategy", self.strategy, (None, *get_args(StrategyName))),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}.")

    @property
    def stored(self) -> bool:
        """Whether question and answer are kept in a conversation."""
        return self.conversation_id is not None and not self.incognito

"""A browser tab, and what changes on it: all that the page's handlers and the runtime behind them say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from memory_store.errors import StoreError
from rlm_core.errors import LocalRLMError
from ui.chat_view import NEWEST, ChatMessage

PROBLEMS = (LocalRLMError, StoreError, OSError)
"""What a person can do something about; its text is for them."""


class NotYours(LocalRLMError):
    """There is no such thing, or it belongs to somebody else."""


@dataclass(frozen=True)
class Tab:
    """One browser tab: who looks, at which conversation, with which documents, in which mode. ``taken`` are the files in
    the message box that are stored already. ``incognito``: this conversation is kept nowhere but in this tab."""

    session: str
    user: str
    conversation_id: str | None = None
    documents: tuple[str, ...] = ()
    editing: str | None = None
    mode: str = "auto"
    limit: int = NEWEST
    taken: tuple[str, ...] = ()
    incognito: bool = False


@dataclass(frozen=True)
class View:
    """What changes on the page. None leaves a part as it is.

    A view that only ``follows`` an answer leaves the tab as it is too: meanwhile the person may have attached a file.
    """

    tab: Tab
    follows: bool = False
    messages: list[ChatMessage] | None = None
    sidebar: str | None = None
    phase: str | None = None
    attached: str | None = None
    meter: str | None = None
    running: bool | None = None
    box: str | None = None
    editing: str | None = None
    toast: str | None = None
    problem: str | None = None

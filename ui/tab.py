"""A browser tab, and what changes on it: all that the page's handlers and the runtime behind them say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from memory_store.errors import StoreError
from rlm_core.errors import LocalRLMError
from ui.chat_view import NEWEST, ChatMessage

PROBLEMS = (LocalRLMError, StoreError, OSError)
"""What a person can do something about; its text is for them."""


class NotYours(LocalRLMError):
    """There is no such thing, or it belongs to somebody else."""


class LostTouch(LocalRLMError):
    """A click from a page that the app does not know."""


@dataclass(frozen=True)
class Tab:
    """One page of one browser tab: who looks, at which conversation, with which documents, in which mode. ``turn`` counts the
    pages of the tab (see :mod:`ui.places`). ``incognito``: this conversation is kept nowhere but in this tab. ``added_as``: the
    names of the files that were added here, by the documents' ids; the library may know their content by another name."""

    session: str
    user: str
    turn: int = 0
    conversation_id: str | None = None
    documents: tuple[str, ...] = ()
    editing: str | None = None
    mode: str = "auto"
    limit: int = NEWEST
    incognito: bool = False
    added_as: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """What changes on a page of a tab. None leaves a part as it is. ``follower`` is the mark of whoever follows an answer
    (see :meth:`ui.places.Places.follow`)."""

    tab: Tab
    follower: object | None = None
    mode: str | None = None
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

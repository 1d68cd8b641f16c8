"""What goes on at the Trace tab: an answer's events are picked, followed while they happen, filtered, replayed, imported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlm_core.events import Event, PhaseEvent, TokenEvent
from rlm_core.trace import parse_trace
from ui.desk import Desk
from ui.html import block, esc
from ui.tab import NotYours, Tab
from ui.trace_table import frame
from ui.trace_view import timeline, totals, tree
from ui.words import ago, shortened

if TYPE_CHECKING:
    import pandas as pd

NEWEST = 60
LIVE_SECONDS = 0.5
REPLAY_SECONDS = 12.0
OPENED = "file"
"""The id of a trace that was opened from a file."""


@dataclass(frozen=True)
class TraceView:
    totals: str
    timeline: str
    tree: str
    table: pd.DataFrame
    downloads: str


class Archive:
    """The saved and running answers of one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._opened: dict[str, list[Event]] = {}
        self._shown: dict[str, object] = {}

    def answers(self, tab: Tab) -> list[tuple[str, str]]:
        """(label, id) of the newest answers, those of the tab's conversation first."""
        conversations = self.desk.conversations(tab.user)
        conversations.sort(key=lambda item: (item.id != tab.conversation_id, -item.updated_at))
        choices: list[tuple[str, str]] = []
        for conversation in conversations:
            question = ""
            mine: list[tuple[str, str]] = []
            for message in self.desk.engine.store.messages(conversation.id):
                if message.role == "user":
                    question = message.text
                else:
                    mine.append((f"{shortened(question, 70)} · {ago(message.created_at)}", message.id))
            choices += reversed(mine)
            if len(choices) >= NEWEST:
                break
        if tab.session in self._opened:
            choices.insert(0, ("The trace that you opened", OPENED))
        return choices[:NEWEST]

    async def show(self, tab: Tab, message_id: str | None, needle: str = "") -> AsyncIterator[TraceView]:
        """The trace of an answer; while the answer is being made, again and again."""
        claim = object()
        self._shown[tab.session] = claim
        if not message_id:
            yield view(
                [], "", block('<p class="quiet empty">Ask something first: every answer leaves a trace.</p>')
            )
            return
        while True:
            job = self.desk.jobs.get(message_id)
            events = self.events(tab, message_id)
            yield view(events, needle, _downloads(message_id, tab))
            if job is None or job.done:
                return
            seen = len(job.events)
            while len(job.events) == seen or not job.events:
                await asyncio.sleep(LIVE_SECONDS)
                if self._shown.get(tab.session) is not claim:
                    return
            if self._shown.get(tab.session) is not claim:
                return

    async def replay(self, tab: Tab, message_id: str | None) -> AsyncIterator[TraceView]:
        """The trace grows again as it did, at most in some seconds."""
        claim = object()
        self._shown[tab.session] = claim
        if not message_id:
            return
        events = self.events(tab, message_id)
        if not events:
            return
        length = events[-1].ts - events[0].ts
        pace = min(1.0, REPLAY_SECONDS / length) if length > 0 else 0.0
        shown_until = events[0].ts
        for index, event in enumerate(events):
            wait = (event.ts - shown_until) * pace
            if wait < 0.15 and index + 1 < len(events):
                continue
            yield view(events[:index], "", "")
            shown_until = event.ts
            await asyncio.sleep(min(wait, 3.0))
            if self._shown.get(tab.session) is not claim:
                return
        yield view(events, "", _downloads(message_id, tab))

    def events(self, tab: Tab, message_id: str) -> list[Event]:
        """Raises :class:`NotYours` when the answer is not this user's; an answer without a trace has no events."""
        if message_id == OPENED:
            return self._opened.get(tab.session, [])
        job = self.desk.jobs.get(message_id)
        if job is not None and job.user == tab.user and not job.done:
            return [event for event in job.events if not isinstance(event, TokenEvent | PhaseEvent)]
        self.desk.message(message_id, tab.user)
        try:
            return self.desk.engine.trace(message_id)
        except FileNotFoundError:
            return []

    def open_file(self, tab: Tab, path: Path) -> str:
        """Take in a saved trace; returns the id under which it can be shown.

        Raises :class:`NotYours` with the line that is not an event.
        """
        try:
            events = parse_trace(path.read_text(encoding="utf-8").splitlines())
        except (UnicodeDecodeError, ValueError) as error:
            raise NotYours(f"{path.name} is not a saved trace. {error}") from None
        if not events:  # a last line that was cut off is no error, so this can be any one line
            raise NotYours(f"{path.name} is not a saved trace. There is no event in it.")
        self._opened[tab.session] = events
        return OPENED

    def leave(self, session: str) -> None:
        self._opened.pop(session, None)
        self._shown.pop(session, None)


def view(events: Sequence[Event], needle: str, downloads: str) -> TraceView:
    return TraceView(totals(events), timeline(events), tree(events, needle), frame(events), downloads)


def _downloads(message_id: str, tab: Tab) -> str:
    if message_id == OPENED:
        return ""
    base = f"/page/traces/{esc(message_id)}"
    links = (("Table as CSV", "csv"), ("Trace as JSONL", "jsonl"), ("For the rlm visualizer", "rlm.jsonl"))
    return block(
        '<div class="tools">'
        + "".join(f'<a class="item" href="{base}.{end}" download>{text}</a>' for text, end in links)
        + "</div>"
    )

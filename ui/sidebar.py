"""The list of conversations beside everything else."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import date, datetime

from memory_store.records import Conversation, ConversationHit
from ui.html import block, do, esc, marked
from ui.words import ago

UNTITLED = "New conversation"


def conversation_list(
    conversations: Sequence[Conversation],
    current: str | None,
    *,
    running: Collection[str] = (),
    now: float | None = None,
) -> str:
    """Pinned first, then by age. ``running`` are those that are being answered right now."""
    moment = time.time() if now is None else now
    if not conversations:
        return block('<p class="quiet empty">Your conversations will be listed here.</p>')
    parts: list[str] = []
    heading = ""
    for conversation in conversations:
        group = "Pinned" if conversation.pinned else _age(conversation.updated_at, moment)
        if group != heading:
            parts.append(f"<h3>{group}</h3>" if not parts else f"</ul><h3>{group}</h3>")
            parts.append('<ul class="conversations">')
            heading = group
        parts.append(_entry(conversation, conversation.id == current, conversation.id in running, moment))
    return block(f'<nav aria-label="Conversations">{"".join(parts)}</ul></nav>')


def search_results(hits: Sequence[ConversationHit], query: str) -> str:
    """Conversations found by their title or their text."""
    if not hits:
        return block(f'<p class="quiet empty">Nothing contains “{esc(query)}”.</p>')
    rows = "".join(
        "<li>"
        + do(
            "chat", "open", hit.conversation.id,
            f'<b>{esc(hit.conversation.title or UNTITLED)}</b><span class="snippet">{marked(hit.snippet)}</span>',
            style="hit",
        )
        + "</li>"
        for hit in hits
    )  # fmt: skip
    return block(f'<nav aria-label="Found conversations"><ul class="conversations">{rows}</ul></nav>')


def undo_bar(conversation: Conversation) -> str:
    """Shown for a few seconds after a conversation was deleted."""
    title = esc(conversation.title or UNTITLED)
    back = do("chat", "undo", conversation.id, "Undo", style="linklike")
    return block(f'<div class="toast" role="status">Deleted “{title}”. {back}</div>')


def _entry(conversation: Conversation, current: bool, running: bool, now: float) -> str:
    title = esc(conversation.title or UNTITLED)
    mark = '<span class="spinner" title="answering"></span>' if running else ""
    name = f'{mark}<span class="title">{title}</span><span class="age">{ago(conversation.updated_at, now=now)}</span>'
    cid = conversation.id
    pin = "Unpin" if conversation.pinned else "Pin"
    menu = "".join(
        (
            do("page", "rename", cid, "Rename"),
            do("chat", "pin", cid, pin),
            f'<a class="item" href="/page/conversations/{cid}.md" download>Export as Markdown</a>',
            f'<a class="item" href="/page/conversations/{cid}.json" download>Export as JSON</a>',
            do("chat", "delete", cid, "Delete", style="danger"),
        )
    )
    style = ' class="current"' if current else ""
    open_it = do("chat", "open", cid, name, style="entry", extra="current" if current else "")
    return (
        f'<li{style}>{open_it}<details class="menu"><summary aria-label="Actions for {title}" title="Actions">⋯</summary>'
        f'<div class="menu-items">{menu}</div></details></li>'
    )


def _age(moment: float, now: float) -> str:
    days = (date.fromtimestamp(now) - date.fromtimestamp(moment)).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    if days < 7:
        return "This week"
    return f"{datetime.fromtimestamp(moment):%B %Y}"

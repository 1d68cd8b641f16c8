"""A conversation as the messages of a chat: question, steps, answer, and one quiet line under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memory_store.records import Message
from rlm_core.events import (
    AnswerEvent,
    CitationEvent,
    ErrorEvent,
    Event,
    RouteEvent,
    TokenEvent,
    UsageEvent,
    WarningEvent,
)
from rlm_core.record import NOT_STORED
from rlm_core.results import Citation, Quotation
from ui.answer_text import citations_of, quotations_of, safe, shown
from ui.html import block, chip, do, esc
from ui.words import count, duration

ChatMessage = dict[str, Any]
"""One message as Gradio's Chatbot takes it."""

NEWEST = 60
"""Messages of a long conversation shown at first, and more of them at each step back."""
AT_ONCE = 2 * NEWEST
"""At most so many are on the page, however far one goes back: a browser draws all of them again at each picture."""


@dataclass(frozen=True)
class Row:
    """One message of the shown path with what the page adds: its versions and, for an answer that the store does not have yet,
    what is there of it."""

    message: Message
    version: int = 1
    versions: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    unsaved: AnswerState | None = None


@dataclass(frozen=True)
class AnswerState:
    """An answer, growing or saved: everything that is drawn of it."""

    message_id: str
    text: str = ""
    status: str = "streaming"
    route: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    citations: tuple[Citation, ...] = ()
    quotations: tuple[Quotation, ...] = ()
    partial: bool = False
    reason: str | None = None
    error: str | None = None
    coverage: str = ""
    not_stored: str | None = None

    @classmethod
    def saved(cls, message: Message) -> AnswerState:
        """From the store."""
        data: Mapping[str, Any] = message.metadata
        return cls(
            message_id=message.id,
            text=message.text,
            status=message.status,
            route=data.get("route") or {},
            usage=data.get("usage") or {},
            citations=citations_of(data),
            quotations=quotations_of(data),
            partial=bool(data.get("partial")),
            reason=data.get("reason"),
            error=data.get("error"),
            coverage=data.get("coverage") or "",
        )

    @classmethod
    def live(cls, message_id: str, events: Sequence[Event]) -> AnswerState:
        """From the events of a running job."""
        values: dict[str, Any] = {"text": "".join(e.text for e in events if isinstance(e, TokenEvent))}
        citations: list[Citation] = []
        for event in events:
            match event:
                case RouteEvent():
                    values["route"] = {
                        "decision": event.decision,
                        "strategy": event.strategy,
                        "reasons": event.reasons,
                    }
                case CitationEvent():
                    citations.append(event.citation)
                case UsageEvent():
                    values["usage"] = {
                        "llm_calls": event.llm_calls, "seconds": event.seconds, "by_model": event.by_model,
                        "tokens_in": event.tokens_in, "tokens_out": event.tokens_out,
                    }  # fmt: skip
                case ErrorEvent():
                    values["error"] = event.text
                case WarningEvent() if event.code == NOT_STORED:
                    values["not_stored"] = event.text
                case AnswerEvent():
                    values.update(text=event.text, quotations=event.quotations, partial=event.partial)
                    values.update(reason=event.reason, citations=event.citations, coverage=event.coverage)
        values.setdefault("citations", tuple(citations))
        return cls(message_id=message_id, **values)


def part(length: int, limit: int) -> range:
    """Which messages of a conversation are shown when one has gone back ``limit`` messages."""
    start = max(0, length - limit)
    return range(start, min(length, start + AT_ONCE))


def conversation(
    rows: Sequence[Row], steps: Callable[[str], str], *, limit: int = NEWEST, growing: str | None = None
) -> list[ChatMessage]:
    """The saved messages. ``steps`` gives the step HTML of an answer's id; ``growing`` is drawn by :func:`answer` instead."""
    shown = part(len(rows), limit)
    messages: list[ChatMessage] = []
    if shown.start:
        messages.append(_html(_more("earlier", shown.start)))
    for row in rows[shown.start : shown.stop]:
        if row.message.role == "user":
            messages += question(row)
        elif row.message.id != growing:
            state = row.unsaved or AnswerState.saved(row.message)
            messages += answer(state, steps(row.message.id), row=row)
    if shown.stop < len(rows):
        messages.append(_html(_more("later", len(rows) - shown.stop)))
    return messages


def _more(way: str, number: int) -> str:
    """The button that goes a step further: ``Show 60 earlier messages (of 440)``."""
    step = count(min(number, NEWEST), f"{way} message")
    label = f"Show {step}" + (f" (of {number:,})" if number > NEWEST else "")
    return f'<div class="more">{do("chat", way, "step", label, style="linklike")}</div>'


def question(row: Row) -> list[ChatMessage]:
    """What the user asked, with its documents and its versions."""
    files = "".join(chip(name, "file") for name in row.documents)
    tools = _versions(row) + do(
        "chat", "edit", row.message.id, "Edit", title="Edit this question and ask again"
    )
    under = f'<div class="foot user">{files}<span class="tools">{tools}</span></div>'
    return [{"role": "user", "content": f"{safe(row.message.text)}\n\n{block(under)}"}]


def answer(state: AnswerState, steps: str, *, row: Row | None = None) -> list[ChatMessage]:
    """Steps, text and the line under it. ``row`` is None while the answer grows."""
    messages = [_html(steps)] if steps else []
    if state.text.strip():
        text = shown(state.text, state.message_id, state.citations, state.quotations)
        messages.append({"role": "assistant", "content": text})
    if row is not None:
        messages.append(_html(_foot(state, row)))
    elif not messages:
        messages.append(
            _html('<div class="waiting"><span class="spinner"></span> waiting for the first words</div>')
        )
    return messages


def unstored(asked: str, state: AnswerState | None, steps: str = "") -> list[ChatMessage]:
    """A question and its answer of a conversation that is kept nowhere: there is nothing to edit, retry or fork."""
    messages: list[ChatMessage] = [{"role": "user", "content": safe(asked)}]
    if state is not None:
        messages += answer(state, steps)
        copy = do("page", "copy", state.message_id, "Copy", title="Copy the answer")
        messages.append(_html(f'<div class="foot">{_about(state)}<div class="tools">{copy}</div></div>'))
    return messages


def route_line(route: Mapping[str, Any], usage: Mapping[str, Any], coverage: str = "") -> str:
    """The way an answer was made and the main reason for it, in one quiet sentence. (The trace has all reasons.)
    ``coverage`` says which passages were read, if passages were read in the end."""
    calls, seconds = int(usage.get("llm_calls") or 0), float(usage.get("seconds") or 0.0)
    models = ", ".join(usage.get("by_model") or ())
    cost = " · ".join(
        part for part in (models, count(calls, "call") if calls > 1 else "", duration(seconds)) if part
    )
    if not route:
        return cost if calls else ""
    if coverage:
        way = f"Read {coverage}"
    elif route.get("decision") == "direct":
        way = "Answered directly"
    else:
        names = {
            "loop": "Worked through it in code",
            "plan": "Worked through a plan",
            "retrieve": "Read passages",
        }
        way = names.get(str(route.get("strategy")), "Worked recursively")
    reasons = [str(reason).rstrip(".") for reason in route.get("reasons") or ()]
    sentence = f"{way}: {reasons[0]}" if reasons else way
    return f"{sentence} · {cost}" if calls else sentence


def _about(state: AnswerState) -> str:
    """What is to be known about an answer: whether it is whole, its sources, its way."""
    parts = [_verdict(state)]
    if state.not_stored:
        only_here = f"{state.not_stored} Until it is stored, it is only on this page: copy what you need."
        parts.append(f'<div class="notice warn">{esc(only_here)}</div>')
    if state.citations:
        parts.append(
            f'<div class="sources">{"".join(_source(item, state.message_id) for item in state.citations)}</div>'
        )
    if any(not quotation.verified for quotation in state.quotations):
        parts.append(
            '<div class="notice warn">The marked quotation is not in the sources word for word.</div>'
        )
    line = route_line(state.route, state.usage, state.coverage)
    if line:
        parts.append(f'<div class="route">{esc(line)}</div>')
    return "".join(parts)


def _foot(state: AnswerState, row: Row) -> str:
    mid = state.message_id
    tools = [
        _versions(row),
        do("page", "copy", mid, "Copy", title="Copy the answer"),
        do("chat", "retry", mid, "Retry", title="Answer this question again"),
        do("chat", "fork", mid, "Fork", title="Continue from here in a new conversation"),
        do("trace", "show", mid, "Trace", title="See every step of this answer"),
    ]
    return f'<div class="foot">{_about(state)}<div class="tools">{"".join(tools)}</div></div>'


def _verdict(state: AnswerState) -> str:
    if state.status == "interrupted" and not (state.error or state.reason):
        return '<div class="notice warn">Interrupted: the app was closed while this answer was being written.</div>'
    if state.error and not state.text.strip():
        return f'<div class="notice bad">{esc(state.error)}</div>'
    if state.partial or state.status == "failed" or state.error:
        why = state.reason or state.error or "It could not be finished."
        return f'<div class="notice warn">Partial answer. {esc(why)}</div>'
    return ""


def _source(citation: Citation, message_id: str) -> str:
    where = f"{citation.document}, {citation.place}" if citation.place else citation.document
    label = f"<b>{citation.number}</b> {esc(where)}"
    style = "source doubtful" if citation.verified is False else "source"
    return do(
        "passage", "open", message_id, label, title=f"Source {citation.number}: {where}", style=style,
        extra=f"n-{citation.number}",
    )  # fmt: skip


def _versions(row: Row) -> str:
    if len(row.versions) < 2:
        return ""
    before = row.versions[row.version - 2] if row.version > 1 else ""
    after = row.versions[row.version] if row.version < len(row.versions) else ""
    back = (
        do("chat", "version", before, "&lsaquo;", title="Previous version")
        if before
        else '<span class="off">&lsaquo;</span>'
    )
    on = (
        do("chat", "version", after, "&rsaquo;", title="Next version")
        if after
        else '<span class="off">&rsaquo;</span>'
    )
    return f'<span class="versions">{back}<span>{row.version}/{len(row.versions)}</span>{on}</span>'


def _html(html: str) -> ChatMessage:
    return {"role": "assistant", "content": block(html)}

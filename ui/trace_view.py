"""A saved or running answer opened up: totals, timeline, and the tree with every prompt as it was sent."""

from __future__ import annotations

from collections.abc import Sequence

from rlm_core.events import (
    AnswerEvent,
    ChildAnswerEvent,
    CitationEvent,
    CodeEvent,
    ErrorEvent,
    Event,
    ModelCallFinishedEvent,
    ModelCallStartedEvent,
    OutputEvent,
    PlanEvent,
    RecallEvent,
    RouteEvent,
    ThinkingEvent,
    TurnStartedEvent,
    UsageEvent,
    WarningEvent,
)
from ui.chat_view import route_line
from ui.html import block, esc, fold, pre
from ui.steps import PURPOSES, seconds_of, turn_title
from ui.tree import Node, grow
from ui.words import count, cut, duration, shortened

LONGEST = 20_000
"""Characters of one text shown in the tree. The saved trace has all that was kept."""
BARS = 400


def totals(events: Sequence[Event]) -> str:
    """What the answer cost, in figures."""
    usage = next((event for event in reversed(events) if isinstance(event, UsageEvent)), None)
    finished = [event for event in events if isinstance(event, ModelCallFinishedEvent)]
    route = next((event for event in events if isinstance(event, RouteEvent)), None)
    coverage = next((event.coverage for event in events if isinstance(event, AnswerEvent)), "")
    figures = [
        ("model calls", f"{usage.llm_calls if usage else len(finished):,}"),
        ("turns", f"{sum(isinstance(event, TurnStartedEvent) for event in events):,}"),
        ("tokens read", f"{sum(event.tokens_in for event in finished):,}"),
        ("of them reused", f"{sum(event.tokens_cached for event in finished):,}"),
        ("tokens written", f"{sum(event.tokens_out for event in finished):,}"),
        ("seconds", duration(usage.seconds if usage else _span(events)[1])),
    ]
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in figures)
    way = ""
    if route is not None:
        said = route_line(
            {"decision": route.decision, "strategy": route.strategy, "reasons": route.reasons}, {}, coverage
        )
        way = f'<p class="route">{esc(said)} <span class="quiet">score {route.score:.2f}, threshold {route.threshold:.2f}</span></p>'
    return block(f'<div class="totals">{cells}</div>{way}')


def timeline(events: Sequence[Event]) -> str:
    """Who waited for whom: one bar a model call or cell, parallel calls side by side."""
    start, length = _span(events)
    bars = _bars(events, start)
    if not bars or length <= 0:
        return ""
    lanes: list[float] = []
    drawn: list[str] = []
    for begin, end, style, label in bars[:BARS]:
        lane = next((index for index, free in enumerate(lanes) if free <= begin + 1e-6), len(lanes))
        if lane == len(lanes):
            lanes.append(end)
        lanes[lane] = end
        left, width = begin / length * 100, max((end - begin) / length * 100, 0.25)
        text = f"{label}: {duration(end - begin)}, from {duration(begin)}"
        drawn.append(
            f'<span class="bar {style}" style="left:{left:.2f}%;width:{width:.2f}%;top:{lane * 20}px" title="{esc(text)}"></span>'
        )
    quarters = [length * part / 4 for part in range(5)]
    marks = "".join(f"<span>{f'{at:.2f} s' if length < 4 else duration(at)}</span>" for at in quarters)
    key = '<span class="bar-key root">root</span><span class="bar-key sub">sub-calls</span><span class="bar-key cell">code</span>'
    label = f"Timeline: {count(len(bars), 'step')} in {duration(length)}, at most {len(lanes)} at once"
    return block(
        f'<figure class="timeline"><figcaption>{esc(label)} {key}</figcaption>'
        f'<div class="lanes" role="img" aria-label="{esc(label)}" style="height:{len(lanes) * 20}px">{"".join(drawn)}</div>'
        f'<div class="marks">{marks}</div></figure>'
    )


def tree(events: Sequence[Event], needle: str = "") -> str:
    """The run with code, output and prompts. ``needle`` keeps the branches that contain the text."""
    wanted = needle.strip().lower()
    roots = [
        node for node in grow(events) if not wanted or any(_contains(inner, wanted) for inner in node.walk())
    ]
    if not roots:
        return block(f'<p class="quiet empty">No step contains “{esc(needle)}”.</p>' if wanted else "")
    return block(f'<div class="trace-tree">{"".join(_node(node, wanted) for node in roots)}</div>')


def _node(node: Node, wanted: str) -> str:
    event = node.event
    children = [child for child in node.children if not wanted or _keeps(node, child, wanted)]
    inner = "".join(_node(child, wanted) for child in children)
    opened = bool(wanted) or isinstance(event, TurnStartedEvent)
    match event:
        case TurnStartedEvent():
            return _fold(f"<b>{esc(turn_title(node))}</b>", duration(seconds_of(node)), inner, event, opened)
        case ModelCallStartedEvent():
            return _call(node, inner, event, bool(wanted))
        case CodeEvent():
            return _fold(
                "code", shortened(event.code, 90), pre(cut(event.code, LONGEST), "code") + inner, event, True
            )
        case OutputEvent():
            label = "final answer" if event.final else "error" if event.error else "output"
            seen = pre(cut(event.shown, LONGEST), "failed" if event.error else "output")
            hidden = ""
            if event.output and event.output != event.shown:
                hidden = fold("the whole output", pre(cut(event.output, LONGEST), "output"))
            problem = pre(event.error, "failed") if event.error and event.error not in event.shown else ""
            facts = f"{count(event.chars, 'character')} · {duration(event.seconds)}"
            return _fold(label, facts, seen + problem + hidden + inner, event, True)
        case ThinkingEvent():
            words = count(len(event.text.split()), "word")
            return _fold("thinking", words, pre(cut(event.text, LONGEST), "thought"), event, bool(wanted))
        case PlanEvent():
            tasks = "".join(f"<li><code>{esc(t.type)}</code> {esc(t.input)}</li>" for t in event.sub_tasks)
            body = f"<ol>{tasks}</ol><p>{esc(event.synthesis_strategy)}</p>{inner}"
            return _fold(
                "<b>plan</b>",
                f"{count(len(event.sub_tasks), 'sub-task')}, from: {event.origin}",
                body,
                event,
                True,
            )
        case RecallEvent():
            rows = "".join(
                f"<li>{esc(m.role)}: {esc(m.preview)} ({m.score:.2f})</li>" for m in event.memories
            )
            return _fold(
                "recall",
                count(len(event.memories), "memory", "memories"),
                f"<ul>{rows}</ul>{inner}",
                event,
                False,
            )
        case RouteEvent():
            body = f"<ul>{''.join(f'<li>{esc(reason)}</li>' for reason in event.reasons)}</ul>{inner}"
            facts = f"{event.decision}{f', {event.strategy}' if event.strategy else ''} · score {event.score:.2f} of {event.threshold:.2f}"
            return _fold("route", facts, body, event, True)
        case CitationEvent():
            item = event.citation
            return _leaf(
                "citation", f"[{item.number}] {item.document} {item.place} ({item.start:,} to {item.end:,})"
            )
        case WarningEvent():
            return f'<div class="notice warn">{esc(event.text)}</div>{inner}'
        case ErrorEvent():
            return f'<div class="notice bad">{esc(event.text)}</div>{inner}'
        case AnswerEvent():
            facts = f"partial: {event.reason}" if event.partial else count(len(event.text), "character")
            return _fold("<b>answer</b>", facts, pre(cut(event.text, LONGEST), "output") + inner, event, True)
        case ChildAnswerEvent():
            facts = f"partial: {event.reason}" if event.partial else count(event.chars, "character")
            return _fold(f"answer of child {event.child}", facts, pre(event.text, "output"), event, True)
        case UsageEvent():
            return inner
    return _leaf(event.type, "") + inner


def _call(node: Node, inner: str, event: ModelCallStartedEvent, opened: bool) -> str:
    end = node.finished
    name = PURPOSES.get(event.purpose, event.purpose)
    if end is None:
        facts = f"{event.role} · {event.model} · {count(event.prompt_tokens, 'token')} sent, no reply yet"
    else:
        first = (
            f", first token after {duration(end.first_token_seconds)}"
            if end.first_token_seconds is not None
            else ""
        )
        facts = (
            f"{event.role} · {end.model} · in {end.tokens_in:,}, reused {end.tokens_cached:,}, out {end.tokens_out:,}"
            f" · {duration(end.seconds)}{first}"
        )
    same = ""
    if event.same_prefix:
        same = f'<p class="quiet">{count(event.same_prefix, "message")} before these are those of the previous call.</p>'
    prompt = same + "".join(
        f'<div class="cell"><span class="label">{esc(part.role)} <span class="quiet">{count(part.chars, "character")}</span></span>'
        f"{pre(cut(part.text, LONGEST))}</div>"
        for part in event.prompt
    )
    window = f"about {event.prompt_tokens:,} of {event.window:,} tokens"
    body = fold(
        f'prompt as sent <span class="quiet">{window}</span>', prompt, key=f"p-{event.id}", opened=opened
    )
    if end is not None:
        problem = f'<div class="notice bad">{esc(end.error)}</div>' if end.error else ""
        body += (
            f'{problem}<span class="label">reply <span class="quiet">{esc(end.finish_reason)}</span></span>'
        )
        body += pre(cut(end.reply, LONGEST), "output")
    return _fold(f"model call: {esc(name)}", facts, body + inner, event, opened)


def _fold(title: str, facts: str, body: str, event: Event, opened: bool) -> str:
    summary = f'{title} <span class="quiet">{esc(facts)}</span>'
    return fold(
        summary, body, style=f"node {event.type}", key=f"t-{event.message_id}-{event.id}", opened=opened
    )


def _leaf(title: str, facts: str) -> str:
    return f'<div class="leaf">{esc(title)} <span class="quiet">{esc(facts)}</span></div>'


def _keeps(parent: Node, child: Node, wanted: str) -> bool:
    return _contains(parent, wanted) or any(_contains(inner, wanted) for inner in child.walk())


def _contains(node: Node, wanted: str) -> bool:
    text = repr(node.event) + (repr(node.finished) if node.finished else "")
    return wanted in text.lower()


def _span(events: Sequence[Event]) -> tuple[float, float]:
    """When the first event happened, and how many seconds the last one came after it."""
    if not events:
        return 0.0, 0.0
    start = min(event.ts - getattr(event, "seconds", 0.0) * (event.type == "output") for event in events)
    return start, max(event.ts for event in events) - start


def _bars(events: Sequence[Event], start: float) -> list[tuple[float, float, str, str]]:
    ends = {event.parent_id: event for event in events if isinstance(event, ModelCallFinishedEvent)}
    last = max((event.ts for event in events), default=start)
    bars: list[tuple[float, float, str, str]] = []
    for event in events:
        if isinstance(event, ModelCallStartedEvent):
            finished = ends.get(event.id)
            style = "root" if event.purpose in ("root", "direct", "synthesis") else "sub"
            name = f"{PURPOSES.get(event.purpose, event.purpose)} ({event.model})"
            bars.append((event.ts - start, (finished.ts if finished else last) - start, style, name))
        elif isinstance(event, OutputEvent):
            bars.append((event.ts - event.seconds - start, event.ts - start, "cell", "code"))
    return sorted(bars)

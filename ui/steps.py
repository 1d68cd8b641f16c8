"""How an answer came about, as nested folds under it in the chat: turns, code, output, model calls, thinking."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlm_core.events import (
    CodeEvent,
    ErrorEvent,
    Event,
    ModelCallStartedEvent,
    OutputEvent,
    PlanEvent,
    RecallEvent,
    ThinkingEvent,
    TurnStartedEvent,
    WarningEvent,
)
from ui.html import block, esc, fold, pre
from ui.tree import Node, grow
from ui.words import count, cut, duration, shortened

_LONGEST = 1500
_DOINGS = (
    (r"\brlm_query", "asking a child RLM"),
    (r"\bllm_(query|call)", "asking the model about pieces"),
    (r"\bmemory_search\b", "searching the memory"),
    (r"\bsql\(", "querying tables"),
    (r"\bsearch\(|\bre\.(findall|finditer|search)\b", "searching"),
    (r"\bread_context\(|\bcontext\[", "reading"),
    (r"\bchunks\(", "splitting"),
    (r"\bFINAL|\banswer\[", "finishing"),
)
_WORTH_SEEING = (TurnStartedEvent, PlanEvent, RecallEvent, ThinkingEvent, WarningEvent)
PURPOSES = {
    "direct": "answering",
    "root": "deciding the next step",
    "sub": "sub-call",
    "complexity": "judging the question",
    "plan": "planning",
    "task": "sub-task",
    "map": "reading a part",
    "reduce": "joining parts",
    "synthesis": "writing the answer",
    "probe": "testing the model",
    "title": "naming the conversation",
}


def doing(code: str) -> str:
    """What a cell does, in a word or two: ``searching``."""
    found = [words for pattern, words in _DOINGS if re.search(pattern, code)]
    return found[0] if found else "computing"


def steps_html(events: Sequence[Event], message_id: str, *, live: bool) -> str:
    """All steps in one block of HTML: open while they happen, folded into one line once the answer is there.

    Empty when there is nothing worth unfolding (one direct call, without thinking or warnings).
    """
    roots = grow(events)
    everything = [inner for root in roots for inner in root.walk()]
    if not live and not any(isinstance(node.event, _WORTH_SEEING) for node in everything):
        return ""
    body = "".join(_step(root, message_id, live) for root in roots)
    if not body or live:
        return block(f'<div class="steps">{body}</div>') if body else ""
    turns = sum(isinstance(node.event, TurnStartedEvent) for node in everything)
    calls = sum(isinstance(node.event, ModelCallStartedEvent) for node in everything)
    facts = [count(turns, "turn")] * bool(turns) + [count(calls, "model call")] * bool(calls)
    summary = f'Steps <span class="quiet">{esc(" · ".join(facts))}</span>'
    return block(f'<div class="steps">{fold(summary, body, style="all", key=f"{message_id}-steps")}</div>')


def turn_title(node: Node) -> str:
    """``Turn 2 of 12: searching``. A turn that has a title of its own (a sub-task) keeps it."""
    turn = node.event
    assert isinstance(turn, TurnStartedEvent)
    if turn.title:
        name = turn.title
    else:
        codes = [child.event.code for child in node.children if isinstance(child.event, CodeEvent)]
        name = f"Turn {turn.iteration}" + (f": {doing(codes[-1])}" if codes else "")
    return f"Child RLM, level {node.level}: {name}" if node.level else name


def seconds_of(node: Node) -> float:
    """How long a node and everything under it took, as far as it has come."""
    start = node.event.ts
    end = start
    for inner in node.walk():
        end = max(end, inner.event.ts, inner.finished.ts if inner.finished else 0.0)
    return end - start


def _step(node: Node, message_id: str, live: bool) -> str:
    event = node.event
    match event:
        case TurnStartedEvent():
            return _turn(node, message_id, live)
        case CodeEvent():
            return _code(event)
        case OutputEvent():
            return _output(event, message_id)
        case ModelCallStartedEvent():
            return _call(node, message_id, live)
        case ThinkingEvent():
            return _thinking(event, message_id, live)
        case PlanEvent():
            return _plan(event, message_id)
        case RecallEvent() if event.memories:
            return _recall(event, message_id)
        case WarningEvent():
            return f'<div class="notice warn">{esc(event.text)}</div>'
        case ErrorEvent():
            return f'<div class="notice bad">{esc(event.text)}</div>'
    return "".join(_step(child, message_id, live) for child in node.children)


def _turn(node: Node, message_id: str, live: bool) -> str:
    calls = [inner for inner in node.walk() if isinstance(inner.event, ModelCallStartedEvent)]
    running = live and any(inner.finished is None for inner in calls)
    facts = [count(len(calls), "model call")] if calls else []
    facts.append(duration(seconds_of(node)))
    state = '<span class="spinner" aria-label="running"></span>' if running else ""
    summary = f'{state}<b>{esc(turn_title(node))}</b> <span class="quiet">{esc(" · ".join(facts))}</span>'
    body = "".join(_step(child, message_id, live) for child in node.children)
    return fold(summary, body, style="step", key=f"{message_id}-{node.event.id}", opened=running)


def _code(event: CodeEvent) -> str:
    return f'<div class="cell"><span class="label">code</span>{pre(cut(event.code, _LONGEST), "code")}</div>'


def _output(event: OutputEvent, message_id: str) -> str:
    text = event.error or event.shown or "(no output)"
    style = "failed" if event.error else "output"
    label = "error" if event.error else "final answer" if event.final else "output"
    facts = f"{count(event.chars, 'character')} · {duration(event.seconds)}"
    return (
        f'<div class="cell"><span class="label">{label} <span class="quiet">{facts}</span></span>'
        f"{pre(cut(text, _LONGEST), style)}</div>"
    )


def _call(node: Node, message_id: str, live: bool) -> str:
    started, finished = node.event, node.finished
    assert isinstance(started, ModelCallStartedEvent)
    name = PURPOSES.get(started.purpose, started.purpose)
    inner = "".join(_step(child, message_id, live) for child in node.children)
    if finished is None:
        state = '<span class="spinner" aria-label="running"></span>' if live else ""
        end = "reading" if live else "did not finish"
        facts = f"{started.model} · {end} {count(started.prompt_tokens, 'token')}"
        return f'<div class="call">{state}{esc(name)} <span class="quiet">{esc(facts)}</span></div>{inner}'
    facts = (
        f"{finished.model} · read {finished.tokens_in:,}, wrote {count(finished.tokens_out, 'token')}"
        f" · {duration(finished.seconds)}"
    )
    if finished.error:
        return f'<div class="call failed">{esc(name)} <span class="quiet">{esc(facts)}</span><br>{esc(finished.error)}</div>{inner}'
    summary = f'{esc(name)} <span class="quiet">{esc(facts)}</span>'
    own_text = started.purpose in ("direct", "synthesis")  # stands below as the answer
    reply = "" if own_text or not finished.reply.strip() else pre(cut(finished.reply, _LONGEST), "output")
    if not reply:
        return f'<div class="call">{summary}</div>{inner}'
    return fold(summary, reply, style="call", key=f"{message_id}-{started.id}") + inner


def _thinking(event: ThinkingEvent, message_id: str, live: bool) -> str:
    words = len(event.text.split())
    summary = f'<i>{"Thinking" if live else "Thought"}</i> <span class="quiet">{count(words, "word")}</span>'
    return fold(
        summary, pre(cut(event.text, 6000), "thought"), style="thinking", key=f"{message_id}-{event.id}"
    )


def _plan(event: PlanEvent, message_id: str) -> str:
    rows = "".join(
        f"<li><code>{esc(task.type)}</code> {esc(shortened(task.input, 160))}</li>"
        for task in event.sub_tasks
    )
    origin = {"model": "", "repaired": " (repaired)", "default": " (the default plan)"}[event.origin]
    summary = f'<b>Plan</b>{origin} <span class="quiet">{count(len(event.sub_tasks), "sub-task")}</span>'
    together = f'<p class="quiet">Then: {esc(shortened(event.synthesis_strategy, 240))}</p>'
    return fold(summary, f"<ol>{rows}</ol>{together}", style="step", key=f"{message_id}-{event.id}")


def _recall(event: RecallEvent, message_id: str) -> str:
    rows = "".join(f"<li>{esc(shortened(memory.preview, 200))}</li>" for memory in event.memories)
    summary = f'<b>Remembered</b> <span class="quiet">{count(len(event.memories), "earlier message")}</span>'
    return fold(summary, f"<ul>{rows}</ul>", style="step", key=f"{message_id}-{event.id}")

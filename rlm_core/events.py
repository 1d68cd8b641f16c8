"""The one stream of typed events that everything else is a view of (DESIGN.md 4.5).

Each event is a frozen dataclass; :func:`to_json` and :func:`from_json` are exact inverses. Sizes are in characters
unless a name says tokens; ``ts`` is seconds since the epoch. Events carry sizes and previews, never the context.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from rlm_core.results import Citation, Decision, Quotation

Purpose = Literal[
    "direct", "root", "sub", "complexity", "plan", "task", "map", "reduce", "synthesis", "probe"
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """``parent_id`` is the id of the event this one belongs under (a turn under its run, a call under its turn). ``type``
    is the kind's name, the same for all events of a class."""

    id: str
    parent_id: str | None
    message_id: str
    ts: float
    type: str = field(default="event", init=False)


@dataclass(frozen=True, kw_only=True)
class PhaseEvent(Event):
    """What is going on right now, in a few words for the page ("loading qwen3:8b"). Not saved."""

    type: str = field(default="phase", init=False)
    text: str


@dataclass(frozen=True, kw_only=True)
class RouteEvent(Event):
    type: str = field(default="route", init=False)
    decision: Decision
    strategy: str | None
    score: float
    threshold: float
    reasons: tuple[str, ...]
    asked_model: bool = False


@dataclass(frozen=True)
class RecalledMemory:
    message_id: str
    role: str
    preview: str
    score: float
    created_at: float


@dataclass(frozen=True, kw_only=True)
class RecallEvent(Event):
    """The long-term memories that go into the prompt, best first."""

    type: str = field(default="recall", init=False)
    memories: tuple[RecalledMemory, ...]


@dataclass(frozen=True)
class PlannedTask:
    """One sub-task of a plan, in the plan format of the project."""

    id: int
    type: str
    input: str
    depends_on: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlanEvent(Event):
    type: str = field(default="plan", init=False)
    sub_tasks: tuple[PlannedTask, ...]
    synthesis_strategy: str
    origin: Literal["model", "repaired", "default"] = "model"


@dataclass(frozen=True, kw_only=True)
class TurnStartedEvent(Event):
    """A turn of a REPL loop, or a sub-task of a plan. ``depth`` 0 is the root; ``child`` numbers the child RLMs of a
    message, 0 is the root."""

    type: str = field(default="turn_started", init=False)
    depth: int
    iteration: int
    of: int
    title: str = ""
    child: int = 0


@dataclass(frozen=True, kw_only=True)
class CodeEvent(Event):
    type: str = field(default="code", init=False)
    code: str


@dataclass(frozen=True, kw_only=True)
class OutputEvent(Event):
    """``shown`` is what the model saw; ``output`` is the whole, up to a cap; ``chars`` its true size."""

    type: str = field(default="output", init=False)
    shown: str
    output: str
    chars: int
    error: str | None
    seconds: float
    final: bool = False


@dataclass(frozen=True, kw_only=True)
class ChildAnswerEvent(Event):
    """What a child RLM handed back, below the step that asked it. ``child`` is its number; ``text`` may be shortened,
    ``chars`` is its true size; ``reason`` says why it is only partial."""

    type: str = field(default="child_answer", init=False)
    child: int
    text: str
    chars: int
    partial: bool
    reason: str | None


@dataclass(frozen=True)
class PromptPart:
    """One message of a prompt: its text as sent, or its head and tail when it is long (``chars`` is its true size)."""

    role: str
    text: str
    chars: int


@dataclass(frozen=True, kw_only=True)
class ModelCallStartedEvent(Event):
    """``same_prefix`` counts the leading messages that are those of the previous call of the same loop; only the
    messages after them are in ``prompt``."""

    type: str = field(default="model_call_started", init=False)
    role: str
    model: str
    purpose: Purpose
    prompt_tokens: int
    window: int
    same_prefix: int
    prompt: tuple[PromptPart, ...]


@dataclass(frozen=True, kw_only=True)
class ModelCallFinishedEvent(Event):
    """``parent_id`` is the id of the call's ``model_call_started``. ``reply`` may be shortened; ``reply_chars`` is its size."""

    type: str = field(default="model_call_finished", init=False)
    role: str
    model: str
    purpose: Purpose
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    seconds: float
    first_token_seconds: float | None
    reply: str
    reply_chars: int
    finish_reason: str
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class TokenEvent(Event):
    """A piece of the answer's text, in order. (What the model writes on the way to it comes as other events.)"""

    type: str = field(default="token", init=False)
    text: str


@dataclass(frozen=True, kw_only=True)
class ThinkingEvent(Event):
    """A piece of the model's thinking, kept apart from the answer."""

    type: str = field(default="thinking", init=False)
    text: str


@dataclass(frozen=True, kw_only=True)
class CitationEvent(Event):
    type: str = field(default="citation", init=False)
    citation: Citation


@dataclass(frozen=True, kw_only=True)
class WarningEvent(Event):
    type: str = field(default="warning", init=False)
    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ErrorEvent(Event):
    type: str = field(default="error", init=False)
    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class AnswerEvent(Event):
    """The answer. Its ``text`` is the one that counts; tokens seen before may differ in citations that were dropped.
    ``coverage`` says which passages were read for it, where passages were read."""

    type: str = field(default="answer", init=False)
    text: str
    citations: tuple[Citation, ...] = ()
    quotations: tuple[Quotation, ...] = ()
    partial: bool = False
    reason: str | None = None
    coverage: str = ""


@dataclass(frozen=True, kw_only=True)
class UsageEvent(Event):
    type: str = field(default="usage", init=False)
    llm_calls: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    seconds: float
    iterations: int
    by_model: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class DoneEvent(Event):
    """The last event of a message, always."""

    type: str = field(default="done", init=False)


EVENT_TYPES: dict[str, type[Event]] = {
    kind.type: kind
    for kind in (
        PhaseEvent,
        RouteEvent,
        RecallEvent,
        PlanEvent,
        TurnStartedEvent,
        CodeEvent,
        OutputEvent,
        ChildAnswerEvent,
        ModelCallStartedEvent,
        ModelCallFinishedEvent,
        TokenEvent,
        ThinkingEvent,
        CitationEvent,
        WarningEvent,
        ErrorEvent,
        AnswerEvent,
        UsageEvent,
        DoneEvent,
    )
}

_NESTED: dict[tuple[str, str], type[Any]] = {
    ("recall", "memories"): RecalledMemory,
    ("plan", "sub_tasks"): PlannedTask,
    ("model_call_started", "prompt"): PromptPart,
    ("answer", "citations"): Citation,
    ("answer", "quotations"): Quotation,
}

_SCALARS = frozenset({str, int, float, bool, type(None)})


def to_json(event: Event) -> dict[str, Any]:
    """The event as one JSON-serialisable object, its ``type`` first."""
    return {"type": event.type, **_plain(event)}


def _plain(value: Any) -> Any:
    """Like :func:`dataclasses.asdict`, which copies every text's container deeply and takes five times as long: there are
    several events for each of many parallel calls."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items()}
    return value


def from_json(values: dict[str, Any]) -> Event:
    """The event that :func:`to_json` wrote.

    Raises ValueError when the type is unknown or a field is missing or unknown.
    """
    kind = EVENT_TYPES.get(values.get("type", ""))
    if kind is None:
        raise ValueError(f"unknown event type {values.get('type')!r}")
    names = {each.name for each in fields(kind) if each.init}
    arguments = {key: _revive(kind.type, key, value) for key, value in values.items() if key != "type"}
    if set(arguments) - names:
        raise ValueError(f"unknown fields in a {kind.type} event: {sorted(set(arguments) - names)}")
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ValueError(f"a {kind.type} event is incomplete: {error}") from None


def _revive(kind: str, key: str, value: Any) -> Any:
    if kind == "citation" and key == "citation":
        return Citation(**value)
    if isinstance(value, list):
        nested = _NESTED.get((kind, key))
        items = (nested(**_tuples(item)) if nested else item for item in value)
        return tuple(items)
    return value


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}

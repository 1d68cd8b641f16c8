"""A stage for trajectories: the real engine, a real REPL worker, and a scripted model behind Ollama's wire protocol.

``Actor`` is the model: it is given what to say for each kind of call. ``Stage`` runs messages and, when it closes,
checks what has to hold for every request of every trajectory (:func:`check_requests`).
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from memory_store import MemoryStore
from rlm_core import RLMEngine, Settings, prompts
from rlm_core.budget import CancelToken
from rlm_core.events import (
    AnswerEvent,
    DoneEvent,
    Event,
    ModelCallFinishedEvent,
    ModelCallStartedEvent,
    OutputEvent,
    PhaseEvent,
    RouteEvent,
    UsageEvent,
    WarningEvent,
)
from tests.scripted.ollama_server import STANDARD_MODELS, ScriptedModel, ScriptedOllama
from tests.scripted.script import ChatRequest, Reply

E = TypeVar("E", bound=Event)
Says = str | Reply | Callable[[ChatRequest], "str | Reply"]

LOOP_MARK = prompts.LOOP_SYSTEM[:40]
DIRECT_MARK = prompts.DIRECT_SYSTEM[:40]
PROBE_MARK = "The variable `context` is a Python string with many lines"


def fence(code: str, label: str = "repl") -> str:
    return f"```{label}\n{code}\n```"


def finish(value: str) -> str:
    """A reply that ends the run with a Python expression."""
    return fence(f'answer["content"] = {value}\nanswer["ready"] = True')


def kind_of(request: ChatRequest) -> str:
    """Which of the engine's calls this is, as a model would tell it from the prompt."""
    if request.schema is not None and "sub_tasks" in request.schema.get("properties", {}):
        return "plan"
    if request.schema is not None and "complexity" in request.schema.get("properties", {}):
        return "complexity"
    if request.text.startswith(PROBE_MARK):
        return "probe"
    if request.system.startswith(LOOP_MARK):
        return "root"
    if request.system.startswith(DIRECT_MARK):
        return "direct"
    if request.text.startswith(prompts.LOOK_UP_FIRST[:30]):
        return "look_up"
    if request.system == prompts.READ_SYSTEM:
        if "Merge these notes" in request.last:
            return "reduce"
        return "map" if "\nPassages (part " in request.last else "synthesis"
    return "sub"


@dataclass
class Actor:
    """What the model says, by the kind of call. A list is said in order; running out of it fails the test."""

    root: Sequence[Says] = ()
    sub: Says = "sub"
    direct: Says = "direct answer"
    complexity: Says = '{"complexity": "SIMPLE", "reason": "short"}'
    plan: Sequence[Says] = ()
    look_up: Says = prompts.NOTHING_FOUND
    map: Says = prompts.NOTHING_FOUND
    reduce: Says = "- merged [1]"
    synthesis: Says = "synthesized answer"
    probe: Says = "I cannot write code."
    seen: list[tuple[str, ChatRequest]] = field(default_factory=list)

    def __call__(self, request: ChatRequest) -> str | Reply:
        kind = kind_of(request)
        number = sum(1 for other, _ in self.seen if other == kind)
        self.seen.append((kind, request))
        says: Any = getattr(self, kind)
        if not isinstance(says, str | Reply) and isinstance(says, Sequence):
            if number >= len(says):
                raise AssertionError(f"The script has no reply number {number + 1} for a {kind} call.")
            says = says[number]
        return says(request) if callable(says) else says

    def requests(self, kind: str) -> list[ChatRequest]:
        return [request for other, request in self.seen if other == kind]


@dataclass(frozen=True)
class Outcome:
    """What came of one message."""

    events: tuple[Event, ...]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def ending(self) -> AnswerEvent:
        return self.of(AnswerEvent)[-1]

    @property
    def answer(self) -> str:
        return self.ending.text

    @property
    def partial(self) -> bool:
        return self.ending.partial

    @property
    def reason(self) -> str:
        return self.ending.reason or ""

    @property
    def route(self) -> RouteEvent:
        return self.of(RouteEvent)[0]

    @property
    def usage(self) -> UsageEvent:
        return self.of(UsageEvent)[-1]

    @property
    def warnings(self) -> list[str]:
        return [event.code for event in self.of(WarningEvent)]

    @property
    def purposes(self) -> list[str]:
        return [event.purpose for event in self.of(ModelCallStartedEvent)]

    @property
    def shown(self) -> str:
        """Everything that cells printed, as the model saw it."""
        return "\n".join(event.shown + (event.error or "") for event in self.of(OutputEvent))


class Stage:
    """``async with Stage(actor, tmp_path) as stage: outcome = await stage.ask("...")``. Its memory searches by words only:
    loading the embedding model would take longer than all trajectories."""

    def __init__(
        self,
        actor: Callable[[ChatRequest], str | Reply],
        home: Path,
        *,
        window: int = 8192,
        models: Sequence[ScriptedModel] = STANDARD_MODELS,
        vram: int | None = None,
        load_seconds: float = 0.0,
        **settings: Any,
    ) -> None:
        self.actor = actor
        self.home = home
        self.server = ScriptedOllama(
            actor, window=max(window, 512), models=models, vram=vram, load_seconds=load_seconds
        )
        self._settings = {"num_ctx": window, **settings}
        self.spent = 0

    async def __aenter__(self) -> Self:
        self.server.start()
        settings = Settings().changed({"backend": "ollama", "base_url": self.server.url, **self._settings})
        self.store = MemoryStore(self.home, embedder=None)
        self.engine = RLMEngine(settings, data_dir=self.home, store=self.store)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.close()
        self.store.close()
        self.server.__exit__(kind, error, trace)
        if error is None:
            check_requests(self.server)
            assert self.spent == len(self.server.requests), "every call is charged, and nothing else"

    async def ask(
        self, message: str = "How many errors are there?", *, strategy: str | None = "loop", **options: Any
    ) -> Outcome:
        """One message through the engine, to its end. Recursive unless ``mode`` says otherwise."""
        options.setdefault("mode", "recursive")
        events = [event async for event in self.engine.process_message(message, strategy=strategy, **options)]
        outcome = Outcome(tuple(events))
        self.count(outcome)
        return outcome

    def start(self, message: str = "How many errors are there?", **options: Any) -> Running:
        """A message that is answered while the test looks on."""
        options.setdefault("mode", "recursive")
        options.setdefault("cancel", CancelToken())
        return Running(self, message, options)

    async def reaches(self, condition: Callable[[], bool]) -> None:
        """Until something is true of the server."""
        await asyncio.to_thread(self.server.wait_until, condition)

    def count(self, outcome: Outcome) -> None:
        """Take the outcome of a message that was not run by :meth:`ask` into the account."""
        check_events(outcome)
        self.spent += outcome.usage.llm_calls


class Running:
    """A message on its way; ``cancel`` is its stop button, ``task`` who listens."""

    def __init__(self, stage: Stage, message: str, options: dict[str, Any]) -> None:
        self.cancel: CancelToken = options["cancel"]
        self._stage = stage
        self._events: list[Event] = []
        self._grown = asyncio.Condition()
        self.task = asyncio.create_task(self._follow(message, options))

    async def _follow(self, message: str, options: dict[str, Any]) -> None:
        async for event in self._stage.engine.process_message(message, **options):
            async with self._grown:
                self._events.append(event)
                self._grown.notify_all()

    async def sees(self, condition: Callable[[Event], bool]) -> None:
        """Until such an event has come."""
        async with self._grown:
            await self._grown.wait_for(lambda: any(map(condition, self._events)))

    async def streams(self, number: int, *, after: int = 0) -> None:
        """Until so many calls are in the middle of their words, ``after`` others that have ended."""
        async with self._grown:
            await self._grown.wait_for(lambda: self._streaming(after) == number)

    def _streaming(self, after: int) -> int:
        writing = {
            event.parent_id
            for event in self._events
            if isinstance(event, PhaseEvent) and event.text == "writing"
        }
        ended = {event.parent_id for event in self._events if isinstance(event, ModelCallFinishedEvent)}
        return len(writing - ended) if len(ended) == after else 0

    async def end(self) -> Outcome:
        await self.task
        outcome = Outcome(tuple(self._events))
        self._stage.count(outcome)
        return outcome


def check_events(outcome: Outcome) -> None:
    """What holds for the events of every message."""
    assert isinstance(outcome.events[-1], DoneEvent)
    assert len(outcome.of(AnswerEvent)) == 1
    ids = [event.id for event in outcome.events]
    assert len(set(ids)) == len(ids)
    assert {event.parent_id for event in outcome.events} <= {None, *ids}
    assert outcome.partial == (outcome.ending.reason is not None)
    started = {event.id for event in outcome.of(ModelCallStartedEvent)}
    assert started == {event.parent_id for event in outcome.of(ModelCallFinishedEvent)}


def check_requests(server: ScriptedOllama) -> None:
    """What holds for every request of every trajectory."""
    assert server.silent_cuts == 0
    assert server.largest_prompt <= server.window
    assert len(set(server.loads)) == len({model for model, _ in server.loads}), "one window for each model"
    options: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    conversations: dict[str, list[list[dict[str, str]]]] = defaultdict(list)
    for body in server.requests:
        messages = body["messages"]
        roles = [message["role"] for message in messages]
        talk = roles[1:] if roles[0] == "system" else roles
        assert talk == [("user", "assistant")[n % 2] for n in range(len(talk))], roles
        assert roles[-1] == "user"
        assert body["truncate"] is False
        assert body["shift"] is False
        assert all(message["content"] for message in messages)
        options[body["model"]].add((body["options"]["num_ctx"], *sorted(body["options"])))
        if roles[0] == "system" and messages[0]["content"].startswith(LOOP_MARK):
            conversations[json.dumps(messages[:2])].append(messages)
    assert all(len(kinds) == 1 for kinds in options.values()), options
    for conversation in conversations.values():
        for before, after in pairwise(conversation):
            assert after[: len(before)] == before, "a root prompt extends the one before"

"""Small events and records for the tests of the views."""

from __future__ import annotations

from typing import Any

from memory_store.records import Conversation, Document, Message, Section
from rlm_core.events import (
    AnswerEvent,
    CodeEvent,
    DoneEvent,
    Event,
    ModelCallFinishedEvent,
    ModelCallStartedEvent,
    OutputEvent,
    PromptPart,
    RouteEvent,
    TokenEvent,
    TurnStartedEvent,
    UsageEvent,
)


def event(make: Any, number: int, parent: str | None = None, at: float | None = None, **values: Any) -> Any:
    return make(
        id=f"e{number}",
        parent_id=parent,
        message_id="m1",
        ts=1000.0 + (number if at is None else at),
        **values,
    )


def call(number: int, parent: str, at: float, seconds: float, purpose: str = "sub") -> list[Event]:
    """A model call from `at` on, in seconds since the start."""
    prompt = (PromptPart("user", "How many lamps?", 15),)
    started = event(
        ModelCallStartedEvent, number, parent, at, role="fast", model="qwen3:8b", purpose=purpose, prompt_tokens=90,
        window=8192, same_prefix=0, prompt=prompt,
    )  # fmt: skip
    finished = event(
        ModelCallFinishedEvent, number + 100, f"e{number}", at + seconds, role="fast", model="qwen3:8b", purpose=purpose,
        tokens_in=91, tokens_out=7, tokens_cached=40, seconds=seconds, first_token_seconds=0.1, reply="There are <b>12</b>.",
        reply_chars=20, finish_reason="stop",
    )  # fmt: skip
    return [started, finished]


def run_of_two_turns() -> list[Event]:
    """A recursive answer: a turn with two parallel sub-calls under its code, and a child RLM in the second turn."""
    first = [event(TurnStartedEvent, 2, None, 0.2, depth=2, iteration=1, of=12)]
    code = [event(CodeEvent, 3, "e2", 0.5, code='hits = search("lamps")\nllm_query_batched(hits)')]
    calls = sorted(call(4, "e3", 0.6, 2.0) + call(5, "e3", 0.7, 1.0), key=lambda item: item.ts)
    output = [
        event(
            OutputEvent, 6, "e3", 2.8, shown="12\n\n12", output="12\n\n12", chars=6, error=None, seconds=2.2
        ),
        event(TurnStartedEvent, 7, None, 3.0, depth=2, iteration=2, of=12),
        event(TurnStartedEvent, 8, "e7", 3.1, depth=1, iteration=1, of=12),
        event(CodeEvent, 9, "e8", 3.2, code="FINAL(12)"),
    ]
    ending = [
        event(TokenEvent, 10, None, 3.4, text="There are 12."),
        event(AnswerEvent, 11, None, 3.5, text="There are 12."),
        event(
            UsageEvent, 12, None, 3.5, llm_calls=2, tokens_in=182, tokens_out=14, tokens_cached=80, seconds=3.5,
            iterations=3, by_model={"qwen3:8b": 2},
        ),
        event(DoneEvent, 13, None, 3.5),
    ]  # fmt: skip
    route = event(
        RouteEvent,
        1,
        None,
        0.0,
        decision="recursive",
        strategy="loop",
        score=0.9,
        threshold=0.5,
        reasons=("it is long",),
    )
    return [route, *first, *code, *calls, *output, *ending]


def message(role: str, text: str, status: str = "complete", **metadata: Any) -> Message:
    return Message(f"id-{role}", "c1", None, role, text, 1000.0, status, metadata)


def conversation(
    title: str = "Lamps", *, pinned: bool = False, at: float = 1000.0, number: int = 1
) -> Conversation:
    return Conversation(f"c{number}", title, at, at, pinned, "local")


def document(name: str, text: str, sections: tuple[Section, ...] = ()) -> Document:
    return Document(
        "d1",
        name,
        "text",
        len(text),
        len(text),
        1000.0,
        "searchable",
        len(text) // 4,
        "local",
        sections,
        lambda: text,
        list,
    )

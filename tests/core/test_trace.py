"""Events on disk: exact, complete lines, robust."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import pytest

from rlm_core.events import (
    AnswerEvent,
    ChildAnswerEvent,
    CitationEvent,
    CodeEvent,
    DoneEvent,
    Event,
    ModelCallStartedEvent,
    PhaseEvent,
    PlanEvent,
    PlannedTask,
    PromptPart,
    RecalledMemory,
    RecallEvent,
    ThinkingEvent,
    TokenEvent,
    from_json,
    to_json,
)
from rlm_core.results import Citation, Quotation
from rlm_core.trace import TraceWriter, parse_trace, read_trace, trace_path

AT = {"parent_id": None, "message_id": "m", "ts": 1.5}
CITATION = Citation(1, "lease.txt", 3, 9, "words", "doc-1", "page 2", True)
EVENTS: list[Event] = [
    RecallEvent(id="1", memories=(RecalledMemory("x", "user", "bees", 0.5, 3.0),), **AT),
    PlanEvent(id="2", sub_tasks=(PlannedTask(1, "llm_call", "x", (2, 3)),), synthesis_strategy="", **AT),
    ModelCallStartedEvent(
        id="3", role="fast", model="m", purpose="root", prompt_tokens=1, window=2, same_prefix=0,
        prompt=(PromptPart("user", "ü\n{}", 4),), **AT,
    ),
    CodeEvent(id="4", code='print("\u2028 \\n")', **AT),
    CitationEvent(id="5", citation=CITATION, **AT),
    AnswerEvent(id="6", text="a", citations=(CITATION,), quotations=(Quotation("q", False),), partial=True, reason="r", **AT),
    ChildAnswerEvent(id="7", child=1, text="found", chars=5, partial=True, reason="r", **AT),
    DoneEvent(id="8", **AT),
]  # fmt: skip


def test_a_trace_is_read_back_exactly(tmp_path: Path) -> None:
    path = trace_path(tmp_path, "m")
    with TraceWriter(path) as writer:
        for event in EVENTS:
            writer.write(event)
    assert read_trace(path) == EVENTS
    assert [from_json(to_json(event)).type for event in EVENTS] == [event.type for event in EVENTS]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_is_a_plain_dataclass_whose_type_is_one_of_its_fields(event: Event) -> None:
    values = json.loads(json.dumps(asdict(event)))
    assert {"id", "parent_id", "message_id", "ts", "type"} <= values.keys()
    assert values["type"] == event.type


def test_single_tokens_and_phases_are_not_saved_and_thinking_is_joined(tmp_path: Path) -> None:
    path = trace_path(tmp_path, "m")
    with TraceWriter(path) as writer:
        writer.write(PhaseEvent(id="1", text="loading", **AT))
        for n in range(5):
            writer.write(ThinkingEvent(id=f"t{n}", text=f"{n} ", **AT))
        writer.write(TokenEvent(id="9", text="x", **AT))
        writer.write(EVENTS[-1])
    thinking, done = read_trace(path)
    assert isinstance(thinking, ThinkingEvent)
    assert thinking.text == "0 1 2 3 4 "
    assert done == EVENTS[-1]


def test_a_line_that_was_only_half_written_is_left_out(tmp_path: Path) -> None:
    path = trace_path(tmp_path, "m")
    with TraceWriter(path) as writer:
        for event in EVENTS:
            writer.write(event)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[: whole.rindex('"done"') + 3], encoding="utf-8")
    assert read_trace(path) == EVENTS[:-1]


@pytest.mark.parametrize(
    "line",
    ['{"type": "dance"}', '{"type": "done"}', "[]", '{"type": "done", "id": "1", "extra": 1}', "{broken"],
)
def test_what_is_no_event_is_named_with_its_line(line: str) -> None:
    with pytest.raises(ValueError, match="Line 1"):
        parse_trace([line, '{"type": "done", "id": "7", "parent_id": null, "message_id": "m", "ts": 1.5}'])


@pytest.mark.parametrize("name", ["../secrets", "a/b", "", "x" * 200, ".", "a\x00"])
def test_an_id_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="message id"):
        trace_path(tmp_path, name)


def test_a_trace_that_cannot_be_written_costs_one_warning_and_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "traces").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING), TraceWriter(trace_path(tmp_path, "m")) as writer:
        for event in EVENTS:
            writer.write(event)
    assert len(caplog.records) == 1

"""What an answer leaves behind, whatever happens to whoever listens."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from memory_store import MemoryStore, StorageError
from rlm_core.budget import CancelToken
from rlm_core.events import AnswerEvent, DoneEvent, Event, PhaseEvent, TokenEvent, WarningEvent
from rlm_core.record import Record
from rlm_core.request import MessageRequest
from rlm_core.trace import read_trace, trace_path
from rlm_core.turns import Turn

AT: dict[str, Any] = {"parent_id": None, "message_id": "m", "ts": 1.5}
TURN = Turn(MessageRequest("Hello", conversation_id="c"), "q", "m")
ENDING = [
    PhaseEvent(id="1", text="writing", **AT),
    TokenEvent(id="2", text="Good ", **AT),
    TokenEvent(id="3", text="morning", **AT),
    AnswerEvent(id="4", text="Good morning", **AT),
    DoneEvent(id="5", **AT),
]


def no_warning(code: str, text: str) -> None:
    raise AssertionError(text)


class SlowStore:
    """Saves when it may. ``saved`` is what was written."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked = threading.Event()
        self.saved: list[tuple[str, str]] = []

    def update_message(self, message_id: str, *, text: str, status: str, metadata: object) -> None:
        self.asked.set()
        self.may.wait()
        self.saved.append((text, status))


async def test_what_happens_at_once_is_written_down_together(tmp_path: Path) -> None:
    events: asyncio.Queue[Event] = asyncio.Queue()
    for event in ENDING:
        events.put_nowait(event)
    record = Record(TURN, tmp_path, None, CancelToken(), no_warning)
    assert await record.keep(events) == ENDING[:-1]
    assert await record.keep(events) == ENDING[-1:]
    assert record.complete
    assert read_trace(trace_path(tmp_path, "m")) == ENDING[3:]


async def test_an_answer_is_saved_though_its_listener_is_cancelled_in_the_last_moment(tmp_path: Path) -> None:
    store, events = SlowStore(), asyncio.Queue[Event]()
    for event in ENDING:
        events.put_nowait(event)
    record = Record(TURN, tmp_path, cast(MemoryStore, store), CancelToken(), no_warning)
    assert await record.keep(events) == ENDING[:-1]  # nobody waits for the commit to see the answer
    listening = asyncio.create_task(record.keep(events))
    await asyncio.to_thread(store.asked.wait)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert not record.complete
    store.may.set()
    await record.keep_rest(events)
    assert record.complete
    assert set(store.saved) == {("Good morning", "complete")}


async def test_words_are_saved_though_the_model_says_no_more_for_long(tmp_path: Path) -> None:
    saved = asyncio.Queue[str]()
    loop = asyncio.get_running_loop()

    class Store:
        def update_message(self, message_id: str, *, text: str) -> None:
            loop.call_soon_threadsafe(saved.put_nowait, text)

    events: asyncio.Queue[Event] = asyncio.Queue()
    record = Record(TURN, tmp_path, cast(MemoryStore, Store()), CancelToken(), no_warning)
    events.put_nowait(ENDING[1])
    assert await record.keep(events) == ENDING[1:2]
    listening = asyncio.create_task(record.keep(events))
    assert await asyncio.wait_for(saved.get(), 60) == "Good "
    events.put_nowait(ENDING[2])
    assert await listening == ENDING[2:3]


async def test_a_call_that_begins_waits_for_company_but_a_word_brings_it_along_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlm_core.record.GATHERING_SECONDS", 3600)
    phase, word = ENDING[:2]
    events: asyncio.Queue[Event] = asyncio.Queue()
    record = Record(TURN, tmp_path, None, CancelToken(), no_warning)
    listening = asyncio.create_task(record.keep(events))
    events.put_nowait(phase)
    while not events.empty():  # noqa: ASYNC110 - it is taken as soon as the other task runs
        await asyncio.sleep(0)
    listening.cancel()  # what it holds by then is not lost
    with pytest.raises(asyncio.CancelledError):
        await listening
    events.put_nowait(word)
    assert await asyncio.wait_for(record.keep(events), 60) == [phase, word]


async def test_a_call_that_begins_is_told_also_when_nothing_follows(tmp_path: Path) -> None:
    events: asyncio.Queue[Event] = asyncio.Queue()
    events.put_nowait(ENDING[0])
    record = Record(TURN, tmp_path, None, CancelToken(), no_warning)
    assert await asyncio.wait_for(record.keep(events), 60) == ENDING[:1]


async def test_the_last_event_comes_last_though_the_store_refuses_the_words_before_it_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlm_core.journal.SECONDS_BETWEEN_WRITES", 0)
    events: asyncio.Queue[Event] = asyncio.Queue()
    refusal = WarningEvent(id="6", code="not_stored", text="The disk is full.", **AT)
    loop, ends = asyncio.get_running_loop(), ENDING[3:]

    class FullStore:
        def update_message(self, message_id: str, **values: object) -> None:
            while ends:  # in the meantime
                loop.call_soon_threadsafe(events.put_nowait, ends.pop(0))
            raise StorageError("The disk is full.")

    told: list[str] = []

    def warn(code: str, text: str) -> None:
        if not told:
            events.put_nowait(refusal)
        told.append(text)

    record = Record(TURN, tmp_path, cast(MemoryStore, FullStore()), CancelToken(), warn)
    kept: list[Event] = []
    for event in ENDING[1:3]:
        events.put_nowait(event)
        kept += await record.keep(events)
    while not record.complete:
        kept += await asyncio.wait_for(record.keep(events), 60)
    assert kept == [*ENDING[1:4], refusal, ENDING[4]]
    assert not record.stored

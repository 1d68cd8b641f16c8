"""The line in front of the model, and one answer at a time in each conversation."""

from __future__ import annotations

import asyncio

import httpx

from rlm_core.line import Line, Ticket
from rlm_core.request import MessageRequest
from tests.api.server import RunningApp


async def test_a_user_with_many_questions_lets_others_in() -> None:
    line = Line(2)
    annas = [line.enter("anna") for _ in range(5)]
    ben = line.enter("ben")
    assert [ticket.turn.done() for ticket in annas] == [True, True, False, False, False]
    assert line.ahead(ben) == 1
    assert [line.ahead(ticket) for ticket in annas] == [0, 0, 2, 3, 4]
    line.leave(annas[0])
    assert ben.turn.done()
    assert not annas[2].turn.done()


async def test_equals_come_in_the_order_in_which_they_came() -> None:
    line = Line(1)
    tickets = [line.enter(user) for user in ("anna", "ben", "anna", "ben")]
    order: list[Ticket] = []
    while len(order) < 4:
        working = next(ticket for ticket in tickets if ticket.turn.done() and ticket not in order)
        order.append(working)
        line.leave(working)
    assert order == tickets


async def test_who_leaves_the_line_early_gives_the_place_to_the_next() -> None:
    line = Line(1)
    first, second, third = (line.enter("anna") for _ in range(3))
    moved = asyncio.ensure_future(line.moved())
    await asyncio.sleep(0)
    line.leave(second)
    await moved
    assert line.ahead(third) == 1
    line.leave(first)
    assert third.turn.done()


async def test_one_conversation_is_answered_once_at_a_time(app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=app.url, timeout=60) as client:
        body = {"message": "Tell me a STORY", "conversation_id": "one-at-a-time"}
        codes = [
            reply.status_code
            for reply in await asyncio.gather(*(client.post("/chat", json=body) for _ in range(8)))
        ]
    assert set(codes) <= {200, 409}
    answered = codes.count(200)
    assert answered >= 1
    said = app.store.messages("one-at-a-time")
    assert [message.role for message in said] == ["user", "assistant"] * answered


async def test_who_waits_is_told_how_many_are_before_and_can_leave(app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=app.url, timeout=60) as client:
        jobs = [
            app.in_loop(app.jobs.start(MessageRequest(f"HOLD {number}", incognito=True)))
            for number in range(4)
        ]
        waiting = jobs[3]
        assert (await client.get("/status")).json()["queue"] == {"active": 4, "waiting": 2}
        assert app.jobs.place_in_line(waiting) == 2
        for job in jobs:
            app.loop.call_soon_threadsafe(job.cancel)
            app.in_loop(job.wait())
    told = [event.text for event in waiting.events if event.type == "phase"]  # type: ignore[attr-defined]
    assert "queued: 2 answers have to finish first" in told
    assert waiting.done

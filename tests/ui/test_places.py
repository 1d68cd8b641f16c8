"""A tab keeps its bearings in whatever order its clicks arrive: the real desk, with clicks that come late on purpose."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from rlm_core.engine import RLMEngine
from rlm_core.jobs import Jobs
from rlm_core.settings import Settings
from tests.scripted.ollama_server import ScriptedOllama
from tests.scripted.script import ChatRequest, Reply
from ui import places
from ui.desk import TURNS, Desk
from ui.places import Click, Places
from ui.tab import LostTouch, Tab, View

ME = "local"
At = Callable[[Callable[[Desk], Coroutine[Any, Any, None]]], None]


def says(request: ChatRequest) -> Reply:
    asked = request.last.rpartition("\n\n")[2]  # without what is remembered of earlier conversations
    return Reply("It is so.", hold_after=0 if "hold" in asked else None)


@pytest.fixture
def at_a_desk(tmp_path: Path) -> At:
    """Runs a coroutine with a desk over an own engine."""

    def run(work: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            with ScriptedOllama(says) as server:
                settings = Settings().changed({"backend": "ollama", "base_url": server.url})
                engine = RLMEngine(settings, data_dir=tmp_path / "data")
                jobs = Jobs(engine)
                desk = Desk(engine, jobs)
                try:
                    await work(desk)
                finally:
                    await jobs.close()
                    await desk.close()
                    await engine.close()

        asyncio.run(whole())

    return run


async def drawn(desk: Desk, views: AsyncIterator[View], into: list[View]) -> None:
    """Draw what the tab wants to see, as the page does."""
    async for view in views:
        if desk.places.wants(view):
            into.append(view)


def shown(views: list[View]) -> list[str]:
    """The questions of the conversation that the tab shows in the end."""
    last = next(view.messages for view in reversed(views) if view.messages is not None)
    return [str(message["content"]).partition("\n")[0] for message in last if message["role"] == "user"]


def click(turn: int, session: str = "tab") -> Click:
    return Click(session, ME, turn)


def test_a_question_sent_right_after_new_conversation_is_asked_there_however_slow_that_is(
    at_a_desk: At,
) -> None:
    async def work(desk: Desk) -> None:
        seen: list[View] = []
        await drawn(desk, desk.begin(click(0), None), seen)
        await drawn(desk, desk.ask(click(0), "Is the first one so?", [], "auto"), seen)
        gate = threading.Event()
        desk.incognito.erase = gate.wait  # type: ignore[method-assign, assignment]
        new = asyncio.create_task(drawn(desk, desk.act(click(1), {"action": "new"}), seen))
        await asyncio.sleep(0)
        await drawn(desk, desk.ask(click(1), "Is the second one so?", [], "auto"), seen)
        gate.set()
        await new
        assert shown(seen) == ["Is the second one so?"]
        titles = {item.title for item in desk.conversations(ME)}
        assert titles == {"Is the first one so?", "Is the second one so?"}

    at_a_desk(work)


def test_a_question_that_arrives_before_the_click_on_new_conversation_waits_for_it(at_a_desk: At) -> None:
    async def work(desk: Desk) -> None:
        seen: list[View] = []
        await drawn(desk, desk.begin(click(0), None), seen)
        await drawn(desk, desk.ask(click(0), "Is the first one so?", [], "auto"), seen)
        question = asyncio.create_task(
            drawn(desk, desk.ask(click(1), "Is the second one so?", [], "auto"), seen)
        )
        await asyncio.sleep(0)
        await drawn(desk, desk.act(click(1), {"action": "new"}), seen)
        await question
        assert shown(seen) == ["Is the second one so?"]

    at_a_desk(work)


def test_a_question_sent_just_before_leaving_is_asked_where_it_was_written(at_a_desk: At) -> None:
    async def work(desk: Desk) -> None:
        seen: list[View] = []
        await drawn(desk, desk.begin(click(0), None), seen)
        await drawn(desk, desk.act(click(1), {"action": "new"}), seen)
        await drawn(desk, desk.ask(click(0), "Is the first one so?", [], "auto"), seen)
        assert shown(seen) == []
        assert [item.title for item in desk.conversations(ME)] == ["Is the first one so?"]

    at_a_desk(work)


def test_of_two_conversations_opened_one_after_the_other_the_second_stays_though_the_first_comes_last(
    at_a_desk: At,
) -> None:
    async def work(desk: Desk) -> None:
        seen: list[View] = []
        await drawn(desk, desk.begin(click(0), None), seen)
        await drawn(desk, desk.ask(click(0), "Is the first one so?", [], "auto"), seen)
        await drawn(desk, desk.act(click(1), {"action": "new"}), seen)
        await drawn(desk, desk.ask(click(1), "Is the second one so?", [], "auto"), seen)
        ids = {item.title: item.id for item in desk.conversations(ME)}
        await drawn(desk, desk.act(click(3), {"action": "open", "id": ids["Is the first one so?"]}), seen)
        await drawn(desk, desk.act(click(2), {"action": "open", "id": ids["Is the second one so?"]}), seen)
        assert shown(seen) == ["Is the first one so?"]

    at_a_desk(work)


def test_a_mode_chosen_just_before_sending_is_the_one_that_the_message_box_shows(at_a_desk: At) -> None:
    async def work(desk: Desk) -> None:
        seen: list[View] = []
        await drawn(desk, desk.begin(click(0), None), seen)
        await drawn(desk, desk.ask(click(0), "Is it so?", [], "direct"), seen)
        assert desk.places.now("tab", ME).mode == "direct"
        assert all(view.mode is None for view in seen)  # nothing sets it back

    at_a_desk(work)


def test_a_file_that_is_still_being_read_belongs_to_the_question_sent_meanwhile(
    at_a_desk: At, tmp_path: Path
) -> None:
    note = tmp_path / "note.md"
    note.write_text("# Note\n\nThe heron came back.\n", encoding="utf-8")

    async def work(desk: Desk) -> None:
        seen: list[View] = []
        await drawn(desk, desk.begin(click(0), None), seen)
        gate = threading.Event()
        add = desk.books.add

        def slowly(*arguments: Any) -> Any:
            gate.wait()
            return add(*arguments)

        desk.books.add = slowly  # type: ignore[method-assign]
        attaching = asyncio.create_task(drawn(desk, desk.take(desk.places.now("tab", ME), [note]), seen))
        await asyncio.sleep(0)
        asking = asyncio.create_task(drawn(desk, desk.ask(click(0), "Who came?", [note], "auto"), seen))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(attaching, asking)
        (conversation,) = desk.conversations(ME)
        question = desk.engine.store.messages(conversation.id)[0]
        assert len(question.metadata["documents"]) == 1

    at_a_desk(work)


def test_a_click_from_a_page_that_nobody_knows_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.01)
    with pytest.raises(LostTouch, match="Reload it"):
        asyncio.run(Places().at(click(3)))


def test_nobody_sees_or_changes_another_users_tab() -> None:
    known = Places()
    known.keep(Tab("tab", "anna", conversation_id="c1"))
    assert known.now("tab", "ben").conversation_id is None
    turned = known.turn(Click("tab", "ben", 1))
    assert turned is not None
    assert turned.conversation_id is None


def test_after_an_answer_in_the_making_was_left_the_new_page_is_drawn_twice_and_can_be_used_meanwhile(
    at_a_desk: At,
) -> None:
    """What the browser still has to draw of the answer can come after the first time."""

    async def follow_until_it_grows(views: AsyncIterator[View]) -> str:
        async for view in views:
            if view.running:
                return str(view.tab.conversation_id)
        raise AssertionError("There is no answer in the making.")

    async def work(desk: Desk) -> None:
        seen: list[View] = []
        await drawn(desk, desk.begin(click(0), None), seen)
        growing = await follow_until_it_grows(desk.ask(click(0), "Will it hold?", [], "auto"))
        seen.clear()
        await drawn(desk, desk.act(click(1), {"action": "new"}), seen)
        assert [(view.messages, view.running) for view in seen] == [([], False)] * 2

        await follow_until_it_grows(desk.act(click(2), {"action": "open", "id": growing}))
        seen.clear()
        turning = asyncio.create_task(drawn(desk, desk.act(click(3), {"action": "new"}), seen))
        await drawn(desk, desk.ask(click(3), "Is it so?", [], "auto"), seen)
        await turning
        assert shown(seen) == ["Is it so?"]

    at_a_desk(work)


def test_only_the_newest_follower_of_the_page_in_view_draws() -> None:
    known = Places()
    tab = known.keep(Tab("tab", ME))
    first, second = known.follow(tab), known.follow(tab)
    assert not known.wants(View(tab, first))
    assert known.wants(View(tab, second))
    known.turn(click(1))
    assert not known.wants(View(tab, second))
    assert not known.wants(View(tab))


def test_page_and_script_agree_on_which_actions_turn_the_page() -> None:
    script = (Path(places.__file__).parent / "page.js").read_text(encoding="utf-8")
    listed = re.search(r"const turning = new Set\(\[(.*?)\]\)", script)
    assert listed is not None
    assert set(re.findall(r'"(\w+)"', listed[1])) == TURNS

"""Nothing that was said is lost: reload, kill -9, Stop, a model server that goes away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.house import App
from tests.browser.model import reply
from tests.browser.visitor import Visitor
from tests.scripted.ollama_server import ScriptedOllama

BALLAD = "Sing me the long ballad of the harbour."


@pytest.fixture
def own_app(tmp_path: Path, ollama: ScriptedOllama) -> Iterator[App]:
    running = App(tmp_path / "data", "--backend", "ollama", "--base-url", ollama.url).start()
    yield running
    running.stop()


def paragraphs(visitor: Visitor) -> Locator:
    """Those of the answers. (What is remembered of earlier conversations stands in lists.)"""
    return visitor.chat.locator(".bot-row p")


def verse(visitor: Visitor) -> int:
    """The last verse of the ballad that an answer shows."""
    text = "\n".join(paragraphs(visitor).all_inner_texts())
    return max((int(number) for number in re.findall(r"Verse (\d+)\.", text)), default=0)


def grows_beyond(visitor: Visitor, number: int) -> None:
    expect(paragraphs(visitor).filter(has_text=f"Verse {number + 1}.").first).to_be_visible(timeout=30_000)


def test_after_a_reload_in_mid_answer_it_is_still_growing(visitor: Visitor) -> None:
    visitor.say(BALLAD)
    grows_beyond(visitor, 1)
    visitor.reload()
    expect(visitor.chat).to_contain_text(BALLAD)
    grows_beyond(visitor, max(1, verse(visitor)) + 1)
    visitor.page.keyboard.press("Escape")
    expect(visitor.last_foot).to_be_visible()


def test_a_second_tab_follows_the_same_answer(app: App, visit: Callable[..., Visitor]) -> None:
    first = visit(app)
    first.say(BALLAD)
    grows_beyond(first, 1)
    expect(first.page).to_have_url(re.compile(r"\?c="))
    second = visit(app, "/" + first.page.url.rpartition("/")[2])
    grows_beyond(second, verse(first))
    second.page.locator("#message-box .stop-button").click()
    expect(first.last_foot).to_contain_text("Partial answer")
    expect(second.last_foot).to_contain_text("Partial answer")


def test_stop_ends_the_stream_at_the_server_and_keeps_what_was_said(
    visitor: Visitor, ollama: ScriptedOllama
) -> None:
    aborted = ollama.aborted
    visitor.say(BALLAD)
    grows_beyond(visitor, 1)
    visitor.page.keyboard.press("Escape")
    expect(visitor.last_foot).to_contain_text("Partial answer. Stopped")
    ollama.wait_until(lambda: ollama.aborted == aborted + 1)
    expect(paragraphs(visitor).filter(has_text="Verse 2.").first).to_be_visible()
    visitor.ask("Hello again.")
    expect(visitor.chat).to_contain_text("one short sentence")


def test_after_kill_9_in_mid_answer_question_and_partial_answer_are_there_marked_interrupted(
    own_app: App, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(own_app)
    visitor.say(BALLAD)
    grows_beyond(visitor, 2)
    address = visitor.page.url
    own_app.kill()
    visitor.complaints.clear()  # the page that lost its server complains about it, and may
    visitor.page.goto("about:blank")
    own_app.start()
    visitor.complaints.clear()
    visitor.page.goto(address)
    visitor.settled()
    expect(visitor.chat).to_contain_text(BALLAD)
    expect(paragraphs(visitor).first).to_contain_text("Verse 1.")
    expect(visitor.last_foot).to_contain_text("Interrupted")
    visitor.ask("Hello again.")
    expect(visitor.chat).to_contain_text("one short sentence")


def test_a_server_that_breaks_off_leaves_the_partial_answer_with_the_reason(visitor: Visitor) -> None:
    visitor.ask("Please break off in the middle.")
    expect(paragraphs(visitor).first).to_contain_text("Verse 1.")
    expect(visitor.last_foot).to_contain_text("Partial answer")
    visitor.ask("Hello again.")
    expect(visitor.chat).to_contain_text("one short sentence")


def test_without_ollama_the_page_says_what_to_do_and_the_next_message_works(
    tmp_path: Path, visit: Callable[..., Visitor]
) -> None:
    server = ScriptedOllama(reply).start()
    app = App(tmp_path / "data", "--backend", "ollama", "--base-url", server.url).start()
    try:
        visitor = visit(app)
        visitor.ask("Hello there.")
        server.stop()
        visitor.ask("And now?")
        expect(visitor.last_foot).to_contain_text("ollama serve")
        visitor.go("Settings")
        visitor.page.locator("#pull textarea, #pull input").first.fill("phi4:14b")
        visitor.page.get_by_role("button", name="Download").click()
        expect(visitor.page.locator("#pull-progress")).to_contain_text("Ollama does not answer")
        visitor.go("Chat")
        with ScriptedOllama(reply, port=int(server.url.rpartition(":")[2])):
            visitor.ask("Are you back?")
            expect(visitor.chat.locator(".bot-row").last).to_contain_text("Answered directly")
    finally:
        app.stop()


def test_the_app_ends_cleanly_and_removes_its_note(tmp_path: Path, ollama: ScriptedOllama) -> None:
    app = App(tmp_path / "data", "--backend", "ollama", "--base-url", ollama.url).start()
    note = app.folder / "app.json"
    assert str(app.port) in note.read_text(encoding="utf-8")
    assert app.stop() == 0
    assert not note.exists()

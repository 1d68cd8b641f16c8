"""A LocalRLM of its own: Ollama is installed and not running, a model is missing, and there is one very long conversation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.house import PROJECT, App, free_port
from tests.browser.smoothness import fill
from tests.browser.visitor import Visitor

OLLAMA = f"""#!{sys.executable}
import os, sys, threading
sys.path.insert(0, {str(PROJECT)!r})
from tests.browser.model import reply
from tests.scripted.ollama_server import ScriptedOllama

port = int(os.environ["OLLAMA_HOST"].rpartition(":")[2])
ScriptedOllama(reply, port=port, hold_pull_at=1).start()
threading.Event().wait()
"""
"""A stand-in for the program; its first download goes on until it is cancelled."""


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    home = tmp_path_factory.mktemp("own-house")
    program = home / "bin" / "ollama"
    program.parent.mkdir()
    program.write_text(OLLAMA, encoding="utf-8")
    program.chmod(0o755)
    fill(home / "data", 200)
    address = f"http://127.0.0.1:{free_port()}"
    app = App(
        home / "data",
        "--backend",
        "ollama",
        "--base-url",
        address,
        "--model",
        "gemma3:4b",
        path=program.parent,
    ).start()
    yield app
    app.stop()


def test_the_first_page_starts_ollama_and_downloads_the_missing_model_and_settings_stop_it_again(
    own_house: App, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(own_house)
    page, welcome = visitor.page, visitor.chat.locator(".welcome")
    start, stop = (
        page.get_by_role("button", name="Start Ollama"),
        page.get_by_role("button", name="Stop Ollama"),
    )
    expect(welcome).to_contain_text("does not answer")
    welcome.get_by_text("Start Ollama").click()
    expect(page.locator("#backend")).to_contain_text("Ollama 0.21.0 answers", timeout=40_000)
    expect(stop).to_be_visible()
    expect(page.locator("#start-ollama")).to_be_hidden()

    visitor.go("Chat")
    welcome.get_by_text("Download gemma3:4b").click()
    cancel = page.get_by_role("button", name="Cancel")
    expect(page.locator("#pull-progress progress")).to_be_visible(timeout=20_000)
    cancel.click()
    expect(page.locator("#pull-progress")).to_contain_text("The download is stopped")
    expect(cancel).to_be_hidden()
    page.locator("#models .notice").get_by_text("Download gemma3:4b").click()
    expect(page.locator("#pull-progress")).to_contain_text("gemma3:4b is installed.", timeout=20_000)
    expect(page.locator("#models .notice")).to_have_count(0)
    visitor.go("Chat")
    visitor.ask("Hello there.")

    visitor.go("Settings")
    stop.click()
    expect(page.locator("#backend .dot.bad")).to_be_visible(timeout=40_000)
    expect(stop).to_be_hidden()
    expect(start.first).to_be_visible()


def test_a_long_conversation_is_gone_back_in_step_by_step_and_the_place_is_kept(
    own_house: App, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(own_house, "/?c=long")
    questions = visitor.chat.locator(".user-row")
    edge = visitor.chat.locator(".user-row", has_text="Question 70:")
    expect(questions).to_have_count(30)
    visitor.chat.get_by_text("Show 60 earlier messages (of 140)").click()
    expect(questions).to_have_count(60)
    expect(edge).to_be_in_viewport()
    visitor.chat.get_by_text("Show 60 earlier messages (of 80)").click()
    expect(questions.first).to_contain_text("Question 10:")
    expect(visitor.chat.get_by_text("Show 60 later messages")).to_have_count(1)
    expect(questions).to_have_count(60)
    visitor.chat.get_by_text("Show 60 later messages").click()
    expect(questions.last).to_contain_text("Question 99:")

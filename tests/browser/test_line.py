"""More questions than are answered at once: each that waits says how many are before it, and moves up."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.browser.house import App
from tests.browser.visitor import Visitor
from tests.scripted.ollama_server import ScriptedOllama

ASKED = re.compile("loading|reading")
"""What the line says when the turn has come and the model has the question."""


def phase(visitor: Visitor) -> Locator:
    return visitor.page.locator("#phase .phase")


def stop(visitor: Visitor) -> None:
    visitor.page.locator("#message-box .stop-button").click()
    expect(visitor.last_foot).to_contain_text("Stopped")


def test_who_waits_in_line_sees_their_place_moves_up_and_can_leave(
    visit: Callable[..., Visitor], tmp_path: Path, ollama: ScriptedOllama
) -> None:
    app = App(tmp_path / "data", "--backend", "ollama", "--base-url", ollama.url).start()
    try:
        first, second, third, fourth, fifth = (visit(app) for _ in range(5))
        for visitor in (first, second):
            visitor.say("Please hold the line.")
            expect(phase(visitor)).to_contain_text(ASKED)
        for visitor, before in (
            (third, "1 answer has"),
            (fourth, "2 answers have"),
            (fifth, "3 answers have"),
        ):
            visitor.say("Please hold the line.")
            expect(phase(visitor)).to_contain_text(f"queued: {before} to finish first")
        stop(fourth)
        expect(phase(fifth)).to_contain_text("queued: 2 answers have to finish first")
        stop(first)
        expect(phase(third)).to_contain_text(ASKED)
        expect(phase(fifth)).to_contain_text("queued: 1 answer has to finish first")
        fifth.reload()
        expect(phase(fifth)).to_contain_text("queued: 1 answer has to finish first")
        for visitor in (second, third, fifth):
            stop(visitor)
    finally:
        app.stop()

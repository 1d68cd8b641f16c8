"""How smoothly a long conversation streams: the time between two frames of the browser while an answer grows.

python -m tests.browser.smoothness [MESSAGES]     # default 500

The conversation is put into the store beforehand. An answer of some seconds is streamed into it (about 18 pictures a second)
while `requestAnimationFrame` notes when each frame is drawn. At 60 frames a second a frame takes 16.7 ms.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from memory_store import MemoryStore
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.house import App
from tests.browser.model import reply
from tests.browser.visitor import Visitor
from tests.scripted.ollama_server import ScriptedOllama

ANSWER = (
    "Here is what I found:\n\n- the first lamp, **lit** at dusk\n- the second, which smokes\n\n"
    "```python\nprint(sum(range(10)))\n```\n\nThe keeper wrote all of this down, and the ledger agrees with it."
)
WATCH = """() => { const frames = window.frames = []; let last = performance.now();
    const tick = (now) => { frames.push(now - last); last = now; if (frames === window.frames) requestAnimationFrame(tick); };
    requestAnimationFrame(tick); }"""
SECONDS = 5
SINGING = """() => new Promise((done) => { const watch = setInterval(() => {
    const rows = [...document.querySelectorAll("#chat .bot-row")].slice(-3);
    if (rows.some((row) => row.textContent.includes("Verse 1.")) && document.querySelector("#message-box .stop-button")) {
        clearInterval(watch); done();
    }
}, 200); })"""
"""In the page and seldom: the polling of Playwright would itself cost more than what is measured."""


def fill(folder: Path, messages: int) -> None:
    store = MemoryStore(folder)
    for number in range(messages // 2):
        store.add_message("long", "user", f"Question {number}: what about lamp {number}?")
        store.add_message("long", "assistant", f"Answer {number}. {ANSWER}")
    store.rename_conversation("long", "A long conversation")
    store.close()


def stream(visitor: Visitor, name: str) -> None:
    """Print the frames of some seconds of a streamed answer."""
    visitor.say("Sing me the ballad of the harbour.")
    visitor.page.evaluate(SINGING)
    visitor.page.evaluate(WATCH)
    visitor.page.wait_for_timeout(SECONDS * 1000)
    frames = sorted(visitor.page.evaluate("window.frames"))
    visitor.page.keyboard.press("Escape")
    expect(visitor.last_foot).to_contain_text("Stopped")
    p95 = frames[int(len(frames) * 0.95)]
    print(
        f"{name}: {len(frames)} frames, median {statistics.median(frames):.0f} ms, p95 {p95:.0f} ms, longest {frames[-1]:.0f} ms"
    )


def main(messages: int) -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        ScriptedOllama(reply) as ollama,
        sync_playwright() as playwright,
    ):
        folder = Path(home) / "data"
        fill(folder, messages)
        app = App(folder, "--backend", "ollama", "--base-url", ollama.url).start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            stream(Visitor(page, app.url).open(), "an empty conversation")
            page.close()
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            visitor = Visitor(page, app.url).open("/?c=long")
            expect(visitor.chat.locator(".do-chat-edit")).to_have_count(30)
            stream(visitor, f"{messages} messages, the newest shown")
            while (more := visitor.chat.locator(".do-chat-earlier")).count():
                first = visitor.chat.locator(".user-row").first.inner_text()
                page.evaluate(WATCH)
                more.click()
                expect(visitor.chat.locator(".user-row").first).not_to_have_text(first)
                page.wait_for_timeout(600)
                frames = sorted(page.evaluate("window.frames"))
                shown = visitor.chat.locator(".user-row").count()
                print(f"a step back: {shown} questions on the page, longest frame {frames[-1]:.0f} ms")
            stream(visitor, "from the beginning of the conversation")
        finally:
            browser.close()
            app.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)

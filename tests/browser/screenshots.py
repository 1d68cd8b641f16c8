"""Pictures of every tab, empty and full, wide and on a phone, dark and light:

python -m tests.browser.screenshots [FOLDER]      # default docs/screenshots
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.house import PROJECT, App
from tests.browser.model import reply
from tests.browser.visitor import Visitor
from tests.scripted.ollama_server import ScriptedOllama

SAMPLES = PROJECT / "sample_docs"
SIZES = {"": (1400, 900), "-390": (390, 844)}
THEMES = {"": "dark", "-light": "light"}
READY = {
    "Chat": "#chat .foot .route",
    "Upload": "#shelf table",
    "Trace": "#tree .node",
    "Settings": "#models table",
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        ScriptedOllama(reply) as ollama,
        sync_playwright() as playwright,
    ):
        app = App(Path(home) / "data", "--backend", "ollama", "--base-url", ollama.url).start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            each(browser, app, folder, empty=True)
            path = fill(Visitor(browser.new_page(viewport={"width": 1400, "height": 900}), app.url))
            each(browser, app, folder, path=path)
        finally:
            browser.close()
            app.stop()


def fill(visitor: Visitor) -> str:
    """Some conversations; returns the address of the one to show."""
    visitor.open()
    visitor.ask("Compare the two ways of answering: compare the two.")
    visitor.page.locator("#new-chat").click()
    expect(visitor.chat.locator(".welcome")).to_be_visible()
    visitor.ask("Which suppliers deliver within 5 working days or fewer?", [SAMPLES / "handbook.md"])
    visitor.page.locator("#new-chat").click()
    expect(visitor.chat.locator(".welcome")).to_be_visible()
    visitor.ask(
        "What is the budget for the new motor for the revolving stage?", [SAMPLES / "meeting_notes.txt"]
    )
    address = "/" + visitor.page.url.rpartition("/")[2]
    visitor.page.close()
    return address


def each(browser: Browser, app: App, folder: Path, *, path: str = "/", empty: bool = False) -> None:
    for size, (width, height) in SIZES.items():
        for suffix, theme in THEMES.items():
            context = browser.new_context(viewport={"width": width, "height": height})
            context.add_init_script(f"localStorage.setItem('localrlm-theme', '{theme}')")
            visitor = Visitor(context.new_page(), app.url).open(path)
            if empty:
                expect(visitor.chat.locator(".welcome")).to_be_visible()
                visitor.page.wait_for_timeout(600)
                visitor.page.screenshot(path=folder / f"first{size}{suffix}.png")
            else:
                for tab, ready in READY.items():
                    visitor.go(tab)
                    expect(visitor.page.locator(ready).first).to_be_visible(timeout=15_000)
                    if tab == "Chat":
                        visitor.chat.locator(".fold.all > summary").last.click()
                    visitor.page.wait_for_timeout(900)  # transitions
                    visitor.page.screenshot(path=folder / f"{tab.lower()}{size}{suffix}.png")
                visitor.go("Chat")
                source = visitor.chat.locator(".source").first
                if source.count():
                    source.click()
                    expect(visitor.page.locator(".passage")).to_be_visible()
                    visitor.page.wait_for_timeout(300)
                    visitor.page.screenshot(path=folder / f"source{size}{suffix}.png")
            context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "docs" / "screenshots")

"""What a person does at the page, in words. Every wait is for something that becomes visible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

ANSWER_SECONDS = 60_000
expect.set_options(timeout=15_000)  # a busy machine is slow, not wrong
_OF_LEAVING = re.compile("AbortError|connection errored out|Failed to fetch|network error", re.IGNORECASE)


class Visitor:
    """A person in front of one browser tab. `complaints` collects what must never happen on the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"script error: {error}"))
        page.on("request", lambda request: self._request(request.url))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation',"
            " event => console.error('CSP violation: ' + event.violatedDirective + ' ' + event.blockedURI))"
        )

    def open(self, path: str = "/") -> Visitor:
        self.page.goto(self.url + path)
        return self.settled()

    def reload(self) -> Visitor:
        """Press F5. (Gradio's script complains about the stream that the reload itself breaks off.)"""
        before = len(self.complaints)
        self.page.reload()
        self.complaints[before:] = [text for text in self.complaints[before:] if not _OF_LEAVING.search(text)]
        return self.settled()

    def settled(self) -> Visitor:
        """Until the page has drawn itself and its list of conversations has come."""
        expect(self.box).to_be_visible(timeout=20_000)
        expect(self.page.locator("#brand .status")).to_be_visible(timeout=20_000)
        expect(self.page.locator("#conversations .empty, #conversations nav").first).to_be_attached(
            timeout=20_000
        )
        return self

    @property
    def box(self) -> Locator:
        return self.page.locator("#message-box textarea")

    @property
    def chat(self) -> Locator:
        return self.page.locator("#chat")

    @property
    def last_foot(self) -> Locator:
        """The line under the newest answer; it is there once the answer is finished."""
        return self.chat.locator(".foot:not(.user)").last

    def attach(self, *files: Path) -> None:
        self.page.set_input_files("#message-box input[type=file]", [str(file) for file in files])
        for file in files:
            expect(self.page.locator("#attached", has_text=file.name)).to_be_visible(timeout=20_000)

    def say(self, text: str) -> None:
        """Type and press Enter."""
        self.box.fill(text)
        self.box.press("Enter")

    def ask(self, text: str, files: Sequence[Path] = ()) -> str:
        """Ask and wait until the answer is finished; returns everything that the chat then shows."""
        feet = self.chat.locator(".foot:not(.user)").count()
        if files:
            self.attach(*files)
        self.say(text)
        expect(self.chat.locator(".foot:not(.user)")).to_have_count(feet + 1, timeout=ANSWER_SECONDS)
        return self.chat.inner_text()

    def go(self, tab: str) -> None:
        self.page.locator("#tabs > .tab-wrapper").get_by_role("tab", name=tab, exact=True).click()

    def menu(self, title: str, action: str) -> None:
        """An action from the menu of a conversation in the sidebar."""
        entry = self.page.locator("#conversations li", has_text=title).first
        entry.locator("summary").click()
        entry.locator(".menu-items").get_by_text(action).click()

    def _console(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(f"console error: {text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.url, self.url.replace("http", "ws", 1), "data:", "blob:", "about:")):
            self.complaints.append(f"request to {url}")

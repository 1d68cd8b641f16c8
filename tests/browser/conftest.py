"""One Chromium, one scripted Ollama and one running app for most tests; each test gets a fresh browser profile."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.house import App
from tests.browser.model import reply
from tests.browser.visitor import Visitor
from tests.scripted.ollama_server import ScriptedOllama

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def ollama() -> Iterator[ScriptedOllama]:
    with ScriptedOllama(reply) as server:
        yield server


@pytest.fixture(scope="session")
def app(ollama: ScriptedOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = App(
        tmp_path_factory.mktemp("house") / "data", "--backend", "ollama", "--base-url", ollama.url
    ).start()
    yield running
    running.stop()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Opens a tab of its own on an app. At the end, nothing that must never happen may have happened in any of them."""
    visitors: list[Visitor] = []
    with contextlib.ExitStack() as contexts:

        def come(app: App, path: str = "/", *, width: int = 1400, height: int = 900) -> Visitor:
            context = contexts.enter_context(browser.new_context(viewport={"width": width, "height": height}))
            visitors.append(Visitor(context.new_page(), app.url))
            return visitors[-1].open(path)

        yield come
        complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    assert complaints == []


@pytest.fixture
def visitor(app: App, visit: Callable[..., Visitor]) -> Visitor:
    """A person at the shared app."""
    return visit(app)


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of more than 60,000 tokens with one planted fact."""
    lines = [
        f"Entry {number}. The keeper of lamp {number} oils the hinges and writes {number * 37 % 1000} in the ledger."
        for number in range(1, 3001)
    ]
    lines[1777] += " The secret password of the lighthouse vault is MARIGOLD-4471."
    file = tmp_path_factory.mktemp("texts") / "ledger.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file

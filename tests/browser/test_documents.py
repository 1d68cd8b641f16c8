"""Documents beyond one chat: used in all chats, counted the same everywhere, gone with an incognito conversation."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.house import App
from tests.browser.visitor import Visitor
from tests.scripted.ollama_server import ScriptedOllama


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    file = tmp_path / "diary.md"
    file.write_text("# Diary\n\nOn Monday the heron came back to the pond.\n", encoding="utf-8")
    return file


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret.md"
    file.write_text("# Secret\n\nThe bittern breeds behind the mill.\n", encoding="utf-8")
    return file


def names(app: App) -> str:
    """What the HTTP interface says about the documents of this installation."""
    return app.get("/documents")


def test_a_document_used_in_all_chats_is_there_in_a_new_conversation_until_it_is_switched_off(
    app: App, visit: Callable[..., Visitor], diary: Path
) -> None:
    visitor = visit(app)
    visitor.attach(diary)
    visitor.go("Upload")
    row = visitor.page.locator("#shelf tr", has_text="diary.md")
    row.get_by_text("In all chats").click()
    expect(row.get_by_text("In all chats ✓")).to_be_visible()
    attached = visitor.page.locator("#attached")
    other = visit(app)
    expect(other.page.locator("#attached")).to_contain_text("diary.md")
    row.get_by_text("In all chats ✓").click()
    expect(row.get_by_text("In all chats ✓")).to_have_count(0)
    visitor.page.locator("#new-chat").click()
    visitor.go("Chat")
    expect(attached).not_to_contain_text("diary.md")


def test_a_copy_under_another_name_is_shown_by_its_own_name_and_by_the_one_that_sources_give(
    visitor: Visitor, tmp_path: Path
) -> None:
    text = "# Waders\n\nOn Monday the heron came back to the pond, said the ferryman.\n"
    first, copy = tmp_path / "waders.md", tmp_path / "copy.md"
    first.write_text(text, encoding="utf-8")
    copy.write_text(text, encoding="utf-8")
    chip = visitor.page.locator("#attached .chip")
    visitor.attach(first)
    expect(chip).to_have_text("waders.md×")
    visitor.page.locator("#new-chat").click()
    expect(chip).to_have_count(0)
    visitor.attach(copy)
    expect(chip).to_have_text("copy.md known as waders.md×")
    visitor.ask("Please quote the diary.")
    expect(visitor.last_foot.locator(".source").first).to_contain_text("waders.md")
    expect(chip).to_have_text("copy.md known as waders.md×")
    visitor.go("Upload")
    visitor.page.set_input_files("#drop input[type=file]", [str(copy)])
    line = visitor.page.locator("#uploads li")
    expect(line).to_contain_text("known as waders.md, which has the same content", timeout=20_000)
    visitor.page.locator("#conversations .entry.current").click()
    expect(chip).to_have_text("waders.md×")


def test_upload_meter_route_and_the_http_interface_name_the_same_number_of_tokens(
    app: App, visitor: Visitor, ledger: Path
) -> None:
    visitor.attach(ledger)
    meter = visitor.page.locator("#meter").inner_text()
    counted = re.search(r"documents ([\d,]+)", meter)
    assert counted, meter
    visitor.ask("What is the secret password of the lighthouse vault?")
    route = visitor.last_foot.locator(".route").inner_text()
    told = re.search(r"about ([\d,]+) tokens", route)
    assert told, route
    a, b = (int(found.group(1).replace(",", "")) for found in (counted, told))
    assert abs(a - b) <= 0.001 * b, (meter, route)
    visitor.go("Upload")
    expect(visitor.page.locator("#shelf tr", has_text="ledger.txt")).to_contain_text(counted.group(1))
    assert f'"tokens_estimate":{a},' in names(app)


def test_an_incognito_conversation_and_its_documents_are_gone_once_it_is_left(
    app: App, visit: Callable[..., Visitor], secret: Path
) -> None:
    visitor = visit(app)
    visitor.page.locator("#incognito").click()
    expect(visitor.page.locator("#attached")).to_contain_text("this conversation is not stored")
    visitor.ask("Which bird is behind the mill?", [secret])
    assert "secret.md" in names(app)
    visitor.ask("And who are you?")
    expect(visitor.page.locator("#conversations")).not_to_contain_text("Which bird is behind")
    assert "Which bird is behind" not in app.get("/conversations")
    visitor.go("Upload")
    expect(visitor.page.locator("#shelf tr", has_text="secret.md")).to_contain_text("incognito")
    visitor.page.locator("#new-chat").click()
    visitor.go("Chat")
    expect(visitor.chat.locator(".welcome")).to_be_visible()
    expect(visitor.page.locator("#attached .chip")).to_have_count(0)
    assert "secret.md" not in names(app)
    assert not list((app.folder / "uploads").rglob("secret.md"))


def test_an_incognito_document_does_not_outlive_a_crash(
    visit: Callable[..., Visitor], tmp_path: Path, ollama: ScriptedOllama, secret: Path
) -> None:
    app = App(tmp_path / "data", "--backend", "ollama", "--base-url", ollama.url).start()
    try:
        visitor = visit(app)
        visitor.page.locator("#incognito").click()
        expect(visitor.page.locator("#attached")).to_contain_text("this conversation is not stored")
        visitor.attach(secret)
        assert "secret.md" in names(app)
        visitor.page.goto("about:blank")
        app.kill()
        app.start()
        assert "secret.md" not in names(app)
        assert not list((app.folder / "uploads").rglob("secret.md"))
    finally:
        app.stop()

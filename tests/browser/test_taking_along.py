"""What a person takes along and brings back: a trace as a file, and everything that is in a LocalRLM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from playwright.sync_api import expect

from tests.browser.house import App
from tests.browser.visitor import Visitor
from tests.scripted.ollama_server import ScriptedOllama

QUESTION = "What is the secret password of the lighthouse vault?"


def download(visitor: Visitor, link: str, into: Path) -> Path:
    with visitor.page.expect_download() as coming:
        visitor.page.get_by_text(link, exact=True).click()
    coming.value.save_as(into)
    return into


def upload(visitor: Visitor, button: str, file: Path) -> None:
    with visitor.page.expect_file_chooser() as chooser:
        visitor.page.get_by_role("button", name=button).click()
    chooser.value.set_files(str(file))


def test_a_trace_is_saved_replayed_and_opened_again_from_its_file(
    visitor: Visitor, ledger: Path, tmp_path: Path
) -> None:
    visitor.ask(QUESTION, [ledger])
    visitor.go("Trace")
    nodes = visitor.page.locator("#tree .node")
    expect(nodes.first).to_be_visible()
    expect(visitor.page.locator("#downloads")).to_contain_text("Trace as JSONL")
    complete = nodes.count()
    totals = visitor.page.locator("#totals .totals")
    figures = totals.inner_text()
    table = pd.read_csv(download(visitor, "Table as CSV", tmp_path / "trace.csv"))
    assert len(table) >= 3
    file = download(visitor, "Trace as JSONL", tmp_path / "trace.jsonl")

    visitor.page.get_by_role("button", name="Replay").click()
    expect(visitor.page.locator("#downloads .item")).to_have_count(0)  # while it grows again
    expect(visitor.page.locator("#downloads .item").first).to_be_visible(timeout=30_000)
    expect(nodes).to_have_count(complete)

    visitor.page.locator("#new-chat").click()
    expect(visitor.chat.locator(".welcome")).to_be_visible()
    visitor.go("Trace")
    upload(visitor, "Open a saved trace", file)
    expect(visitor.page.locator("#answers input")).to_have_value("The trace that you opened")
    expect(nodes).to_have_count(complete)
    assert totals.inner_text() == figures


def test_a_file_that_is_no_trace_is_refused_in_words(visitor: Visitor, tmp_path: Path) -> None:
    file = tmp_path / "shopping.jsonl"
    file.write_text("milk and eggs", encoding="utf-8")
    visitor.go("Trace")
    upload(visitor, "Open a saved trace", file)
    expect(visitor.page.get_by_text("shopping.jsonl is not a saved trace.")).to_be_visible()


def test_everything_moves_to_another_localrlm_by_export_and_import(
    visit: Callable[..., Visitor], tmp_path: Path, ollama: ScriptedOllama
) -> None:
    note = tmp_path / "orchard.md"
    note.write_text("# Orchard\n\nThe quince stands by the wall.\n", encoding="utf-8")
    app = App(tmp_path / "old", "--backend", "ollama", "--base-url", ollama.url).start()
    try:
        old = visit(app)
        old.ask("Where does the quince stand?", [note])
        old.go("Settings")
        export = download(old, "Export everything", tmp_path / "localrlm.zip")
        old.page.goto("about:blank")
    finally:
        app.stop()
    app = App(tmp_path / "new", "--backend", "ollama", "--base-url", ollama.url).start()
    try:
        new = visit(app)
        expect(new.page.locator("#conversations")).not_to_contain_text("quince")
        new.go("Settings")
        upload(new, "Import an export", export)
        expect(new.page.locator("#store")).to_contain_text("1 conversation, 2 messages, 1 document")
        new.reload()
        new.page.locator("#conversations").get_by_text("Where does the quince stand?").click()
        expect(new.last_foot).to_be_visible()
        expect(new.page.locator("#attached")).to_contain_text("orchard.md")
    finally:
        app.stop()


def test_erase_everything_leaves_neither_conversations_nor_uploaded_files(
    visit: Callable[..., Visitor], tmp_path: Path, ollama: ScriptedOllama
) -> None:
    note = tmp_path / "orchard.md"
    note.write_text("# Orchard\n\nThe quince stands by the wall.\n", encoding="utf-8")
    app = App(tmp_path / "data", "--backend", "ollama", "--base-url", ollama.url).start()
    try:
        visitor = visit(app)
        visitor.ask("Where does the quince stand?", [note])
        visitor.go("Settings")
        visitor.page.once("dialog", lambda dialog: dialog.accept())
        visitor.page.get_by_text("Erase everything", exact=True).click()
        expect(visitor.page.locator("#store")).to_contain_text("0 conversations, 0 messages, 0 documents")
        assert not list((app.folder / "uploads").rglob("*.md"))
        visitor.reload()
        expect(visitor.page.locator("#conversations")).not_to_contain_text("quince")
        visitor.page.locator("#new-chat").click()
        visitor.go("Chat")
        visitor.ask("Where does the quince stand now?", [note])
    finally:
        app.stop()

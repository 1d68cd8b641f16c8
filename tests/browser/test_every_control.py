"""The controls that no other test here touches: dropping and pasting, the keyboard, folders, the Trace tab, the models."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import JSHandle, Locator, Page, expect

from tests.browser.house import App
from tests.browser.visitor import Visitor

FILE = """([name, text]) => {
    const carried = new DataTransfer();
    carried.items.add(new File([text], name, {type: "text/markdown"}));
    return carried;
}"""


def carried(page: Page, name: str, text: str) -> JSHandle:
    """A file as it hangs on the mouse pointer."""
    return page.evaluate_handle(FILE, [name, text])


def drop(place: Locator, name: str, text: str) -> None:
    """Let go of a file over a place of the page."""
    for event in ("dragenter", "dragover", "drop"):
        place.dispatch_event(event, {"dataTransfer": carried(place.page, name, text)})


def test_a_file_dropped_on_the_message_box_or_anywhere_on_the_chat_is_attached(visitor: Visitor) -> None:
    attached = visitor.page.locator("#attached")
    drop(visitor.page.locator("#message-box textarea"), "wren.md", "# Wren\n\nThe wren nests in the ivy.\n")
    expect(attached).to_contain_text("wren.md")
    drop(visitor.chat, "robin.md", "# Robin\n\nThe robin nests in the kettle.\n")
    expect(attached).to_contain_text("robin.md")
    attached.get_by_label("Do not use wren.md").click()
    expect(attached).not_to_contain_text("wren.md")


def test_a_file_dropped_on_upload_is_stored_and_used_in_this_chat_until_it_is_switched_off(
    visitor: Visitor,
) -> None:
    visitor.go("Upload")
    drop(visitor.page.locator("#drop button").first, "linnet.md", "# Linnet\n\nThe linnet sings.\n")
    expect(visitor.page.locator("#uploads li")).to_contain_text("stored and searchable", timeout=20_000)
    row = visitor.page.locator("#shelf tr", has_text="linnet.md")
    row.get_by_text("In this chat ✓").click()
    expect(row.get_by_text("In this chat ✓")).to_have_count(0)
    visitor.go("Chat")
    expect(visitor.page.locator("#attached .chip")).to_have_count(0)


def test_a_folder_is_taken_in_with_all_its_files(visitor: Visitor, tmp_path: Path) -> None:
    folder = tmp_path / "birds"
    folder.mkdir()
    for name in ("dunnock.md", "siskin.md"):
        (folder / name).write_text(f"# {name}\n\nIt is a small bird.\n", encoding="utf-8")
    visitor.go("Upload")
    with visitor.page.expect_file_chooser() as chooser:
        visitor.page.get_by_role("button", name="Add a folder").click()
    chooser.value.set_files(str(folder))
    expect(visitor.page.locator("#uploads li.good")).to_have_count(2, timeout=20_000)
    expect(visitor.page.locator("#shelf")).to_contain_text("siskin.md")


def test_a_very_long_paste_becomes_a_document_and_shift_enter_a_second_line(visitor: Visitor) -> None:
    visitor.box.fill("First line")
    visitor.box.press("Shift+Enter")
    visitor.page.keyboard.type("second line")
    expect(visitor.box).to_have_value("First line\nsecond line")
    expect(visitor.chat.locator(".user-row")).to_have_count(0)
    visitor.box.fill("")
    visitor.box.evaluate(
        """(box) => {
            const clipboard = new DataTransfer();
            clipboard.setData("text", "The sedge warbler sings at night. ".repeat(300));
            box.dispatchEvent(new ClipboardEvent("paste", {clipboardData: clipboard, bubbles: true, cancelable: true}));
        }"""
    )
    expect(visitor.page.locator("#attached .chip")).to_have_count(1, timeout=20_000)
    expect(visitor.page.locator("#meter")).to_contain_text("documents")


def test_the_trace_of_a_running_answer_grows_and_another_can_be_picked_and_filtered(visitor: Visitor) -> None:
    visitor.ask("What do choughs eat?")
    visitor.say("Please hold the line.")
    expect(visitor.page.locator("#phase .phase")).to_be_visible()
    visitor.go("Trace")
    chosen, tree = visitor.page.locator("#answers input"), visitor.page.locator("#tree")
    expect(tree.locator(".node").first).to_be_visible()
    chosen.click()
    visitor.page.get_by_role("option", name="Please hold the line.").first.click()
    expect(tree).to_contain_text("no reply yet")
    visitor.go("Chat")
    visitor.page.keyboard.press("Escape")
    expect(visitor.last_foot).to_contain_text("Stopped")
    visitor.go("Trace")
    expect(tree).not_to_contain_text("no reply yet")
    chosen.click()
    visitor.page.get_by_role("option", name="What do choughs eat?").first.click()
    expect(tree).to_contain_text("one short sentence")
    needle = visitor.page.locator("#filter textarea, #filter input")
    needle.fill("zeppelin")
    expect(tree).to_contain_text("No step contains “zeppelin”.")
    needle.fill("choughs")
    expect(tree.locator("details[open]").first).to_contain_text("choughs")
    with visitor.page.expect_download() as download:
        visitor.page.get_by_text("For the rlm visualizer", exact=True).click()
    assert download.value.path().read_text(encoding="utf-8").startswith("{")


def test_a_model_is_unloaded_loaded_and_deleted(visitor: Visitor) -> None:
    visitor.ask("Hello there.")
    visitor.go("Settings")
    loaded = visitor.page.locator("#models tr", has=visitor.page.locator(".chip", has_text="loaded")).first
    answered = loaded.locator("b").inner_text()  # any that earlier tests have loaded may have answered
    row = visitor.page.locator("#models tr", has=visitor.page.locator("b", has_text=answered))
    row.get_by_text("Unload", exact=True).click()
    expect(row.get_by_text("Load", exact=True)).to_be_visible()
    row.get_by_text("Load", exact=True).click()
    expect(row.locator(".chip", has_text="loaded")).to_be_visible()
    visitor.page.locator("#pull textarea, #pull input").first.fill("phi4:14b")
    visitor.page.get_by_role("button", name="Download").click()
    extra = visitor.page.locator("#models tr", has_text="phi4:14b")
    extra.get_by_text("Delete", exact=True).click()
    expect(extra).to_have_count(0)


def test_an_incognito_tab_that_is_closed_leaves_nothing(
    app: App, visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    note = tmp_path / "nightjar.md"
    note.write_text("# Nightjar\n\nThe nightjar churrs on the heath.\n", encoding="utf-8")
    visitor = visit(app)
    visitor.page.locator("#incognito").click()
    expect(visitor.page.locator("#attached")).to_contain_text("this conversation is not stored")
    visitor.ask("Which bird churrs?", [note])
    assert "nightjar.md" in app.get("/documents")
    visitor.page.close()
    until = time.monotonic() + 60
    while "nightjar.md" in app.get("/documents") and time.monotonic() < until:
        time.sleep(0.2)
    assert "nightjar.md" not in app.get("/documents")
    assert "Which bird churrs?" not in app.get("/conversations")
    assert not list((app.folder / "uploads").rglob("nightjar.md"))

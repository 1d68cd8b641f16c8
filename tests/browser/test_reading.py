"""From a citation into the document: it is opened at the passage, and one can read on from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.house import App
from tests.browser.visitor import Visitor

PASSWORD = "What is the secret password of the lighthouse vault?"


def open_source(visitor: Visitor) -> Locator:
    """The panel of the first source of the newest answer."""
    visitor.last_foot.locator(".source").first.click()
    panel = visitor.page.locator("#passage .passage")
    expect(panel).to_be_visible()
    return panel


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_the_document_of_a_citation_is_opened_at_the_passage_and_can_be_read_on(
    app: App, visit: Callable[..., Visitor], ledger: Path, width: int, height: int
) -> None:
    visitor = visit(app, width=width, height=height)
    visitor.ask(PASSWORD, [ledger])
    panel = open_source(visitor)
    panel.get_by_text("Open the document").click()
    inside = visitor.page.locator("#inside")
    mark, paper = inside.locator("mark"), inside.locator(".paper")
    expect(mark).to_contain_text("MARIGOLD-4471")
    expect(mark).to_be_in_viewport()
    expect(panel).to_have_count(0)
    assert len(paper.inner_text()) < 70_000  # of 290,000

    paper.get_by_text("Read on").click()
    expect(mark).to_have_count(0)
    expect(paper.locator(".here")).to_be_in_viewport()
    paper.get_by_text("Read what comes before").click()
    expect(paper.locator(".here")).to_be_in_viewport()

    visitor.go("Chat")
    open_source(visitor).get_by_text("Open the document").click()
    expect(mark).to_be_in_viewport()
    paper.evaluate("sheet => sheet.scrollTo(0, 0)")
    expect(mark).not_to_be_in_viewport()
    visitor.go("Chat")
    open_source(visitor).get_by_text("Open the document").click()
    expect(mark).to_be_in_viewport()  # though the document was open there already


def test_a_found_passage_is_opened_in_its_document_and_the_switch_there_keeps_the_place(
    visitor: Visitor, tmp_path: Path
) -> None:
    rota = tmp_path / "rota.md"
    lines = [f"Week {week}: the brass of lamp {week} is polished by hand." for week in range(900)]
    lines[611] += " The marmalade of the cook is stored under the stairs."
    rota.write_text("\n".join(lines), encoding="utf-8")
    visitor.attach(rota)
    visitor.go("Upload")
    visitor.page.locator("#find textarea, #find input").fill("marmalade stairs")
    visitor.page.locator("#found").get_by_text("rota.md").first.click()
    inside = visitor.page.locator("#inside")
    mark = inside.locator("mark")
    expect(mark).to_contain_text("marmalade")
    expect(mark).to_be_in_viewport()
    inside.get_by_text("Do not use in this chat").click()
    expect(inside.get_by_text("Use in this chat", exact=True)).to_be_visible()
    expect(mark).to_be_in_viewport()


def test_a_section_of_the_outline_beyond_the_first_pages_is_reached(visitor: Visitor, tmp_path: Path) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text(
        "".join(
            f"# Room {room}\n\n" + f"The clock of room {room} ticks. " * 300 + "\n\n" for room in range(20)
        ),
        encoding="utf-8",
    )
    visitor.attach(guide)
    visitor.go("Upload")
    visitor.page.locator("#shelf").get_by_text("guide.md").click()
    inside = visitor.page.locator("#inside")
    expect(inside.locator(".paper")).to_be_in_viewport()
    inside.locator(".outline").get_by_text("Room 17").click()
    expect(inside.locator(".paper .here")).to_be_in_viewport()
    expect(inside.locator(".paper")).to_contain_text("The clock of room 17 ticks.")


def test_a_document_that_was_deleted_meanwhile_is_missed_in_words(
    app: App, visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    diary = tmp_path / "egret.md"
    diary.write_text("# Of egrets\n\nOn Monday the heron came back to the pond.\n", encoding="utf-8")
    visitor = visit(app)
    visitor.ask("Please quote the diary.", [diary])
    panel = open_source(visitor)
    other = visit(app)
    other.go("Upload")
    row = other.page.locator("#shelf tr", has_text="egret.md")
    other.page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_text("Delete", exact=True).click()
    expect(row).to_have_count(0)
    panel.get_by_text("Open the document").click()
    expect(visitor.page.get_by_text("This document is no longer there.")).to_be_visible()
    expect(visitor.box).to_be_visible()
    panel = open_source(visitor)
    expect(panel).to_contain_text("the document is no longer stored")
    expect(panel.get_by_text("Open the document")).to_have_count(0)

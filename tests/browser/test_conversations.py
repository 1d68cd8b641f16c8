"""The sidebar, and what can be done with a question and its answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.house import App
from tests.browser.visitor import Visitor


def start(visitor: Visitor, question: str) -> None:
    """A conversation whose title is `question`."""
    if not visitor.chat.locator(".welcome").is_visible():
        visitor.page.locator("#new-chat").click()
        expect(visitor.chat.locator(".welcome")).to_be_visible()
    visitor.ask(question)
    expect(visitor.page.locator("#conversations li.current")).to_contain_text(question)


def titles(visitor: Visitor) -> list[str]:
    return visitor.page.locator("#conversations .title").all_inner_texts()


def test_a_conversation_gets_a_title_and_is_there_after_a_reload(visitor: Visitor) -> None:
    start(visitor, "Where do swifts sleep?")
    visitor.reload()
    expect(visitor.chat).to_contain_text("Where do swifts sleep?")
    expect(visitor.chat).to_contain_text("one short sentence")


def test_a_conversation_can_be_renamed_and_pinned(visitor: Visitor) -> None:
    start(visitor, "Why is the sea salt?")
    visitor.menu("Why is the sea salt?", "Rename")
    visitor.page.locator("#conversations input.rename").fill("Salt")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#conversations li.current")).to_contain_text("Salt")
    visitor.menu("Salt", "Pin")
    expect(visitor.page.locator("#conversations h3").first).to_have_text("Pinned")
    visitor.menu("Salt", "Unpin")


def test_the_menu_of_the_last_conversation_in_the_list_is_seen_whole(visitor: Visitor) -> None:
    start(visitor, "How deep do gannets dive?")
    entry = visitor.page.locator("#conversations li").last
    entry.locator("summary").click()
    expect(entry.locator(".menu-items")).to_be_in_viewport(ratio=1)


def test_a_deleted_conversation_can_be_brought_back(visitor: Visitor) -> None:
    start(visitor, "What do owls hear?")
    visitor.menu("What do owls hear?", "Delete")
    expect(visitor.page.locator("#conversations", has_text="What do owls hear?")).to_have_count(0)
    visitor.page.locator("#toast").get_by_text("Undo").click()
    expect(visitor.page.locator("#conversations li.current")).to_contain_text("What do owls hear?")
    expect(visitor.chat).to_contain_text("What do owls hear?")


def test_search_finds_a_word_in_the_text_of_a_conversation(visitor: Visitor) -> None:
    start(visitor, "Tell me about the zamboni in winter.")
    start(visitor, "And about something else?")
    visitor.page.keyboard.press("Control+k")
    visitor.page.keyboard.type("zambo")
    hit = visitor.page.locator("#conversations .hit").first
    expect(hit).to_contain_text("zamboni")
    hit.click()
    expect(visitor.chat).to_contain_text("zamboni in winter")


def test_an_edited_question_becomes_another_version(visitor: Visitor) -> None:
    start(visitor, "How old is the oldest tree?")
    visitor.chat.locator(".foot.user").get_by_text("Edit").click()
    expect(visitor.box).to_have_value("How old is the oldest tree?")
    visitor.box.fill("How old is the oldest whale?")
    visitor.box.press("Enter")
    expect(visitor.chat.locator(".versions").first).to_contain_text("2/2")
    expect(visitor.chat).to_contain_text("oldest whale")
    visitor.chat.locator(".versions").first.get_by_title("Previous version").click()
    expect(visitor.chat).to_contain_text("oldest tree")
    expect(visitor.chat).not_to_contain_text("oldest whale")


def test_arrow_up_edits_the_last_question_and_escape_gives_it_up(visitor: Visitor) -> None:
    start(visitor, "Which bird is the fastest?")
    visitor.box.click()
    visitor.page.keyboard.press("ArrowUp")
    expect(visitor.box).to_have_value("Which bird is the fastest?")
    visitor.page.keyboard.press("Escape")
    expect(visitor.page.locator("#editing .editing")).to_have_count(0)
    expect(visitor.box).to_have_value("")


def test_retry_gives_a_second_answer_to_turn_to(visitor: Visitor) -> None:
    start(visitor, "Give me one word.")
    visitor.last_foot.get_by_text("Retry").click()
    expect(visitor.last_foot.locator(".versions")).to_contain_text("2/2", timeout=15_000)


def test_a_fork_goes_on_in_a_conversation_of_its_own(visitor: Visitor) -> None:
    start(visitor, "Name a river.")
    before = visitor.page.url
    visitor.last_foot.get_by_text("Fork").click()
    expect(visitor.page.locator("#conversations li.current")).to_contain_text("(fork)")
    expect(visitor.page).not_to_have_url(before)
    visitor.ask("And another one.")
    expect(visitor.chat.locator(".user-row")).to_have_count(2)


def test_a_conversation_is_exported_as_markdown_and_as_json(visitor: Visitor, app: App) -> None:
    start(visitor, "Say something to keep.")
    conversation = re.search(r"c=(\w+)", visitor.page.url)
    assert conversation is not None
    with visitor.page.expect_download() as download:
        visitor.menu("Say something to keep.", "Export as Markdown")
    text = download.value.path().read_text(encoding="utf-8")
    assert text.startswith("# Say something to keep.")
    assert "one short sentence" in text
    saved = json.loads(app.get(f"/page/conversations/{conversation[1]}.json"))
    assert [message["role"] for message in saved["messages"]] == ["user", "assistant"]


def test_thinking_is_kept_apart_from_the_answer(visitor: Visitor) -> None:
    visitor.ask("Please think first and name a number.")
    fold = visitor.chat.locator(".fold.all").last
    fold.locator("> summary").click()
    thought = fold.locator(".fold.thinking").first
    thought.locator("> summary").click()
    expect(thought).to_contain_text("It is prime, too.")
    expect(visitor.chat.locator(".bot-row")).to_contain_text("Seventeen.")


def test_the_answer_can_be_copied_without_the_words_around_it(
    app: App, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(app)
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.ask("Compare the two ways, please: compare the two.")
    visitor.last_foot.get_by_text("Copy").click()
    expect(visitor.last_foot.get_by_text("Copied")).to_be_visible()
    copied = visitor.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("The two ways compare like this:")
    assert "Retry" not in copied

"""Every keyboard shortcut that the setup guide or the page names. (Those of asking and editing are in the tests of what they do.)"""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.house import App
from tests.browser.visitor import Visitor


def test_ctrl_shift_o_begins_a_conversation_with_the_cursor_in_its_box_from_every_tab(
    visitor: Visitor,
) -> None:
    for tab in ("Chat", "Upload", "Trace", "Settings"):
        visitor.ask(f"What is to be seen on {tab}?")
        visitor.go(tab)
        visitor.page.keyboard.press("Control+Shift+O")
        expect(visitor.chat.locator(".welcome")).to_be_visible()
        expect(visitor.box).to_be_focused()
        expect(visitor.page).not_to_have_url(re.compile(r"\?c="))
        expect(visitor.page.locator("#conversations")).to_contain_text(f"What is to be seen on {tab}?")
        expect(visitor.page.locator("#conversations li.current")).to_have_count(0)


def test_ctrl_shift_o_in_mid_answer_leaves_it_growing_where_it_is(visitor: Visitor) -> None:
    visitor.say("Please hold the line.")
    expect(visitor.page.locator("#phase .phase")).to_be_visible()
    visitor.page.keyboard.press("Control+Shift+O")
    expect(visitor.chat.locator(".welcome")).to_be_visible()
    expect(visitor.page.locator("#message-box .stop-button")).to_have_count(0)
    running = visitor.page.locator("#conversations li", has_text="Please hold the line.").first
    running.get_by_text("Please hold the line.").click()
    expect(visitor.chat.locator(".user-row")).to_contain_text("Please hold the line.")
    visitor.page.keyboard.press("Escape")
    expect(visitor.last_foot).to_contain_text("Stopped")


def test_ctrl_k_goes_to_the_search_and_what_it_finds_opens_from_every_tab(visitor: Visitor) -> None:
    visitor.ask("Where do kingfishers dig their tunnels?")
    visitor.page.keyboard.press("Control+Shift+O")
    expect(visitor.chat.locator(".welcome")).to_be_visible()
    visitor.go("Upload")
    visitor.page.keyboard.press("Control+k")
    expect(visitor.page.locator("#search-chats").locator("input, textarea")).to_be_focused()
    visitor.page.keyboard.type("kingfishers")
    visitor.page.locator("#conversations .hit").first.click()
    expect(visitor.chat).to_be_visible()
    expect(visitor.chat).to_contain_text("Where do kingfishers dig their tunnels?")


def test_ctrl_k_opens_the_sidebar_of_a_phone(app: App, visit: Callable[..., Visitor]) -> None:
    visitor = visit(app, width=390, height=844)
    expect(visitor.page.locator(".sidebar.open")).to_have_count(0)
    visitor.page.keyboard.press("Control+k")
    expect(visitor.page.locator(".sidebar.open")).to_have_count(1)
    expect(visitor.page.locator("#search-chats").locator("input, textarea")).to_be_focused()


def test_escape_closes_the_menu_of_a_conversation_and_leaves_the_answer_alone(visitor: Visitor) -> None:
    visitor.ask("What do siskins eat?")
    visitor.say("Please hold the line.")
    expect(visitor.page.locator("#message-box .stop-button")).to_be_visible()
    menu = visitor.page.locator("#conversations li", has_text="What do siskins eat?").first.locator("details")
    menu.locator("summary").click()
    expect(menu).to_have_attribute("open", "")
    visitor.page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(visitor.page.locator("#message-box .stop-button")).to_be_visible()
    visitor.page.keyboard.press("Escape")
    expect(visitor.last_foot).to_contain_text("Stopped")

"""Somebody who clicks faster than the machine answers. What is late is held back on purpose: no test here races."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.browser.visitor import Visitor

BALLAD = "Sing me the long ballad of the harbour."


def current(visitor: Visitor) -> str:
    return visitor.page.locator("#conversations li.current .title").inner_text()


def save_window(visitor: Visitor, tokens: str) -> None:
    visitor.go("Settings")
    box = visitor.page.locator("#set-num_ctx input")
    box.fill(tokens)
    box.press("Enter")
    expect(visitor.page.locator("#saved")).to_contain_text("saved")


def test_new_conversation_and_send_at_once_asks_in_the_new_conversation(visitor: Visitor) -> None:
    visitor.ask("What do bees drink?")
    held: list[Route] = []

    def hold_the_click(route: Route) -> None:
        if '\\"action\\":\\"new\\"' in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    visitor.page.route(re.compile("/queue/join"), hold_the_click)
    visitor.page.locator("#new-chat").click()
    visitor.box.fill("What do moths eat?")
    with visitor.page.expect_request(lambda sent: "What do moths eat?" in (sent.post_data or "")):
        visitor.box.press("Enter")
    (route,) = held
    route.continue_()
    expect(visitor.chat.locator(".user-row")).to_have_count(1)
    expect(visitor.chat.locator(".user-row")).to_contain_text("What do moths eat?")
    expect(visitor.last_foot).to_be_visible()
    assert current(visitor) == "What do moths eat?"


def test_another_conversation_opened_while_an_answer_streams_stays_on_the_page(visitor: Visitor) -> None:
    visitor.ask("What do hares hear?")
    visitor.page.locator("#new-chat").click()
    expect(visitor.chat.locator(".welcome")).to_be_visible()
    visitor.say(BALLAD)
    expect(visitor.chat.locator(".bot-row p", has_text="Verse 2.").first).to_be_visible(timeout=30_000)
    visitor.page.locator("#conversations").get_by_text("What do hares hear?").first.click()
    expect(visitor.chat.locator(".user-row")).to_contain_text("What do hares hear?")
    visitor.ask("And what else?")  # the ballad goes on meanwhile, and does not come back
    expect(visitor.chat).not_to_contain_text("Verse")
    visitor.page.locator("#conversations").get_by_text(BALLAD).first.click()
    expect(visitor.chat.locator(".bot-row p", has_text="Verse 3.").first).to_be_visible(timeout=30_000)
    visitor.page.keyboard.press("Escape")
    expect(visitor.last_foot).to_be_visible()


def test_a_double_click_on_a_sample_question_asks_it_once(visitor: Visitor) -> None:
    asked: list[str] = []
    visitor.page.on("request", lambda sent: asked.append(sent.post_data or ""))
    visitor.chat.locator(".welcome").get_by_text("Which suppliers deliver within 5 working days").dblclick()
    expect(visitor.last_foot).to_contain_text("Worked through it in code", timeout=30_000)
    assert sum('\\"action\\":\\"sample\\"' in body for body in asked) == 1


def test_a_value_typed_before_the_settings_have_all_arrived_is_kept_and_its_refusal_too(
    visitor: Visitor,
) -> None:
    window = visitor.page.locator("#set-num_ctx")
    save_window(
        visitor, "6144"
    )  # changed since the program started: a page that opens now must know before it is typed in
    visitor.reload()
    held: list[Route] = []
    typing = True

    def hold(route: Route) -> None:
        if typing:
            held.append(route)
        else:
            route.continue_()

    visitor.page.route(re.compile("/queue/join"), hold)
    visitor.go("Settings")
    window.locator("input").fill("12")
    typing = False
    window.locator("input").press("Enter")
    refusal = "Not saved: Input should be greater than or equal to 512"
    expect(window).to_contain_text(refusal)
    assert held
    for route in held:
        route.continue_()
    expect(visitor.page.locator("#gpu")).to_contain_text("graphics card")  # the last thing that arrives
    expect(window).to_contain_text(refusal)
    expect(window.locator("input")).to_have_value("12")
    save_window(visitor, "8192")
    expect(window).not_to_contain_text("Not saved")

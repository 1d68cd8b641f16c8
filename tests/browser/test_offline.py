"""Nothing leaves this computer, whatever a model says. (Every test of this folder also fails on any foreign request,
console error or CSP violation: see the `visit` fixture.)"""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.visitor import Visitor


def test_a_remote_image_in_an_answer_is_named_and_not_fetched(visitor: Visitor) -> None:
    visitor.ask("Show me the remote picture, please.")
    expect(visitor.chat).to_contain_text("(image: chart)")
    assert visitor.chat.locator("img").count() == 0
    assert visitor.page.title() == "LocalRLM"


def test_html_in_an_answer_is_shown_as_text_and_makes_no_buttons(visitor: Visitor) -> None:
    visitor.ask("Show me the remote picture, please.")
    expect(visitor.chat).to_contain_text("<img src='https://evil.example/y.png'>")
    expect(visitor.chat).to_contain_text("<button class='do do-chat-delete id-x'>")
    assert visitor.chat.locator("button", has_text="press me").count() == 0


def test_a_button_that_got_into_a_message_cannot_act(visitor: Visitor) -> None:
    visitor.ask("Show me the remote picture, please.")

    def press(bus: str, action: str) -> str:
        """Puts such a button into the answer, clicks it; returns what it has sent."""
        return str(
            visitor.page.evaluate(
                """([bus, action]) => {
                    const button = document.createElement("button");
                    button.className = `do do-${bus}-${action} id-x`;
                    document.querySelector("#chat .bot .message, #chat .bot.message").append(button);
                    const box = document.querySelector(`#bus-${bus} textarea, #bus-${bus} input`);
                    box.value = "nothing";
                    button.click();
                    button.remove();
                    return box.value;
                }""",
                [bus, action],
            )
        )

    for bus, action in (("settings", "erase"), ("lan", "remove"), ("docs", "delete"), ("chat", "delete")):
        assert press(bus, action) == "nothing"
    assert "version" in press("chat", "version"), "what belongs to a message works"


def test_a_link_in_an_answer_asks_before_it_leaves(visitor: Visitor) -> None:
    asked: list[str] = []

    def refuse(dialog) -> None:  # type: ignore[no-untyped-def]
        asked.append(dialog.message)
        dialog.dismiss()

    visitor.page.on("dialog", refuse)
    visitor.ask("Show me the remote picture, please.")
    visitor.chat.get_by_role("link", name="link").click()
    assert "https://evil.example/z" in asked[0]
    assert len(visitor.page.context.pages) == 1

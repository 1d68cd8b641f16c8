"""The page as a whole: settings, the token meter, the theme, a phone, a screen reader, speed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.house import App
from tests.browser.visitor import Visitor

TABS = {
    "Chat": "#chat .foot .route",
    "Upload": "#shelf table",
    "Trace": "#tree .node",
    "Settings": "#models table",
}
"""Each tab, and what is there once it has drawn itself."""


def test_the_first_page_says_what_is_ready_and_a_sample_is_one_click_away(visitor: Visitor) -> None:
    welcome = visitor.chat.locator(".welcome")
    expect(welcome).to_contain_text("Ollama 0.21.0 answers")
    welcome.get_by_text("Which suppliers deliver within 5 working days").click()
    expect(visitor.chat.locator(".user-row")).to_contain_text("Which suppliers")
    expect(visitor.last_foot).to_contain_text("Worked through it in code", timeout=30_000)
    expect(visitor.page.locator("#attached")).to_contain_text("handbook.md")


def test_the_meter_tells_before_sending_that_a_document_is_too_big_for_a_direct_answer(
    visitor: Visitor, ledger: Path
) -> None:
    visitor.attach(ledger)
    meter = visitor.page.locator("#meter")
    expect(meter).to_contain_text("It will be read in pieces.")
    visitor.page.locator("#mode input").click()
    visitor.page.get_by_role("option", name="Direct: one call").click()
    expect(meter).to_contain_text("too big for one direct call")
    meter.get_by_text("Read all of it in pieces").click()
    expect(meter.locator(".notice")).to_have_count(0)


def test_a_setting_is_saved_and_a_bad_value_is_refused_at_its_field(
    app: App, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(app)
    visitor.go("Settings")
    window = visitor.page.locator("#set-num_ctx")
    window.locator("input").fill("12")
    window.locator("input").press("Enter")
    expect(window).to_contain_text("Not saved: Input should be greater than or equal to 512")
    window.locator("input").fill("6144")
    window.locator("input").press("Enter")
    expect(visitor.page.locator("#saved")).to_contain_text("Context window (tokens): saved.")
    expect(window).not_to_contain_text("Not saved")
    stored = json.loads((app.folder.parent / "data.json").read_text(encoding="utf-8"))
    assert stored["num_ctx"] == 6144
    visitor.reload()
    visitor.go("Settings")
    expect(window.locator("input")).to_have_value("6144")
    window.locator("input").fill("8192")
    window.locator("input").press("Enter")
    expect(visitor.page.locator("#saved")).to_contain_text("saved")


def test_settings_show_the_models_with_their_roles_and_pull_one_with_progress(visitor: Visitor) -> None:
    visitor.go("Settings")
    table = visitor.page.locator("#models")
    expect(table).to_contain_text("qwen3:30b-a3b")
    expect(table.locator(".chip").first).to_contain_text("fast")
    visitor.page.locator("#pull textarea, #pull input").first.fill("gemma3:4b")
    visitor.page.get_by_role("button", name="Download").click()
    expect(visitor.page.locator("#pull-progress")).to_contain_text("gemma3:4b is installed.", timeout=20_000)
    expect(table).to_contain_text("gemma3:4b")
    expect(visitor.page.locator("#gpu")).not_to_be_empty()


def test_a_document_can_be_looked_into_searched_and_deleted(visitor: Visitor, tmp_path: Path) -> None:
    note = tmp_path / "orchard.md"
    note.write_text(
        "# Trees\n\nThe quince stands by the wall.\n\n## Bees\n\nThree hives hum.\n", encoding="utf-8"
    )
    visitor.go("Upload")
    visitor.page.set_input_files("#drop input[type=file]", str(note))
    expect(visitor.page.locator("#shelf")).to_contain_text("orchard.md", timeout=20_000)
    visitor.page.locator("#find textarea, #find input").first.fill("quince")
    expect(visitor.page.locator("#found mark").first).to_have_text("quince", timeout=10_000)
    visitor.page.locator("#shelf").get_by_text("orchard.md").click()
    inside = visitor.page.locator("#inside")
    expect(inside).to_contain_text("Three hives hum.")
    expect(inside.locator(".outline")).to_contain_text("Bees")
    asked: list[str] = []
    visitor.page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    inside.get_by_text("Delete").click()
    expect(visitor.page.locator("#shelf", has_text="orchard.md")).to_have_count(0)
    assert asked == ["Delete orchard.md?"]


def test_the_theme_is_dark_until_it_is_switched_and_the_choice_is_kept(visitor: Visitor) -> None:
    body = visitor.page.locator("body")
    expect(body).to_have_class("dark")
    visitor.page.locator("#theme").click()
    expect(body).not_to_have_class("dark")
    visitor.reload()
    expect(body).not_to_have_class("dark")
    expect(visitor.page.locator("#theme")).to_have_text("Theme: Light")


@pytest.mark.parametrize("tab", TABS)
def test_no_serious_obstacle_for_a_screen_reader_in_either_theme(
    visitor: Visitor, tab: str, ledger: Path
) -> None:
    visitor.ask("Compare the two ways, please: compare the two.", [ledger] if tab == "Upload" else [])
    visitor.go(tab)
    expect(visitor.page.locator(TABS[tab]).first).to_be_visible(timeout=15_000)
    dark = obstacles(visitor)
    visitor.page.locator("#theme").click()
    expect(visitor.page.locator("body")).not_to_have_class("dark")
    assert (dark, obstacles(visitor)) == ({}, {})


def obstacles(visitor: Visitor) -> dict[str, list[str]]:
    """What axe finds serious or critical: the rule, and where it is broken."""
    visitor.page.evaluate(
        "Promise.all(document.getAnimations().filter(a => a.effect.getTiming().iterations !== Infinity).map(a => a.finished.catch(() => 0)))"
    )
    found = Axe().run(visitor.page).response["violations"]
    return {
        item["id"]: [node["html"][:160] for node in item["nodes"]][:4]
        for item in found
        if item["impact"] in ("serious", "critical")
    }


def test_at_390_pixels_everything_fits_and_the_chat_is_not_covered(
    app: App, visit: Callable[..., Visitor], ledger: Path
) -> None:
    visitor = visit(app, width=390, height=844)
    visitor.ask("Hello, who are you?", [ledger])
    for tab in TABS:
        visitor.go(tab)
        expect(visitor.page.locator(TABS[tab]).first).to_be_visible(timeout=15_000)
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390, tab


def test_question_and_phase_are_shown_before_the_model_has_said_a_word(visitor: Visitor) -> None:
    """Prints how long after Enter the first change was seen on the page (`pytest -s`)."""
    visitor.page.evaluate(
        """() => { window.feedback = new Promise(done => {
            document.addEventListener('keydown', () => {
                const start = performance.now();
                new MutationObserver((_, watcher) => { watcher.disconnect(); done(performance.now() - start); })
                    .observe(document.querySelector('#phase'), {childList: true, subtree: true, characterData: true});
            }, {capture: true, once: true});
        }); }"""
    )
    visitor.say("Please hold the line.")
    expect(visitor.chat.locator(".user-row")).to_contain_text("Please hold the line.")
    expect(visitor.page.locator("#phase .phase")).to_be_visible()
    print(f"first feedback {visitor.page.evaluate('window.feedback'):.0f} ms after Enter")
    visitor.page.keyboard.press("Escape")
    expect(visitor.last_foot).to_contain_text("Stopped")

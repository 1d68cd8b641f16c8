"""The main job, as a person does it: a document far longer than the model's window, a question, the answer, its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.house import App
from tests.browser.visitor import Visitor
from tests.scripted.ollama_server import ScriptedOllama
from tests.scripted.script import count

QUESTION = "What is the secret password of the lighthouse vault?"


def test_a_fact_in_a_text_of_60_000_tokens_is_found_though_no_prompt_exceeds_the_window(
    visitor: Visitor, ledger: Path, ollama: ScriptedOllama
) -> None:
    assert count(ledger.read_text(encoding="utf-8")) > 60_000
    shown = visitor.ask(QUESTION, [ledger])
    assert "MARIGOLD-4471" in shown
    assert ollama.largest_prompt <= 8192


def test_the_source_opens_the_passage_highlighted_in_its_surroundings(visitor: Visitor, ledger: Path) -> None:
    visitor.ask(QUESTION, [ledger])
    visitor.last_foot.locator(".source").first.click()
    panel = visitor.page.locator(".passage")
    expect(panel).to_be_visible()
    expect(panel.locator("mark")).to_contain_text("MARIGOLD-4471")
    expect(panel).to_contain_text("Entry 1776")
    visitor.page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    visitor.last_foot.locator(".source").first.click()
    expect(panel).to_be_visible()  # the same one once more


def test_a_simple_message_is_answered_directly_and_says_so(visitor: Visitor) -> None:
    visitor.ask("Hello, who are you?")
    expect(visitor.last_foot.locator(".route")).to_contain_text("Answered directly")
    expect(visitor.last_foot.locator(".route")).to_contain_text(re.compile("qwen3:8b|glm-z1:9b"))


def test_the_steps_of_a_recursive_answer_can_be_unfolded(visitor: Visitor, ledger: Path) -> None:
    visitor.ask(QUESTION, [ledger])
    steps = visitor.chat.locator(".steps .fold.all").last
    steps.locator("> summary").click()
    turn = steps.locator(".fold.step", has_text="Turn 1").first
    turn.locator("> summary").click()
    expect(turn.locator("pre.code").first).to_contain_text("search(query")


def test_the_trace_shows_the_prompts_and_the_table_has_a_row_for_each_call(
    visitor: Visitor, ledger: Path
) -> None:
    visitor.ask(QUESTION, [ledger])
    visitor.last_foot.get_by_text("Trace").click()
    tree = visitor.page.locator("#tree")
    expect(tree.locator(".node.turn_started").first).to_be_visible(timeout=10_000)
    call = tree.locator(".node.model_call_started").first
    call.locator("> summary").click()
    call.locator("details", has_text="prompt as sent").first.locator("> summary").click()
    expect(call).to_contain_text("You answer a question by writing Python")
    expect(visitor.page.locator("#timeline .bar").first).to_be_visible()
    visitor.page.get_by_role("tab", name="Table").click()
    expect(visitor.page.locator("#table")).to_contain_text("model call")


def test_files_dropped_on_the_upload_tab_get_their_progress_and_their_own_errors(
    visitor: Visitor, ledger: Path, tmp_path: Path
) -> None:
    empty, binary = tmp_path / "empty.md", tmp_path / "binary.txt"
    empty.write_text("")
    binary.write_bytes(bytes(range(256)) * 40)
    visitor.go("Upload")
    visitor.page.set_input_files("#drop input[type=file]", [str(ledger), str(empty), str(binary)])
    lines = visitor.page.locator("#uploads li")
    expect(lines).to_have_count(3)
    expect(lines.nth(0)).to_contain_text("stored and searchable", timeout=20_000)
    expect(lines.nth(1)).to_contain_text("empty", timeout=20_000)
    expect(visitor.page.locator("#uploads li.bad")).to_have_count(2, timeout=20_000)
    expect(visitor.page.locator("#shelf")).to_contain_text("ledger.txt")
    visitor.go("Chat")
    expect(visitor.page.locator("#attached")).to_contain_text("ledger.txt")


def test_a_quotation_that_is_not_in_the_source_is_marked_and_one_that_is_there_is_not(
    visitor: Visitor, tmp_path: Path
) -> None:
    diary = tmp_path / "heron.md"
    diary.write_text("# Of herons\n\nOn Monday the heron came back to the pond.\n", encoding="utf-8")
    visitor.ask("Please quote the diary.", [diary])
    marks = visitor.chat.locator(".bot-row mark.unverified")
    expect(marks).to_have_text(["The heron left for good on Friday evening."])
    expect(marks).to_have_attribute("title", "These words are not in the source.")
    warning = "The marked quotation is not in the sources word for word."
    expect(visitor.last_foot.locator(".notice.warn")).to_have_text(warning)
    visitor.reload()
    expect(marks).to_have_count(1)
    visitor.page.locator("#new-chat").click()
    expect(visitor.chat.locator(".welcome")).to_be_visible()
    visitor.ask("Hello, who are you?")
    expect(visitor.last_foot.locator(".notice")).to_have_count(0)


@pytest.mark.embedded
def test_with_the_embedded_model_a_simple_message_streams_and_a_long_document_is_survived(
    visit: Callable[..., Visitor], tmp_path: Path, ledger: Path
) -> None:
    (tmp_path / "data.json").write_text('{"limits": {"max_seconds": 30}}', encoding="utf-8")
    app = App(tmp_path / "data", "--backend", "embedded").start()
    try:
        visitor = visit(app)
        expect(visitor.page.locator("#brand .status")).to_contain_text("embedded")
        visitor.ask("Hello! Please greet me in one sentence.")
        first = visitor.chat.locator(".bot-row").inner_text()
        assert first.split("Answered directly")[0].strip()  # how many words is up to so small a model
        visitor.ask(QUESTION, [ledger])
        assert visitor.last_foot.locator(".route").inner_text()
    finally:
        app.stop()

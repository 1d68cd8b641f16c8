"""What a model writes is shown, and does nothing by itself."""

from __future__ import annotations

import pytest

from rlm_core.results import Citation, Quotation
from ui.answer_text import safe, shown

REPORT = Citation(1, "report.pdf", 10, 20, "ten words", "d1", "page 12")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "before <button class='do do-chat-delete id-1'>x</button>",
        "</div></details>",
        "<!-- hidden -->",
        "<svg/onload=alert(1)>",
    ],
)
def test_html_becomes_text(text: str) -> None:
    assert "<" not in safe(text)
    assert "&lt;" in safe(text)


@pytest.mark.parametrize(
    "text", ["![chart](https://evil.example/x.png?d=1)", "![chart][ref]", "![chart]( data:x )"]
)
def test_an_image_is_named_and_its_address_is_gone(text: str) -> None:
    assert safe(text) == "(image: chart)"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("![](a) ![ x ](b", "(image: without a name) (image: x)(b"),
        ("![a](b)c![d][e]f![g][h", "(image: a)c(image: d)f(image: g)[h"),
        ("![a][](b) ![c", "(image: a)(b) ![c"),
        ("![a ![b](c)](d)", "(image: a ![b)](d)"),
    ],
)
def test_images_side_by_side_and_images_without_an_end(text: str, plain: str) -> None:
    assert safe(text) == plain


@pytest.mark.parametrize("piece", ["![", "![](", "![][", "![a]("])
def test_brackets_without_an_end_do_not_hold_up_the_page(piece: str) -> None:
    text = piece * 200_000  # hours, if each one were followed to the end of the text
    assert len(safe(text)) >= len(text) / 2


def test_code_stays_as_it_is() -> None:
    text = "Use `a < b` or\n```html\n<b>![x](y)</b>\n```\nand <i>that</i>."
    assert safe(text) == "Use `a < b` or\n```html\n<b>![x](y)</b>\n```\nand &lt;i>that&lt;/i>."
    assert safe("Use `<div>`.") == "Use `<\u2060div>`.", "looks the same and is no tag"


@pytest.mark.parametrize(
    "text",
    [
        "a `x\n\nHERE\n\ny` z",  # a paragraph ends before the code would
        "a `x\n# HERE` z",
        "\\` HERE `",
        "[x](`) HERE `",
        "http://a.example/` HERE `",
        "| a | b |\n|-|-|\n| ` | HERE ` |",
        "``` a`b\nHERE\n```",
        "- a\n   ```\nHERE",
        "   ```\n```\nHERE\n```",
        "> ```\nHERE\n```",
        "$$\n```\n$$\nHERE\n```",
        '[a]: x "\n```\n"\nHERE\n```',
        "```\n```\t\n```\nHERE\n```",
        "```\r```\rHERE\r```",
        "~~~\n~~~~\nHERE\n~~~",
    ],
)
def test_what_only_looks_like_code_has_no_buttons(text: str) -> None:
    """Markdown ends this code elsewhere than one might think; a button in it could act for the person who clicks it."""
    button = '<button class="do do-settings-erase id-x">Show more</button>'
    assert "<button" not in safe(text.replace("HERE", button))
    assert "<button" not in shown(text.replace("HERE", button), "m1", [REPORT])


def test_an_open_fence_of_a_growing_answer_counts_as_code() -> None:
    assert safe("Look:\n```python\nif a < b: print('<b>')") == "Look:\n```python\nif a < b: print('<b>')"


def test_smaller_than_is_no_tag() -> None:
    assert safe("3 < 4 and x <- y") == "3 < 4 and x <- y"


def test_a_citation_becomes_a_button_that_names_its_place() -> None:
    html = shown("It is so [1].", "m1", [REPORT])
    assert "do-passage-open id-m1 n-1" in html
    assert 'title="Source 1: report.pdf, page 12"' in html


def test_a_number_without_a_citation_and_a_markdown_link_stay() -> None:
    assert shown("In [7] and [1](https://x.example).", "m1", [REPORT]) == "In [7] and [1](https://x.example)."


def test_a_citation_inside_code_stays() -> None:
    assert shown("`a[1]`", "m1", [REPORT]) == "`a[1]`"


def test_several_numbers_in_one_bracket_become_several_buttons() -> None:
    second = Citation(2, "b.md", 0, 3, "abc")
    assert shown("So [1, 2].", "m1", [REPORT, second]).count("do-passage-open") == 2


def test_a_quotation_that_no_source_contains_is_marked_and_a_verified_one_is_not() -> None:
    html = shown(
        'He said "never again" and "always so".',
        "m1",
        [],
        [Quotation("never again", False), Quotation("always so", True)],
    )
    assert '<mark class="unverified" title="These words are not in the source.">never again</mark>' in html
    assert html.count("<mark") == 1


def test_a_document_name_cannot_break_out_of_the_button() -> None:
    evil = Citation(1, '"><script>alert(1)</script>', 0, 1, "x")
    assert "<script>" not in shown("See [1].", "m1", [evil])

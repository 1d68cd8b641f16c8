"""Thinking told apart from text, however the stream is cut."""

from __future__ import annotations

import pytest

from rlm_core.backends.thinking import ThinkSplitter

CASES = [
    ("plain answer", "", "plain answer"),
    ("<think>hm, so</think>\n\nYes.", "hm, so", "Yes."),
    ("\n<think>one</think>\n<think>two</think>Yes.", "onetwo", "Yes."),
    ("<think></think>Yes.", "", "Yes."),
    ("<think>never closed", "never closed", ""),
    ("  <thin air> is thin", "", "  <thin air> is thin"),
    (
        "The tag <think> opens thinking, </think> closes it.",
        "",
        "The tag <think> opens thinking, </think> closes it.",
    ),
    ("<think>a < b </thin </think>done <think>", "a < b </thin ", "done <think>"),
    ("", "", ""),
    ("<thi", "", "<thi"),
]


def split(text: str, size: int, *, inside: bool = False) -> tuple[str, str, ThinkSplitter]:
    splitter = ThinkSplitter(inside=inside)
    parts = [splitter.feed(text[start : start + size]) for start in range(0, len(text), size)]
    parts.append(splitter.finish())
    return "".join(part[0] for part in parts), "".join(part[1] for part in parts), splitter


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
@pytest.mark.parametrize(("reply", "thinking", "text"), CASES)
def test_thinking_is_split_off_whatever_the_pieces(reply: str, thinking: str, text: str, size: int) -> None:
    assert split(reply, size)[:2] == (thinking, text)


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_closing_tag_without_an_opening_one_is_noticed(size: int) -> None:
    _, text, splitter = split("so it is 4</think>Four.", size)
    assert splitter.unopened
    assert text == "so it is 4</think>Four."


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_model_known_to_open_in_its_template_starts_inside(size: int) -> None:
    assert split("so it is 4</think>\nFour.", size, inside=True)[:2] == ("so it is 4", "Four.")
    assert split("<think>so it is 4</think>Four.", size, inside=True)[:2] == ("so it is 4", "Four.")


def test_an_assumed_thinking_that_never_ends_was_the_answer() -> None:
    splitter = ThinkSplitter(inside=True)
    live = [splitter.feed(piece) for piece in ("Four", " it is.")]
    assert splitter.finish() == ("", "Four it is.")
    assert "".join(thinking for thinking, _ in live) == "Four it is."

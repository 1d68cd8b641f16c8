"""The talk before a question, fitted into prompts."""

import pytest

from rlm_core.backends.base import ChatMessage
from rlm_core.question import alternating, fit_history, history_lines, shorten
from rlm_core.recursion import sounds_like_a_plan
from rlm_core.tokens import TokenEstimator

TALK = tuple(
    ChatMessage("user" if n % 2 == 0 else "assistant", f"message {n} " + "word " * 50) for n in range(10)
)


def test_the_newest_messages_that_fit_are_kept_and_the_first_is_the_users() -> None:
    for tokens in range(0, 1_000, 37):
        fitted = fit_history(TALK, tokens, TokenEstimator(), "m")
        assert fitted.messages == TALK[len(TALK) - len(fitted.messages) :]
        assert not fitted.messages or fitted.messages[0].role == "user"
        assert fitted.left_out == len(TALK) - len(fitted.messages)
        assert TokenEstimator().prompt(fitted.messages, "m") <= tokens


def test_neighbours_of_the_same_role_are_joined() -> None:
    said = [
        ChatMessage("user", "a"),
        ChatMessage("user", "b"),
        ChatMessage("assistant", "c"),
        ChatMessage("assistant", "d"),
    ]
    joined = alternating(said)
    assert [(message.role, message.content) for message in joined] == [
        ("user", "a\n\nb"),
        ("assistant", "c\n\nd"),
    ]


def test_the_lines_of_a_talk_keep_the_newest() -> None:
    lines = history_lines(TALK, 900)
    assert "message 9" in lines
    assert "message 0" not in lines
    assert lines.index("message 8") < lines.index("message 9")
    assert history_lines((), 900) == ""


@pytest.mark.parametrize("chars", [0, 1, 10, 50, 99])
def test_shortening_says_how_much_is_missing(chars: int) -> None:
    text = "".join(chr(65 + n % 26) for n in range(100))
    short = shorten(text, chars)
    kept = chars * 2 // 3 + chars // 3
    assert f"{100 - kept} characters left out" in short
    assert short.startswith(text[: chars * 2 // 3])
    assert shorten(text, 100) == text


@pytest.mark.parametrize(
    "text",
    [
        "I will search the log.",
        "First, I'll look.",
        "Let me count them.",
        "Plan: look",
        "Okay, next I need to sort.",
    ],
)
def test_an_announcement_sounds_like_a_plan(text: str) -> None:
    assert sounds_like_a_plan(text)


@pytest.mark.parametrize(
    "text",
    [
        "Two errors.",
        "First prize went to Ada.",
        "The planning committee met twice.",
        "Illinois will vote in May.",
        "Clara said: I will sign.",
        "I will " * 200,
        "",
    ],
)
def test_an_answer_does_not_sound_like_a_plan(text: str) -> None:
    assert not sounds_like_a_plan(text)

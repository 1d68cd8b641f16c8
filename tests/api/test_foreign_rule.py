"""How a chat in a foreign protocol becomes a question: the rule in `rlm_core.doors.foreign`."""

from __future__ import annotations

import pytest

from rlm_core.doors.foreign import LONG, NoQuestion, Said, as_question

BOOK = "\n\n".join(f"Chapter {number}. It rained." for number in range(400))
assert len(BOOK) > LONG


def test_a_short_message_is_the_question_and_there_is_no_context() -> None:
    asked = as_question([Said("user", "What is the time?")])
    assert (asked.question, asked.context, asked.history) == ("What is the time?", None, ())


def test_short_instructions_stand_before_the_question() -> None:
    asked = as_question([Said("system", "Be brief."), Said("user", "Why?")])
    assert asked.question == "Be brief.\n\nWhy?"


def test_long_instructions_are_context() -> None:
    asked = as_question([Said("system", BOOK), Said("user", "Why?")])
    assert asked.question == "Why?"
    assert asked.context == BOOK


@pytest.mark.parametrize(
    "message", [f"{BOOK}\n\nHow often did it rain?", f"How often did it rain?\n\n{BOOK}"]
)
def test_the_paragraph_with_the_question_mark_asks_and_the_whole_message_is_context(message: str) -> None:
    asked = as_question([Said("user", message)])
    assert asked.question == "How often did it rain?"
    assert asked.context == message


def test_without_a_question_mark_both_ends_ask() -> None:
    asked = as_question([Said("user", f"Summarise this book.\n\n{BOOK}\n\nUse three sentences.")])
    assert asked.question == "Summarise this book.\n\nUse three sentences."


def test_one_endless_line_is_asked_by_its_two_ends() -> None:
    asked = as_question([Said("user", "Count the letters: " + "a" * 100_000 + " and say the number.")])
    assert asked.question.startswith("Count the letters:")
    assert asked.question.endswith("and say the number.")
    assert len(asked.question) < LONG


def test_earlier_messages_are_history_and_a_long_one_becomes_context() -> None:
    asked = as_question(
        [Said("user", BOOK), Said("assistant", "Read."), Said("user", "How often did it rain?")]
    )
    assert asked.question == "How often did it rain?"
    assert asked.context == BOOK
    assert [message.role for message in asked.history] == ["user", "assistant"]
    assert len(asked.history[0].content) < 1000


@pytest.mark.parametrize(
    "chat", [[], [Said("system", "Be nice.")], [Said("user", "  ")], [Said("assistant", "Hello.")]]
)
def test_a_chat_without_a_question_is_refused(chat: list[Said]) -> None:
    with pytest.raises(NoQuestion):
        as_question(chat)

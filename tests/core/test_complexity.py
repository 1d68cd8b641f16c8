"""The cheap signals: what they see, and that they cost nothing."""

import pytest

from rlm_core.complexity import asks_for_everything, is_small_talk, signals


def score(text: str, *, material: int = 0, room: int = 4_000) -> float:
    return sum(signal.weight for signal in signals(text, material_tokens=material, room_tokens=room))


@pytest.mark.parametrize(
    "text",
    [
        "Hello!",
        "Thanks",
        "Hi, how are you?",
        "What is the capital of France?",
        "Write a haiku about rain.",
        "",
        "¿Qué?",
    ],
)
def test_small_talk_and_plain_questions_are_far_from_any_threshold(text: str) -> None:
    assert score(text) <= 0.2


@pytest.mark.parametrize(
    ("text", "small"),
    [
        ("Hello!", True),
        ("hi there :-)", True),
        ("Thanks a lot!", True),
        ("Ok, great, thank you very much.", True),
        ("Danke schön!", True),
        ("Thanks, and who signed it?", False),
        ("Hello, what does the report say?", False),
        ("Okay, count them again", False),
        ("Great Britain", False),
        ("high", False),
        ("", False),
    ],
)
def test_small_talk_is_a_greeting_or_thanks_and_nothing_more(text: str, small: bool) -> None:
    assert is_small_talk(text) is small


@pytest.mark.parametrize(
    "text",
    [
        "How many errors are there?",
        "List all dates in the report.",
        "Summarise the document.",
        "Which customer has the highest total?",
        "Wie viele Fehler gibt es insgesamt?",
        "Fasse das Dokument zusammen.",
    ],
)
def test_questions_about_everything_are_known(text: str) -> None:
    assert asks_for_everything(text)


@pytest.mark.parametrize(
    "text", ["Who signed the contract?", "What is the rent?", "When did the boiler break?"]
)
def test_questions_about_one_thing_are_not_about_everything(text: str) -> None:
    assert not asks_for_everything(text)


def test_material_that_does_not_fit_decides_alone() -> None:
    assert score("What is it?", material=5_000) >= 1.0


def test_the_same_question_weighs_more_with_material() -> None:
    text = "How many errors are there?"
    assert score(text, material=1_000) > score(text) + 0.2


def test_every_signal_gives_its_reason_in_words() -> None:
    text = (
        "Compare both. How many are there? And calculate 3 + 4, as we said before, between May and June.\n"
        + "x" * 2_100
    )
    found = signals(text, material_tokens=1_000, room_tokens=4_000)
    assert len(found) >= 7
    assert all(signal.reason and signal.weight > 0 for signal in found)


def test_more_questions_weigh_more_up_to_a_bound() -> None:
    weights = [score("Why? " * number) for number in (1, 2, 3, 50)]
    assert weights[0] < weights[1] < weights[2]
    assert weights[3] <= 0.5


def test_a_hostile_message_is_judged_quickly() -> None:
    for text in ("first " * 20_000, "a-" * 50_000 + ".pdf", "between " * 20_000, "1 " * 50_000):
        signals(text, material_tokens=10, room_tokens=100)

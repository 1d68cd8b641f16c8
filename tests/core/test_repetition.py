"""Replies that turn in circles are told from long lists, and cut back to what they say once."""

import random

import pytest

from rlm_core.repetition import turns_in_circles, without_circles

SAYING = "I am a helpful assistant and I am here to help you with any question that you may have about this. "


@pytest.mark.parametrize(
    "text",
    [
        SAYING * 60,
        "The vault code is 9931.\n\n" * 200,
        "".join(f"The code is {random.Random(n).choice(['', 'not '])}9931.\n\n" for n in range(300)),
        "-" * 4_000,
    ],
)
def test_the_same_sentence_again_and_again_is_a_circle(text: str) -> None:
    assert turns_in_circles(text)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"| item {number} | open | yes |" for number in range(300)),
        "\n".join(str(number) for number in range(2_000)),
        "".join(f'{{"id": {number}, "ok": true}}, ' for number in range(300)),
        "\n".join(f"{number} x {number} = {number * number}" for number in range(300)),
        SAYING * 5,
    ],
)
def test_a_long_list_of_similar_lines_and_a_short_repetition_are_not(text: str) -> None:
    assert not turns_in_circles(text)


def test_what_was_said_once_is_kept() -> None:
    assert without_circles("It is 9931. Really. It is 9931.\nIt is 9931. Really. ") == "It is 9931. Really."

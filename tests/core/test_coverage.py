"""Which parts of the material are read for a question about all of it, and what is said about that."""

from __future__ import annotations

import pytest

from rlm_core.context import Context, Material, Piece
from rlm_core.coverage import Selection, best_passages, select_parts

DAY = "Day {n}. " + "The crew mended the sails and slept well in the lee of the rocks. " * 12 + "{extra}\n\n"
WHALES = {4: "A whale blew.", 17: "Two whales and a whale calf.", 30: "Somebody saw a whale."}
CONTEXT = Context([Material("log.txt", "".join(DAY.format(n=n, extra=WHALES.get(n, "")) for n in range(40)))])
PARTS: dict[int, Piece] = dict(enumerate(CONTEXT.pieces(1_000), start=1))


def select(question: str, most: int, known: str = "") -> Selection:
    return select_parts(question, known, PARTS, most, CONTEXT)


def days(selection: Selection) -> list[int]:
    return [int(piece.text.split(".")[0].removeprefix("Day ")) for piece in selection.parts.values()]


def test_everything_is_read_when_the_calls_suffice() -> None:
    selection = select("How many whales were seen?", len(PARTS))
    assert selection == Selection(PARTS, "all 40 parts of the material", missed=False)


@pytest.mark.parametrize(
    ("parts", "said"), [(1, "all of the material"), (0, "nothing, for there is no text")]
)
def test_a_single_part_and_none_are_spoken_of_as_such(parts: int, said: str) -> None:
    few = {number: piece for number, piece in PARTS.items() if number <= parts}
    assert select_parts("How many whales were seen?", "", few, 5, CONTEXT) == Selection(
        few, said, missed=False
    )


def test_quoted_words_narrow_it_down_and_are_counted() -> None:
    selection = select("In how many entries does “whale” stand?", len(PARTS))
    assert days(selection) == [4, 17, 30]
    assert selection.coverage == "the 3 of 40 parts that hold “whale” (found 4 times)"
    assert not selection.missed


@pytest.mark.parametrize("quoted", ['"whale calf"', "„whale calf“", "«whale calf»", '"Whale calf."'])
def test_any_quotation_marks_will_do(quoted: str) -> None:
    assert days(select(f"How often is {quoted} mentioned?", 40)) == [17]


def test_quoted_words_that_are_nowhere_narrow_nothing_down() -> None:
    assert len(select('How often is "walrus" mentioned?', 40).parts) == 40


def test_quoted_words_that_lie_across_a_cut_narrow_nothing_down() -> None:
    context = Context([Material("log.txt", "The log speaks of a black box on board.")])
    parts = {1: context.piece(0, 26), 2: context.piece(26, 39)}
    assert not any("black box" in part.text for part in parts.values())
    selection = select_parts('How often is "black box" mentioned?', "", parts, 9, context)
    assert selection == Selection(parts, "all 2 parts of the material", missed=False)


def test_of_too_many_parts_those_are_read_that_have_the_words_of_the_question() -> None:
    selection = select("How many whales were seen?", 7)
    assert {4, 17, 30} <= set(days(selection))
    assert selection.coverage == "the 7 of 40 parts that fit the question best"
    assert selection.missed


def test_what_was_looked_up_before_counts_as_words_of_the_question() -> None:
    known = "Which animal? A whale [2]"
    assert {4, 17, 30} <= set(days(select("How many animals were seen?", 7, known)))


def test_a_digest_of_too_much_is_made_from_parts_spread_over_the_whole() -> None:
    selection = select("Summarise the log of the whale.", 5)
    assert days(selection) == [0, 10, 20, 29, 39]
    assert selection.coverage == "the 5 of 40 parts spread over all of the material"
    assert selection.missed


@pytest.mark.parametrize("most", [1, 2, 7, 39])
def test_never_more_parts_are_read_than_there_are_calls_for(most: int) -> None:
    for question in ("How many were seen?", "Summarise it.", "How often did the crew mend the sails?"):
        selection = select(question, most)
        assert len(selection.parts) == most
        assert list(selection.parts) == sorted(selection.parts)


def test_one_passage_and_several_are_spoken_of_as_such() -> None:
    assert best_passages(1) == "the passage that fits the question best"
    assert best_passages(12) == "the 12 passages that fit the question best"

"""Which line of some passages a question is about, and which replies about it are believed."""

from __future__ import annotations

import pytest

from rlm_core.context import Context, Material
from rlm_core.lines import best_line, best_sentence, keeps_to

TEXT = """# Machines

## Pillar drill
The pillar drill is kept in the wheel room.
The keeper of the pillar drill is Greta Sandoval.
The pillar drill is serviced every 26 weeks.

## Leave
{filler} Everyone has 27 days of paid leave a year. {filler}

Decision 202: We build a second rain drum. Owner: Hedda Marsh. Due: 4 July 2024. Budget: 8,450 euros.
""".format(filler="The coffee machine is cleaned on Fridays by whoever comes first. " * 4)


def line_for(question: str) -> tuple[str, float] | None:
    context = Context([Material("handbook.md", TEXT)])
    found = best_line(question, context.search(question, 5), context)
    if found is None:
        return None
    assert context.text[found.piece.start : found.piece.end] == found.piece.text
    return found.piece.text.strip(), found.fit


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("Who is the keeper of the pillar drill?", "The keeper of the pillar drill is Greta Sandoval."),
        ("How often is the pillar drill serviced?", "The pillar drill is serviced every 26 weeks."),
        ("How many days of paid leave are there?", "Everyone has 27 days of paid leave a year."),
        (
            "What is the budget of the second rain drum?",
            "Decision 202: We build a second rain drum. Owner: Hedda Marsh. Due: 4 July 2024. Budget: 8,450 euros.",
        ),
    ],
)
def test_the_line_with_the_rare_words_of_the_question_is_found(question: str, line: str) -> None:
    found = line_for(question)
    assert found is not None
    assert found[0] == line
    assert found[1] > 0.5


LISTS = """Sheet
Item | Room | Value
Dishwasher | Kitchen | 649
SUMMARY:Dentist
VAT_RATE = 0.19
The warehouse moves to Lübeck.
- Zahnärztin Dr. Schönfelder
Die Beträge sind offen, die Rechnungen R-0037 auch.
"""


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("What is the value of the dishwasher?", "Dishwasher | Kitchen | 649"),
        ("When is the dentist?", "SUMMARY:Dentist"),
        ("What is the VAT rate?", "VAT_RATE = 0.19"),
        ("Where did the warehouse move to?", "The warehouse moves to Lübeck."),
        ("Wie heißt die Zahnärztin?", "- Zahnärztin Dr. Schönfelder"),
        ("Welcher Betrag ist offen?", "Die Beträge sind offen, die Rechnungen R-0037 auch."),
    ],
)
def test_lines_of_tables_calendars_code_and_german_notes_are_found(question: str, line: str) -> None:
    context = Context([Material("lists.txt", LISTS)])
    found = best_line(question, [context.piece(0, len(LISTS))], context)
    assert found is not None
    assert found.piece.text.strip() == line
    assert found.fit >= 0.4


def test_a_line_that_shares_little_with_the_question_fits_badly() -> None:
    found = line_for("Which supplier sends the coffee filters and the sugar?")
    assert found is not None
    assert found[1] < 0.5


def test_no_line_is_found_when_no_word_of_the_question_is_there() -> None:
    assert line_for("Kann man Kuchen bestellen?") is None


def test_of_a_long_line_the_sentence_is_taken_that_fits() -> None:
    text = "The bar opens at six. Everyone has 27 days of leave. The hall is cold."
    assert best_sentence("How many days of leave has everyone?", text) == "Everyone has 27 days of leave."


RECORD = (
    "Decision 202: We build a second rain drum. Owner: Hedda Marsh. Due: 4 July 2024. Budget: 8,450 euros."
)


@pytest.mark.parametrize(
    ("question", "reply", "believed"),
    [
        ("What is the budget for the rain drum?", "The budget is 8,450 euros.", True),
        ("What is the budget for the rain drum?", "The budget is 6,500 euros.", False),
        ("Who owns the decision?", "Hedda Marsh owns it.", True),
        ("Who owns the decision?", "The decision was a good one.", False),
        ("Who owns the decision?", "Paloma Reyes owns the decision about the drum.", False),
        ("What is the number of the decision about the rain drum?", "It was made by Hedda Marsh.", False),
        ("What is the number of the decision about the rain drum?", "It is decision 202.", True),
        ("What is the budget for the rain drum?", "The budget for the rain drum.", False),
        ("What is the budget for the rain drum?", "", False),
    ],
)
def test_a_reply_is_believed_when_it_says_what_was_asked_in_words_of_the_line(
    question: str, reply: str, believed: bool
) -> None:
    assert keeps_to(reply, RECORD, question) is believed

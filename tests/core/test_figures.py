"""What code counts and adds up by itself, and where it keeps silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_core.context import Context, Material, read_file
from rlm_core.figures import figure_of_table
from rlm_core.grids import grids
from rlm_core.line_counts import Figure, count_of_lines

INVOICES = """Rechnungsnr;Datum;Lieferant;Ort;Betrag
R-0001;27.07.2024;Müller & Söhne;Köln;2.371,37
R-0002;29.10.2024;Gärtnerei Weiß;Köln;98,45
R-0003;06.12.2024;Müller & Söhne;Füssen;1.318,00
R-0004;07.12.2023;Bäckerei Groß;Füssen;12
"""
INVENTORY = """Inventory

Item | Room | Value (EUR)
Piano | Living room | 12400
Oven | Kitchen | 899
Dishwasher | Kitchen | 649

The contents are insured.
"""
LOG = "".join(
    f"2025-06-0{n % 9 + 1} {'ERROR' if n % 5 == 0 else 'INFO'} web-{n % 3} served {n}\n" for n in range(60)
)


@pytest.fixture(scope="module")
def invoices(tmp_path_factory: pytest.TempPathFactory) -> Context:
    path: Path = tmp_path_factory.mktemp("invoices") / "rechnungen.csv"
    path.write_bytes(INVOICES.encode("cp1252"))
    return Context([read_file(path)])


def inventory() -> Context:
    return Context([Material("inventory.docx", INVENTORY)])


def held(figure: Figure | None, context: Context) -> list[str]:
    assert figure is not None
    return [context.text[start:end] for start, end in figure.places]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Wie hoch ist die Summe aller Beträge?", "The sum of Betrag over all 4 rows of rechnungen.csv is 3,799.82."),
        ("What is the average Betrag?", "The average of Betrag over all 4 rows of rechnungen.csv is 949.96."),
        ("Wie viele Rechnungen sind aus Köln?", "2 of the 4 rows of rechnungen.csv have “Köln” as Ort."),
        (
            "Welche Lieferanten gibt es?",
            "Lieferant has 3 different values in all 4 rows of rechnungen.csv: Müller & Söhne (2), Gärtnerei Weiß (1), "
            "Bäckerei Groß (1).",
        ),
        (
            "Wie viele Rechnungen sind vom Dezember 2024 oder sonst aus 2024?",
            None,  # one or the other
        ),
        (
            "What is the total Betrag in 2024?",
            "The sum of Betrag over the 3 rows of rechnungen.csv that have a day of 2024 as Datum is 3,787.82.",
        ),
        ("Wie viele Beträge liegen über 1000?", None),
        ("What is the total Betrag of Schmidt AG?", None),
        ("Wie hoch ist der Betrag der Rechnung R-0003?", None),
        ("What is the total Betrag in 2019?", None),
        ("What is the sum of the Beträge of the Lieferant with the most?", None),
        ("Who wrote this?", None),
    ],
)  # fmt: skip
def test_a_sheet_is_counted_and_added_up(invoices: Context, question: str, said: str | None) -> None:
    figure = figure_of_table(question, invoices)
    assert (figure.text if figure else None) == said


@pytest.mark.parametrize(
    ("before", "question", "said"),
    [
        ("Wie viele Rechnungen sind aus Köln?", "Und aus Füssen?", "have “Füssen” as Ort."),
        ("What is the sum of the Betrag?", "And the average?", "The average of Betrag over all 4 rows"),
        ("What is the average Betrag in Köln?", "And the sum?", "The sum of Betrag over the 2 rows"),
    ],
)
def test_a_follow_up_says_only_what_is_new(invoices: Context, before: str, question: str, said: str) -> None:
    figure = figure_of_table(question, invoices, before)
    assert figure is not None
    assert said in figure.text


def test_two_values_of_one_column_are_not_taken_for_one(invoices: Context) -> None:
    assert figure_of_table("Wie viele Rechnungen sind aus Köln und Füssen?", invoices) is None


def test_the_largest_is_shown_with_its_row(invoices: Context) -> None:
    figure = figure_of_table("What is the largest Betrag?", invoices)
    assert figure is not None
    assert "2,371.37" in figure.text
    assert held(figure, invoices) == ["R-0001;27.07.2024;Müller & Söhne;Köln;2.371,37"]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is the total value of all items?", "is 13,948."),
        ("Which item is the most expensive?", "“Piano | Living room | 12400”"),
        ("How many items are in the kitchen?", "2 of the 3 rows of inventory.docx have “Kitchen” as Room."),
        ("What is the total value of the kitchen?", "is 1,548."),
    ],
)
def test_a_table_inside_a_document_is_one_too(question: str, said: str) -> None:
    figure = figure_of_table(question, inventory())
    assert figure is not None
    assert said in figure.text


@pytest.mark.parametrize(
    ("cells", "total"),
    [("1,234.50 2.5", "1237.00"), ("1.234,5 2", "1236.5"), ("12 € 1", "13"), ("1.5 2", "3.5"), ("a 2", None)],
)
def test_numbers_are_read_as_their_column_writes_them(cells: str, total: str | None) -> None:
    first, second = cells.rsplit(" ", 1)
    (grid,) = grids(Context([Material("t.md", f"| a | n |\n|---|---|\n| x | {first} |\n| y | {second} |\n")]))
    numbers = grid.numbers.get(1)
    assert (None if numbers is None else str(sum(n for n in numbers if n is not None))) == total


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How many ERROR lines are there?", "“ERROR” stands on 12 lines of web.log."),
        (
            "How many ERROR lines did web-2 log?",
            "“ERROR” together with “web-2” stands on 4 lines of web.log.",
        ),
        ("Wie oft steht „INFO“ darin?", "“INFO” stands on 48 lines of web.log."),
        ("How many lines mention Schmidt?", None),
        ("How many lines are there?", None),
        ("Who logged an ERROR?", None),
        ("How many ERROR lines are not from web-2?", None),
    ],
)
def test_lines_with_a_name_are_counted(question: str, said: str | None) -> None:
    figure = count_of_lines(question, Context([Material("web.log", LOG)]))
    assert (figure.text if figure else None) == said


def test_a_count_names_further_words_of_the_question() -> None:
    text = "Chair: Hedda Marsh\nMinutes: Hedda Marsh\nChair: Hedda Marsh\n"
    context = Context([Material("notes.txt", text)])
    figure = count_of_lines("How many meetings did Hedda Marsh chair?", context)
    assert figure is not None
    assert figure.text == "“Hedda Marsh” stands on 3 lines of notes.txt, on 2 of them with “chair”."
    assert len(held(figure, context)) == 3

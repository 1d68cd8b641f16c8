"""The sample documents are what their script makes, and their questions can be answered from them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "sample_docs"
sys.path.insert(0, str(SAMPLES))
from making.questions import is_right, number  # noqa: E402

QUESTIONS: list[dict[str, Any]] = json.loads((SAMPLES / "questions.json").read_text(encoding="utf-8"))
SMALLEST_SIZE_IN_TOKENS = {
    "handbook.md": 12_000,
    "meeting_notes.txt": 50_000,
    "orders.csv": 50_000,
    "server.log": 50_000,
    "expedition_journal.txt": 150_000,
}


def text_of(document: str) -> str:
    return (SAMPLES / document).read_bytes().decode("utf-8")


def evidence_of(question: dict[str, Any]) -> list[str]:
    text = text_of(question["document"])
    return [text[span["start"] : span["end"]] for span in question["evidence"]]


def test_the_files_are_byte_for_byte_what_the_script_makes() -> None:
    run = subprocess.run([sys.executable, SAMPLES / "make.py", "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_check_names_a_changed_file(tmp_path: Path) -> None:
    copied = subprocess.run(
        [sys.executable, "-c", f"import shutil; shutil.copytree({str(SAMPLES)!r}, {str(tmp_path / 's')!r})"]
    )
    assert copied.returncode == 0
    changed = tmp_path / "s" / "orders.csv"
    changed.write_text(changed.read_text(encoding="utf-8") + "one line too many\n", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, tmp_path / "s" / "make.py", "--check"], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "orders.csv" in run.stderr
    assert "server.log" not in run.stderr


@pytest.mark.parametrize(("document", "tokens"), SMALLEST_SIZE_IN_TOKENS.items())
def test_each_document_is_as_long_as_promised(document: str, tokens: int) -> None:
    assert len(text_of(document)) / 4 >= tokens


def test_every_document_has_questions_of_every_kind() -> None:
    kinds = {"find_one", "find_several", "count", "compare", "multi_hop", "aggregate"}
    for document in SMALLEST_SIZE_IN_TOKENS:
        assert {q["kind"] for q in QUESTIONS if q["document"] == document} == kinds, document


def test_ids_are_unique() -> None:
    ids = [question["id"] for question in QUESTIONS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["id"])
def test_the_known_answer_is_accepted_and_an_empty_or_wrong_one_is_not(question: dict[str, Any]) -> None:
    assert is_right(question, f"The answer is {question['answer']}.")
    assert not is_right(question, "")
    assert not is_right(question, "The document does not say, but perhaps it is 987654321 or Nobody Atall.")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["id"])
def test_evidence_is_whole_sentences_or_lines_of_the_document(question: dict[str, Any]) -> None:
    passages = evidence_of(question)
    assert passages
    for passage in passages:
        assert passage == passage.strip()
        assert "\n" not in passage


@pytest.mark.parametrize(
    "question", [q for q in QUESTIONS if q["kind"] in {"find_one", "find_several"}], ids=lambda q: q["id"]
)
def test_what_is_to_be_found_stands_in_the_evidence(question: dict[str, Any]) -> None:
    said = "\n".join(evidence_of(question))
    if question["document"].endswith(".csv"):
        said = said.replace(",", " | ")  # a comma between cells is not one within a number
    assert is_right(question, said)


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q["kind"] == "count"], ids=lambda q: q["id"])
def test_a_count_is_the_number_of_its_passages(question: dict[str, Any]) -> None:
    assert int(question["answer"]) == len(question["evidence"])


def test_sums_follow_from_an_independent_reading_of_the_documents() -> None:
    """The same answers by another way: regular expressions over the finished files, not the generator's data."""
    found = {q["question"]: q for q in QUESTIONS}
    journal, notes = text_of("expedition_journal.txt"), text_of("meeting_notes.txt")
    june = journal[journal.index(" 1 June 1911.") : journal.index(" 1 July 1911.")]
    miles = sum(int(amount) for amount in re.findall(r"We walked (\d+) miles\.", june))
    assert is_right(found["How many miles were walked in June 1911 in all?"], str(miles))

    march = 0
    for head, body in re.findall(r"MEETING \d+ - (.+?)\n(.*?)(?=\nMEETING|\nEND OF)", notes, re.DOTALL):
        if head.endswith("March 2024"):
            march += sum(
                int(euros.replace(",", "")) for euros in re.findall(r"Budget: ([\d,]+) euros\.", body)
            )
    assert is_right(
        found["What is the sum of the budgets of all decisions made in March 2024, in euros?"], str(march)
    )

    rows = [line.split(",") for line in text_of("orders.csv").splitlines()[1:]]
    wildlife = sum(
        round(float(row[9]) * 100)
        for row in rows
        if row[5] == "wildlife" and row[10] == "delivered" and row[1].startswith("2025-05")
    )
    asked = next(q for q in QUESTIONS if "category wildlife" in q["question"])
    assert is_right(asked, f"{wildlife / 100:.2f}")

    backups = re.findall(r"backup finished size=(\d+)MB", text_of("server.log"))
    assert is_right(found["What is the total size of all backups, in MB?"], str(sum(map(int, backups))))

    tools = re.findall(
        r"The (.+?) is kept in the back room\..*?Replacing the \1 costs (\d+) euros", text_of("handbook.md")
    )
    asked = next(q for q in QUESTIONS if "replace all the machines" in q["question"])
    assert is_right(asked, str(sum(int(euros) for _, euros in tools)))


@pytest.mark.parametrize(
    "written", ["11690", "11,690", "11 690", "11,690.00", "It is 11,690 euros.", "**11690**"]
)
def test_a_number_is_recognised_as_people_write_it(written: str) -> None:
    assert re.search(number(11_690), written)


@pytest.mark.parametrize("other", ["116900", "1,690", "11,690.5", "211,690", "11690,5"])
def test_another_number_that_contains_it_is_not_taken_for_it(other: str) -> None:
    assert not re.search(number(11_690), other)


def test_the_readme_asks_three_questions_of_each_document() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    for document in SMALLEST_SIZE_IN_TOKENS:
        section = readme.split(f"\n`{document}`\n")[1].split("\n\n")[0]
        assert len(re.findall(r"^- .+\?$", section, re.MULTILINE)) == 3

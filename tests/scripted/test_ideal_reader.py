"""The ideal reader knows what its prompt says, and nothing else."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.scripted.ideal_reader import NOTHING, IdealReader, split_passages, split_question
from tests.scripted.script import ChatRequest, Message, prompt_tokens

SAMPLES = Path(__file__).resolve().parents[2] / "sample_docs"
QUESTIONS = json.loads((SAMPLES / "questions.json").read_text(encoding="utf-8"))


@cache
def document(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


def right(question: dict[str, Any], answer: str | None) -> bool:
    return answer is not None and any(
        re.search(p, answer, re.IGNORECASE | re.DOTALL) for p in question["accept"]
    )


def asked(text: str) -> str:
    messages = (Message("system", "Answer from the passages."), Message("user", text))
    request = ChatRequest("m", messages, prompt_tokens(messages), 4096, None, None, {})
    reply = IdealReader().reply(request)
    assert isinstance(reply, str)
    return reply


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["id"])
def test_it_answers_every_question_from_the_whole_document(question: dict[str, Any]) -> None:
    answer = asked(f"{document(question['document'])}\n\nQuestion: {question['question']}")
    assert right(question, answer), answer


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["id"])
def test_the_notes_of_overlapping_parts_give_the_same_answer(question: dict[str, Any]) -> None:
    text, size, overlap = document(question["document"]), 6000, 600
    reader, notes = IdealReader(), []
    for start in range(0, len(text), size - overlap):
        notes += reader.notes(question["question"], [text[start : start + size]])
    answer = reader.answer(question["question"], notes)
    assert right(question, answer), answer


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["id"])
def test_it_does_not_know_what_is_not_in_the_prompt(question: dict[str, Any]) -> None:
    assert asked(question["question"]) == NOTHING


def test_it_greets() -> None:
    assert asked("Hello!").startswith("Hello")


def test_a_passage_does_not_date_the_next_one() -> None:
    passages = split_passages(
        "[1] MEETING 002 - 1 June 2024\nDecision 010: We buy a bell. Owner: A Bee. Due: 2 June 2024. Budget: 10 euros.\n"
        "[2] Decision 400: We buy a lamp. Owner: A Bee. Due: 2 June 2026. Budget: 90 euros.\n"
    )
    assert (
        IdealReader().answer("What is the sum of the budgets of all decisions made in June 2024?", passages)
        == "10"
    )


def test_the_question_is_found_where_prompts_put_it() -> None:
    assert split_question("Text.\nQuestion: Who?\nAnswer:") == ("Who?", "Text.\nAnswer:")
    assert split_question("Original question:\nWho?\nText.") == ("Who?", "Text.")
    assert split_question("Text.\n\nWho was it?") == ("Who was it?", "Text.\n")

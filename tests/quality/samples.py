"""The sample questions, and how an answer to one is judged."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rlm_core.context import Material, read_file

SAMPLES = Path(__file__).resolve().parents[2] / "sample_docs"


@dataclass(frozen=True)
class SampleQuestion:
    """One entry of ``questions.json``. ``evidence`` are offsets into the document."""

    id: str
    document: str
    kind: str
    text: str
    answer: str
    accept: tuple[str, ...]
    evidence: tuple[tuple[int, int], ...]

    @property
    def material(self) -> Material:
        return material_of(self.document)

    def accepts(self, answer: str) -> bool:
        return any(re.search(pattern, answer, re.IGNORECASE | re.DOTALL) for pattern in self.accept)


@cache
def questions() -> tuple[SampleQuestion, ...]:
    entries = json.loads((SAMPLES / "questions.json").read_text(encoding="utf-8"))
    return tuple(
        SampleQuestion(
            entry["id"],
            entry["document"],
            entry["kind"],
            entry["question"],
            entry["answer"],
            tuple(entry["accept"]),
            tuple((span["start"], span["end"]) for span in entry["evidence"]),
        )
        for entry in entries
    )


DOCUMENTS = tuple(dict.fromkeys(question.document for question in questions()))


@cache
def material_of(document: str) -> Material:
    """The document, read as an uploaded file is (the tables of a CSV come with it)."""
    return read_file(SAMPLES / document)


@cache
def text_of(document: str) -> str:
    return (SAMPLES / document).read_bytes().decode("utf-8")

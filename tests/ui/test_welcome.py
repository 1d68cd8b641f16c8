"""The first page: its sample questions have known answers, and the smallest model finds the first of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_core import RLMEngine, Settings
from rlm_core.backends.base import ModelInfo
from tests.quality.samples import SAMPLES as FOLDER
from tests.quality.samples import questions
from ui.models_view import is_small
from ui.welcome import SAMPLES, Readiness, sample_question, welcome

KNOWN = {question.text: question for question in questions()}
READY = Readiness(True, "Everything is there.")


def test_every_question_has_a_key_a_known_answer_and_its_own_document() -> None:
    for number, sample in enumerate(SAMPLES):
        for place, text in enumerate(sample.questions):
            assert sample_question(f"{number}-{place}") == (sample.file, text)
            assert KNOWN[text].document == sample.file
    assert sample_question("9-0") is None
    assert sample_question("../x") is None


def test_the_longest_document_comes_first() -> None:
    sizes = [(FOLDER / sample.file).stat().st_size for sample in SAMPLES]
    assert sizes[0] == max(sizes)


def test_with_a_small_model_the_page_says_what_it_can_do() -> None:
    said = "This small model finds the first answer of each"
    assert said in welcome(READY, (), READY, FOLDER, small=True)
    assert said not in welcome(READY, (), READY, FOLDER)
    models = [
        ModelInfo("smollm2", parameters="135M"),
        ModelInfo("qwen3:8b", parameters="8.2B"),
        ModelInfo("x"),
    ]
    assert [is_small(models, name) for name in ("smollm2", "qwen3:8b", "x", "unknown")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.embedded
def test_the_embedded_model_finds_the_first_answer_of_each_sample(tmp_path: Path) -> None:
    with RLMEngine(Settings(backend="embedded"), data_dir=tmp_path) as engine:
        for sample in SAMPLES:
            question = KNOWN[sample.questions[0]]
            result = engine.ask(question.text, documents=[question.material])
            assert question.accepts(result.answer), f"{question.text} {result.answer}"
            assert result.citations

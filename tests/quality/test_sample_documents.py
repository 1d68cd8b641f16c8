"""A perfect reader with a small window answers every sample question through the engine, and hardly any without it."""

from __future__ import annotations

import httpx
import pytest

from rlm_core import RLMEngine
from rlm_core.settings import StrategyName
from tests.quality.samples import DOCUMENTS, SampleQuestion, questions, text_of
from tests.scripted.ideal_reader import NOTHING, WINDOW, IdealReader
from tests.scripted.ollama_server import ScriptedOllama
from tests.scripted.script import ChatRequest, Message, prompt_tokens, tokenize

ROOM_FOR_THE_QUESTION = 200
by_document = pytest.mark.parametrize("document", DOCUMENTS)


def about(document: str) -> list[SampleQuestion]:
    return [question for question in questions() if question.document == document]


def told(question: SampleQuestion, answer: str) -> str:
    return f"{question.id} {question.text} Expected: {question.answer}. Got: {answer[:300]}"


@by_document
@pytest.mark.parametrize("strategy", ["loop", "retrieve"])
def test_every_question_is_answered_right(engine: RLMEngine, strategy: StrategyName, document: str) -> None:
    wrong = []
    for question in about(document):
        result = engine.ask(question.text, documents=[question.material], mode="recursive", strategy=strategy)
        if not question.accepts(result.answer) or result.partial:
            wrong.append(told(question, f"{result.answer} {result.reason or ''}"))
    assert not wrong, "\n".join(wrong)


def test_auto_takes_the_loop_for_a_model_that_codes(engine: RLMEngine) -> None:
    question = next(question for question in questions() if question.id == "meeting-notes-08")
    result = engine.ask(question.text, documents=[question.material])
    assert (result.route.decision, result.route.strategy) == ("recursive", "loop")
    assert question.accepts(result.answer), told(question, result.answer)


@by_document
def test_a_direct_call_cannot_hold_the_document_and_gets_questions_wrong(
    engine: RLMEngine, document: str
) -> None:
    asked = [
        question for question in about(document) if question.kind in {"count", "find_several", "multi_hop"}
    ]
    results = [
        (question, engine.ask(question.text, documents=[question.material], mode="direct"))
        for question in asked
    ]
    assert any(not question.accepts(result.answer) for question, result in results)


@by_document
def test_the_bare_model_knows_only_what_its_window_holds(document: str) -> None:
    tokens = tokenize(text_of(document))
    assert len(tokens) > WINDOW
    seen = "".join(tokens[: WINDOW - ROOM_FOR_THE_QUESTION])
    for question in about(document):
        messages = (Message("user", f"{seen}\n\nQuestion: {question.text}"),)
        assert prompt_tokens(messages) <= WINDOW
        request = ChatRequest("m", messages, prompt_tokens(messages), WINDOW, None, None, {})
        answer = str(IdealReader().reply(request))
        if question.accepts(answer):
            assert any(start < len(seen) for start, _ in question.evidence), told(question, answer)


def test_without_its_evidence_a_question_is_not_answered() -> None:
    for question in questions():
        if question.kind != "find_one":
            continue
        text = text_of(question.document)
        for start, end in reversed(question.evidence):
            text = text[:start] + text[end:]
        middle = min(start for start, _ in question.evidence)
        messages = (
            Message("user", f"{text[max(0, middle - 3000) : middle + 3000]}\n\nQuestion: {question.text}"),
        )
        request = ChatRequest("m", messages, prompt_tokens(messages), WINDOW, None, None, {})
        assert IdealReader().reply(request) == NOTHING, question.id


@by_document
def test_the_server_refuses_a_whole_document(server: ScriptedOllama, document: str) -> None:
    body = {
        "model": "qwen3:8b",
        "messages": [{"role": "user", "content": text_of(document)}],
        "options": {"num_ctx": WINDOW},
        "truncate": False,
    }
    reply = httpx.post(f"{server.url}/api/chat", json=body)
    assert reply.status_code == 400
    assert "exceeds the available context size" in reply.text

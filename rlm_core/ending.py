"""Whatever happens on the way, a message ends with an answer or a clear reason, marked partial where it is."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from dataclasses import asdict, replace
from typing import Any

from memory_store.errors import StoreError
from rlm_core.budget import BudgetExhausted
from rlm_core.citations import cite
from rlm_core.errors import LocalRLMError
from rlm_core.events import AnswerEvent, CitationEvent, DoneEvent, ErrorEvent, UsageEvent
from rlm_core.question import Question
from rlm_core.results import Answer
from rlm_core.run import Run

log = logging.getLogger(__name__)

EMPTY = "The model's answer is empty. Ask again, or choose another model."
UNFORESEEN = "Something went wrong inside LocalRLM; the log has the details."


async def conclude(run: Run, question: Question, work: Coroutine[Any, Any, Answer]) -> None:
    """Wait for the answer, within the message's time and until it is stopped, and send the last events."""
    task = asyncio.current_task()
    assert task is not None
    try:
        with run.cancel.watching(task):
            async with asyncio.timeout(run.budget.limits.max_seconds):
                answer = await work
        if not answer.text.strip() and not answer.partial:
            answer = replace(answer, partial=True, reason=EMPTY)
    except asyncio.CancelledError:
        answer = _partial(run, question, run.cancel.reason or "The app was closed.")
        if not run.cancel.cancelled:
            _close(run, answer)
            raise
        task.uncancel()
    except BudgetExhausted as error:
        answer = _partial(run, question, str(error))
    except TimeoutError:
        answer = _partial(run, question, str(run.budget.time_is_up()))
    except (LocalRLMError, StoreError) as error:
        run.emit(ErrorEvent, code=_code(error), text=str(error))
        answer = _partial(run, question, str(error))
    except Exception:
        log.exception("Message %s failed", run.message_id)
        run.emit(ErrorEvent, code="internal", text=UNFORESEEN)
        answer = _partial(run, question, UNFORESEEN)
    _close(run, answer)


def _partial(run: Run, question: Question, reason: str | None) -> Answer:
    """The best there is."""
    return replace(cite(run.draft.strip(), {}, question.context), partial=True, reason=reason)


def _close(run: Run, answer: Answer) -> None:
    for citation in answer.citations:
        run.emit(CitationEvent, citation=citation)
    run.emit(
        AnswerEvent,
        text=answer.text,
        citations=answer.citations,
        quotations=answer.quotations,
        partial=answer.partial,
        reason=answer.reason,
        coverage=answer.coverage,
    )
    run.emit(UsageEvent, **asdict(run.budget.usage()))
    run.emit(DoneEvent)


def _code(error: Exception) -> str:
    """``ModelMissing`` as ``model_missing``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()

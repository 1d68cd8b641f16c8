"""The first page: what is ready, what is missing, and something worth asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ui.html import block, do, esc
from ui.models_view import pull_button
from ui.words import size


@dataclass(frozen=True)
class Sample:
    """A document of ``sample_docs/`` and three questions worth asking of it."""

    file: str
    what: str
    questions: tuple[str, ...]


SAMPLES = (
    Sample(
        "handbook.md",
        "the staff handbook of a bicycle works",
        (
            "What is the telephone extension of the keeper of the frame jig?",
            "Which suppliers deliver within 5 working days or fewer?",
            "What would it cost to replace all the machines and tools that are kept in the back room?",
        ),
    ),
    Sample(
        "meeting_notes.txt",
        "112 meetings of a theatre's house committee",
        (
            "Who took the minutes of the meeting that decided to sell the old film projector?",
            "What is the sum of the budgets of all decisions made in March 2024?",
            "Which has the larger budget, the new motor for the revolving stage or the overhaul of the grand piano?",
        ),
    ),
    Sample(
        "orders.csv",
        "3,600 orders of a garden shop",
        (
            "From which city did delivered orders bring more money, Cork or Lille, and by how many euros?",
            "How many orders were cancelled in March 2025?",
            "What did the customer with the most orders spend on delivered orders?",
        ),
    ),
)


@dataclass(frozen=True)
class Readiness:
    """One thing that LocalRLM needs: whether it is there, the sentence that says so, what to do, and whether Ollama can be
    started for it."""

    ok: bool
    sentence: str
    advice: str = ""
    startable: bool = False


def welcome(server: Readiness, missing: Sequence[str], store: Readiness, folder: Path) -> str:
    """What an empty conversation shows: the state of the model server, the models that are missing, where everything is
    kept. ``folder`` holds the sample documents."""
    ready = _ready(server) + "".join(_missing(model) for model in missing) + _ready(store)
    cards = "".join(_card(sample, folder) for sample in SAMPLES if (folder / sample.file).is_file())
    samples = ""
    if cards:
        samples = f'<h3>Or try a sample document</h3><div class="samples">{cards}</div>'
    return block(
        '<div class="welcome"><h2>Ask anything about anything you have</h2>'
        "<p>Drop a document of any length into the message box and ask. Long material is read in pieces until the answer is"
        " found, and every step can be looked at. Nothing leaves this computer.</p>"
        f'<ul class="ready">{ready}</ul>{samples}</div>'
    )


def _ready(item: Readiness) -> str:
    style = "good" if item.ok and not item.advice and not item.startable else "warn"
    start = do("page", "start", "ollama", "Start Ollama", style="boxed") if item.startable else ""
    said = f"{item.sentence} {item.advice}".strip()
    return f'<li class="{style}">{esc(said)} {start}</li>'


def _missing(model: str) -> str:
    return f'<li class="warn">The model {esc(model)} is not installed. {pull_button(model)}</li>'


def sample_question(key: str) -> tuple[str, str] | None:
    """File and question of a button's key (``1-2``: sample 1, question 2)."""
    first, _, second = key.partition("-")
    if not (first.isdigit() and second.isdigit()):
        return None
    sample, question = int(first), int(second)
    if sample >= len(SAMPLES) or question >= len(SAMPLES[sample].questions):
        return None
    return SAMPLES[sample].file, SAMPLES[sample].questions[question]


def _card(sample: Sample, folder: Path) -> str:
    index = SAMPLES.index(sample)
    questions = "".join(
        f"<li>{do('chat', 'sample', f'{index}-{number}', esc(question), style='linklike')}</li>"
        for number, question in enumerate(sample.questions)
    )
    facts = f"{sample.what}, {size((folder / sample.file).stat().st_size)}"
    return f'<section class="card"><h4>{esc(sample.file)}</h4><p class="quiet">{esc(facts)}</p><ul>{questions}</ul></section>'

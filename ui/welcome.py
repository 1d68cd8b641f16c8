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
    """A document of ``sample_docs/`` and three questions worth asking of it; the first asks for one stated fact, which the
    smallest models find too."""

    file: str
    what: str
    questions: tuple[str, ...]
    wide: bool = False


SAMPLES = (
    Sample(
        "expedition_journal.txt",
        "A year on a group of islands: about 150,000 tokens, many times what a model at home reads at once.",
        (
            "Where was the spare chronometer buried?",
            "From which town does the person who mended the sextant come?",
            "How many miles were walked in June 1911 in all?",
        ),
        wide=True,
    ),
    Sample(
        "handbook.md",
        "The staff handbook of a bicycle works.",
        (
            "How many days of paid leave does everyone have a year?",
            "What is the telephone extension of the keeper of the frame jig?",
            "Which suppliers deliver within 5 working days or fewer?",
        ),
    ),
    Sample(
        "meeting_notes.txt",
        "112 meetings of a theatre's committee.",
        (
            "On what date was it decided to close the left trapdoor for good?",
            "Who took the minutes of the meeting that decided to sell the old film projector?",
            "How many meetings did Hedda Marsh chair?",
        ),
    ),
    Sample(
        "orders.csv",
        "A table of 3,600 orders of a garden shop.",
        (
            "Which product was ordered in order GS-11735?",
            "How many orders were cancelled in March 2025?",
            "From which city did delivered orders bring more money, Cork or Lille, and by how many euros?",
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


def welcome(
    server: Readiness, missing: Sequence[str], store: Readiness, folder: Path, *, small: bool = False
) -> str:
    """What an empty conversation shows: the state of the model server, the models that are missing, where everything is
    kept. ``folder`` holds the sample documents. ``small``: the model answers only the first question of each."""
    ready = _ready(server) + "".join(_missing(model) for model in missing) + _ready(store)
    cards = "".join(_card(sample, folder) for sample in SAMPLES if (folder / sample.file).is_file())
    samples = ""
    if cards:
        hint = "<small>This small model finds the first answer of each; the others need a larger one.</small>"
        title = f"Or try a sample document {hint if small else ''}"
        samples = f'<h3>{title}</h3><div class="samples">{cards}</div>'
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
    bytes_on_disk = size((folder / sample.file).stat().st_size)
    return (
        f'<section class="card{" wide" if sample.wide else ""}"><h4>{esc(sample.file)} <small>{bytes_on_disk}</small></h4>'
        f'<p class="quiet">{esc(sample.what)}</p><ul>{questions}</ul></section>'
    )

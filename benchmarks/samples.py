"""How many questions about the sample documents a real model answers right.

python -m benchmarks samples --kinds find_one --documents meeting_notes.txt
python -m benchmarks samples --backend ollama --model qwen3:8b --strategy retrieve
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from typing import Any

from benchmarks.report import Spread, Table, shown
from rlm_core import RLMEngine, Settings
from tests.quality.samples import DOCUMENTS, questions

QUICK = {"count": 1}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", choices=("auto", "embedded", "ollama", "openai"), default="embedded")
    parser.add_argument("--base-url", default=None, help="address of the model server")
    parser.add_argument("--model", default=None)
    parser.add_argument("--strategy", choices=("auto", "loop", "plan", "retrieve"), default="auto")
    parser.add_argument("--kinds", default="find_one", help="of the questions (default %(default)s)")
    parser.add_argument("--documents", default=",".join(DOCUMENTS), help="some of %(default)s")
    parser.add_argument("--count", type=int, default=None, help="at most so many questions")


def run(arguments: argparse.Namespace) -> list[Table]:
    settings = Settings(backend=arguments.backend, base_url=arguments.base_url, temperature=0.0)
    kinds, documents = arguments.kinds.split(","), arguments.documents.split(",")
    chosen = [one for one in questions() if one.kind in kinds and one.document in documents]
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as data, RLMEngine(settings, data_dir=data) as engine:
        for question in chosen[: arguments.count]:
            began = time.monotonic()
            result = engine.ask(
                question.text,
                documents=[question.material],
                mode="recursive",
                strategy=arguments.strategy,
                model=arguments.model,
            )
            figures.append(
                {
                    "question": question.id,
                    "document": question.document,
                    "kind": question.kind,
                    "right": question.accepts(result.answer),
                    "wanted": question.answer,
                    "answer": result.answer[:200],
                    "calls": result.usage.llm_calls,
                    "seconds": round(time.monotonic() - began, 2),
                }
            )
            sys.stderr.write(f"{figures[-1]}\n")
    groups = dict.fromkeys((one["document"], one["kind"]) for one in figures)
    rows = []
    for document, kind in groups:
        group = [one for one in figures if (one["document"], one["kind"]) == (document, kind)]
        right = f"{sum(one['right'] for one in group)} of {len(group)}"
        seconds = Spread.of([one["seconds"] for one in group])
        rows.append((document, kind, right, shown(seconds)))
    return [Table(("document", "kind", "right", "seconds a question"), tuple(rows), (), figures)]

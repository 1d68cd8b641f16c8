"""How many questions about the sample documents a real model answers right.

    python -m benchmarks samples --backend embedded --kinds find_one --documents meeting_notes.txt
    python -m benchmarks samples --backend ollama --strategy retrieve
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time

from rlm_core import RLMEngine, Settings
from tests.quality.samples import DOCUMENTS, questions


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks samples", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--backend", choices=("auto", "embedded", "ollama", "openai"), default="embedded")
    parser.add_argument("--base-url", default=None)
    parser.add_argument("--model", default=None)
    parser.add_argument("--strategy", choices=("auto", "loop", "plan", "retrieve"), default="auto")
    parser.add_argument("--kinds", default="find_one")
    parser.add_argument("--documents", default=",".join(DOCUMENTS))
    arguments = parser.parse_args()
    settings = Settings(backend=arguments.backend, base_url=arguments.base_url, temperature=0.0)
    chosen = [
        question
        for question in questions()
        if question.kind in arguments.kinds.split(",") and question.document in arguments.documents.split(",")
    ]
    right = 0
    with tempfile.TemporaryDirectory() as data, RLMEngine(settings, data_dir=data) as engine:
        for question in chosen:
            started = time.monotonic()
            result = engine.ask(
                question.text,
                documents=[question.material],
                mode="recursive",
                strategy=arguments.strategy,
                model=arguments.model,
            )
            solved = question.accepts(result.answer)
            right += solved
            sys.stdout.write(
                f"{'right' if solved else 'wrong'} {question.id} {question.text} | {question.answer} | {result.answer[:120]!r} "
                f"({result.usage.llm_calls} calls, {time.monotonic() - started:.1f} s)\n"
            )
            sys.stdout.flush()
    sys.stdout.write(f"{right} of {len(chosen)}\n")


if __name__ == "__main__":
    main()

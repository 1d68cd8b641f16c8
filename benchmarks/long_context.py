"""Does the engine help *this* model with long texts? Exact scores by task, size, model and way of asking.

    python -m benchmarks long_context --backend embedded --tasks needle --sizes 60000 --count 10
    python -m benchmarks long_context --backend ideal --tasks needle,needles,count,pairs,hops --sizes 8000,60000
    python -m benchmarks long_context --backend ollama --models qwen3:8b --ways direct,auto,loop --sizes 8000,32000,128000

Results are appended to ``--out`` as they come; a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.haystacks import TASKS, make
from rlm_core import RLMEngine, Settings

WAYS: dict[str, dict[str, Any]] = {
    "direct": {"mode": "direct"},
    "auto": {"mode": "auto"},
    "loop": {"mode": "recursive", "strategy": "loop"},
    "plan": {"mode": "recursive", "strategy": "plan"},
    "retrieve": {"mode": "recursive", "strategy": "retrieve"},
}
LEAST_CALLS, LEAST_SECONDS = 400, 1_800.0


@dataclass(frozen=True)
class Outcome:
    """One puzzle, asked once."""

    model: str
    way: str
    task: str
    tokens: int
    seed: int
    solved: bool
    answer: str
    partial: bool
    calls: int
    tokens_in: int
    seconds: float

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        return self.model, self.way, self.task, self.tokens, self.seed


def main() -> None:
    arguments = _arguments()
    done = {outcome.key: outcome for outcome in _read(arguments.out)}
    with _settings(arguments) as (settings, names):
        for name in names:
            with tempfile.TemporaryDirectory() as data, RLMEngine(settings, data_dir=data) as engine:
                for outcome in _run(engine, name, arguments, done):
                    with arguments.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
                    done[outcome.key] = outcome
                    mark = "right" if outcome.solved else "wrong"
                    sys.stderr.write(
                        f"{mark} {outcome.way} {outcome.task} {outcome.tokens:,} #{outcome.seed}: {outcome.answer[:80]!r} "
                        f"({outcome.calls} calls, {outcome.seconds} s)\n"
                    )
    sys.stdout.write(table(list(done.values())))


def _run(
    engine: RLMEngine, name: str, arguments: argparse.Namespace, done: dict[Any, Outcome]
) -> Iterator[Outcome]:
    for way in arguments.ways.split(","):
        for tokens in map(int, arguments.sizes.split(",")):
            for task in arguments.tasks.split(","):
                for seed in range(1, arguments.count + 1):
                    if (name, way, task, tokens, seed) in done:
                        continue
                    puzzle = make(task, tokens, seed)
                    started = time.monotonic()
                    model = None if arguments.backend in ("ideal", "embedded") else name
                    result = engine.ask(puzzle.question, puzzle.text, model=model, **WAYS[way])
                    yield Outcome(
                        name,
                        way,
                        task,
                        tokens,
                        seed,
                        puzzle.solved_by(result.answer),
                        result.answer[:500],
                        result.partial,
                        result.usage.llm_calls,
                        result.usage.tokens_in,
                        round(time.monotonic() - started, 2),
                    )


@contextmanager
def _settings(arguments: argparse.Namespace) -> Iterator[tuple[Settings, list[str]]]:
    """Settings for the backend, and the names under which results are kept."""
    limits = {"max_llm_calls": LEAST_CALLS, "max_seconds": LEAST_SECONDS}
    common = {"num_ctx": arguments.num_ctx, "limits": limits}
    if arguments.backend == "ideal":
        from benchmarks.ideal import ideal_reader_for_haystacks
        from tests.scripted.ollama_server import ScriptedOllama

        with ScriptedOllama(ideal_reader_for_haystacks().reply, window=arguments.num_ctx) as server:
            yield Settings(backend="ollama", base_url=server.url, **common), ["ideal reader"]
        return
    if arguments.backend == "embedded":
        yield Settings(backend="embedded", **common), ["embedded"]
        return
    names = arguments.models.split(",")
    yield Settings(backend=arguments.backend, base_url=arguments.base_url, **common), names


def table(outcomes: list[Outcome]) -> str:
    """Right answers of all, by model and way (rows), task and size (columns), as Markdown."""
    cells: dict[tuple[str, str], dict[tuple[str, int], list[Outcome]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for outcome in outcomes:
        cells[outcome.model, outcome.way][outcome.task, outcome.tokens].append(outcome)
    columns = sorted({(o.task, o.tokens) for o in outcomes}, key=lambda c: (c[1], TASKS.index(c[0])))
    head = ["model", "way", *(f"{task} {tokens // 1000}K" for task, tokens in columns), "calls", "seconds"]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for (model, way), row in sorted(cells.items()):
        everything = [outcome for group in row.values() for outcome in group]
        scores = [
            f"{sum(o.solved for o in row[column])}/{len(row[column])}" if column in row else ""
            for column in columns
        ]
        calls = sum(outcome.calls for outcome in everything) / len(everything)
        seconds = sorted(outcome.seconds for outcome in everything)[len(everything) // 2]
        lines.append(" | ".join([model, way, *scores, f"{calls:.1f}", f"{seconds:.1f}"]))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _read(path: Path) -> list[Outcome]:
    if not path.exists():
        return []
    return [
        Outcome(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks long_context", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--backend", choices=("ideal", "embedded", "ollama", "openai"), default="ideal")
    parser.add_argument("--base-url", default=None, help="address of the model server")
    parser.add_argument(
        "--models", default="qwen3:8b", help="for ollama and openai: model names, separated by commas"
    )
    parser.add_argument("--ways", default="direct,auto", help=f"of {', '.join(WAYS)}")
    parser.add_argument("--tasks", default="needle", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--sizes", default="8000", help="tokens, 8000 to 1000000")
    parser.add_argument("--count", type=int, default=5, help="puzzles of each task and size")
    parser.add_argument("--num-ctx", type=int, default=4096, help="the model's window")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/long_context.jsonl"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    main()

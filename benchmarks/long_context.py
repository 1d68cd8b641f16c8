"""Does the engine help *this* model with long texts? Exact scores by task, size, model and way of asking.

    python -m benchmarks long_context                      the ideal reader: what the engine itself loses
    python -m benchmarks long_context --backend embedded --ways auto --tasks needle --count 10
    python -m benchmarks long_context --backend ollama --models qwen3:8b,glm-z1:9b --ways direct,auto,loop --num-ctx 8192

Results are appended to ``--out`` as they come; a run that was broken off goes on where it stopped, and the table shows all that
the file has.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.haystacks import TASKS, make
from benchmarks.report import RESULTS, Spread, Table, shown
from rlm_core import RLMEngine, Settings

WAYS: dict[str, dict[str, Any]] = {
    "direct": {"mode": "direct"},
    "auto": {"mode": "auto"},
    "loop": {"mode": "recursive", "strategy": "loop"},
    "plan": {"mode": "recursive", "strategy": "plan"},
    "retrieve": {"mode": "recursive", "strategy": "retrieve"},
}
LEAST_CALLS, LEAST_SECONDS = 400, 1_800.0
QUICK = {"ways": "loop", "tasks": "needle,count", "sizes": "8000", "count": 1, "out": None}


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


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", choices=("ideal", "embedded", "ollama", "openai"), default="ideal")
    parser.add_argument("--base-url", default=None, help="address of the model server")
    parser.add_argument(
        "--models", default="qwen3:8b", help="for ollama and openai: model names, separated by commas"
    )
    parser.add_argument("--ways", default="direct,loop,retrieve", help=f"of {', '.join(WAYS)}")
    parser.add_argument("--tasks", default=",".join(TASKS), help="of %(default)s")
    parser.add_argument("--sizes", default="8000,128000,1000000", help="tokens (%(default)s)")
    parser.add_argument("--count", type=int, default=2, help="puzzles of each task and size (default 2)")
    parser.add_argument("--num-ctx", type=int, default=4096, help="the model's window (default 4096)")
    parser.add_argument("--out", type=Path, default=RESULTS / "long_context.jsonl")
    parser.add_argument(
        "--fresh", action="store_true", help="ask again what the file has of these models already"
    )


def run(arguments: argparse.Namespace) -> list[Table]:
    with _settings(arguments) as (settings, names):
        done = {
            outcome.key: outcome
            for outcome in (read(arguments.out) if arguments.out else ())
            if not (arguments.fresh and outcome.model in names)
        }
        if arguments.out:
            rewrite(arguments.out, done.values())
        for name in names:
            with tempfile.TemporaryDirectory() as data, RLMEngine(settings, data_dir=data) as engine:
                for outcome in _run(engine, name, arguments, done):
                    done[outcome.key] = outcome
                    if arguments.out:
                        with arguments.out.open("a", encoding="utf-8") as file:
                            file.write(_line(outcome))
                    mark = "right" if outcome.solved else "wrong"
                    sys.stderr.write(
                        f"{mark} {outcome.way} {outcome.task} {outcome.tokens:,} #{outcome.seed}: {outcome.answer[:80]!r} "
                        f"({outcome.calls} calls, {outcome.seconds} s)\n"
                    )
    return [table(list(done.values()))]


def rewrite(path: Path, outcomes: Iterable[Outcome]) -> None:
    """The file with these outcomes and nothing else, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text("".join(map(_line, outcomes)), encoding="utf-8")
    new.replace(path)


def _line(outcome: Outcome) -> str:
    return json.dumps(asdict(outcome), ensure_ascii=False) + "\n"


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


def table(outcomes: Sequence[Outcome]) -> Table:
    """Right answers of all, by model, way and size (rows) and task (columns)."""
    groups: dict[tuple[str, str, int], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.model, outcome.way, outcome.tokens].append(outcome)
    rows = []
    for (model, way, tokens), group in sorted(groups.items()):
        of_task = [[outcome for outcome in group if outcome.task == task] for task in TASKS]
        scores = [
            f"{sum(outcome.solved for outcome in some)}/{len(some)}" if some else "-" for some in of_task
        ]
        calls = sum(outcome.calls for outcome in group) / len(group)
        taken = Spread.of([outcome.seconds for outcome in group])
        rows.append((model, way, f"{tokens:,}", *scores, f"{calls:.1f}", shown(taken)))
    columns = ("model", "way", "tokens", *TASKS, "calls a question", "seconds a question")
    return Table(columns, tuple(rows))


def read(path: Path) -> list[Outcome]:
    """The outcomes of earlier runs. A last line that was broken off is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    outcomes = []
    for number, line in enumerate(lines, start=1):
        try:
            outcomes.append(Outcome(**json.loads(line)))
        except ValueError:
            if number < len(lines):
                raise
    return outcomes

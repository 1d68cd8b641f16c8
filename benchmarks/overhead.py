"""What an engine adds to its model calls: LocalRLM beside ``rlms`` and ``recursive-llm``, over contexts of 1 KB to 100 MB.

    python -m benchmarks overhead --recursive-llm /path/to/its/venv/bin/python --json overhead.json

A fake server on loopback gives every engine the same replies in its own dialect: ten turns that print a number, then the
answer. Each engine runs in a process of its own, with its caches, retries and logs off; ours with its isolated REPL, its
trace on disk and its events. "First request" is the time from the call to the first model request, "a turn" the time from
the end of a reply to the arrival of the next request, memory what the process tree grows by, over the size of the context.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.contender import QUESTION
from benchmarks.fake_server import Exchange, FakeServer

CONTENDER = Path(__file__).with_name("contender.py")
PROBES = 10
BATCH = 64
DELAY = 0.1
SIZES = {"1 KB": 1_000, "1 MB": 1_000_000, "10 MB": 10_000_000, "100 MB": 100_000_000}
QUIET = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
"""No look at the internet while a peer is imported."""
FIXED_PARALLEL = {"rlms": 16}
"""How many sub-calls of a batch run at once where that cannot be set."""


@dataclass(frozen=True)
class Overhead:
    """One engine with one size of context. Milliseconds, except ``memory``: times the context's size, and
    ``memory_mb``."""

    engine: str
    version: str
    context: str
    import_ms: float
    first_cold_ms: float
    first_warm_ms: float
    turn_ms: float
    turn_p95_ms: float
    total_ms: float
    memory_mb: float
    prompt_chars: int
    problem: str = ""

    @property
    def memory(self) -> float:
        """Growth of the process tree in multiples of the context."""
        return self.memory_mb * 1e6 / SIZES[self.context]


@dataclass(frozen=True)
class Batch:
    """64 sub-calls of 100 ms. ``efficiency`` is the ideal time over the measured."""

    engine: str
    parallel: int
    seconds: float
    ideal: float
    problem: str = ""

    @property
    def efficiency(self) -> float:
        return self.ideal / self.seconds


@dataclass(frozen=True)
class Answered:
    """One answer of an engine: when it was asked for and given, and what it sent."""

    began: float
    ended: float
    exchanges: tuple[Exchange, ...]

    @property
    def roots(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.is_root]

    @property
    def turns(self) -> list[float]:
        """Milliseconds between a reply and the next request of the root."""
        roots = self.roots
        return [(b.arrived - a.answered) * 1000 for a, b in itertools.pairwise(roots)]


def in_dialect(engine: str, code: str | None) -> str:
    """A root reply that runs ``code``, or that ends with the answer "done"."""
    if engine == "recursive-llm":
        return 'FINAL("done")' if code is None else f"```python\n{code}\n```"
    final = 'answer["content"] = "done"\nanswer["ready"] = True'
    return f"```repl\n{final if code is None else code}\n```"


def script(engine: str, cells: Sequence[str], delay: float) -> Any:
    """The replies of one answer after the other: each cell, then the end."""
    asked = 0

    def reply(messages: Sequence[dict[str, Any]], is_root: bool) -> tuple[str, float]:
        nonlocal asked
        if not is_root:
            return "yes", delay
        place, asked = asked % (len(cells) + 1), asked + 1
        return in_dialect(engine, cells[place] if place < len(cells) else None), 0.0

    return reply


class MemoryWatch:
    """The largest memory of a process and its children together, in bytes, sampled while the block runs."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.base = self.peak = self._now()

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        total = 0
        for process in (self._root, *self._root.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it has just ended
                continue
        return total


@dataclass(frozen=True)
class Trial:
    """One process of an engine that gave some answers, ``grown`` by so many bytes; ``problem`` says why it gave no more."""

    version: str
    import_seconds: float
    answers: tuple[Answered, ...]
    grown: int
    problem: str = ""


def attempt(
    python: str, engine: str, size: int, runs: int, cells: Sequence[str], *, parallel: int = 0, limit: float
) -> Trial:
    """Start an engine, let it answer ``runs`` times, end it after ``limit`` seconds at the latest."""
    problem, answers = "", []
    with FakeServer(script(engine, cells, DELAY if parallel else 0.0), QUESTION) as server:
        command = [python, str(CONTENDER), engine, server.url, str(size), str(runs), str(parallel)]
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=QUIET
            ) as child,
        ):
            assert child.stdin is not None
            assert child.stdout is not None
            stop = threading.Timer(limit, end_tree, [child.pid])
            stop.start()
            try:
                ready = json.loads(child.stdout.readline())
                with MemoryWatch(child.pid) as memory:
                    for _ in range(runs):
                        print(file=child.stdin, flush=True)
                        told = json.loads(child.stdout.readline())
                        if told["answer"].strip() != "done":
                            raise ValueError(f"the answer was {told['answer'][:100]!r}")
                        answers.append(Answered(told["began"], told["ended"], tuple(server.take())))
                print(file=child.stdin, flush=True)
                child.wait()
            except ValueError as error:
                end_tree(child.pid)
                errors.seek(0)
                last = [str(error), *errors.read().strip().splitlines()][-1]
                problem = f"{len(answers)} of {runs} answers, ended after {limit:.0f} s at the latest ({last[:200]})"
                if "memory" not in locals():
                    raise RuntimeError(f"{engine} did not start: {last}") from error
            finally:
                stop.cancel()
    return Trial(
        ready["version"], ready["import_seconds"], tuple(answers), memory.peak - memory.base, problem
    )


def end_tree(pid: int) -> None:
    """Kill a process that we started, and its children."""
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()


def measure(python: str, engine: str, context: str, processes: int, limit: float) -> Overhead:
    """Medians over several processes; each answers cold once and warm twice."""
    cells = [f"print(len(context) + {number})" for number in range(PROBES)]
    trials = [attempt(python, engine, SIZES[context], 3, cells, limit=limit) for _ in range(processes)]
    cold = [trial.answers[0] for trial in trials if trial.answers]
    warm = [answer for trial in trials for answer in trial.answers[1:]]
    turns = sorted(turn for answer in cold + warm for turn in answer.turns)

    def middle(values: Sequence[float]) -> float:
        return round(statistics.median(values), 3) if values else math.nan

    return Overhead(
        engine,
        trials[0].version,
        context,
        middle([trial.import_seconds * 1000 for trial in trials]),
        middle([(answer.roots[0].arrived - answer.began) * 1000 for answer in cold]),
        middle([(answer.roots[0].arrived - answer.began) * 1000 for answer in warm]),
        middle(turns),
        round(turns[int(len(turns) * 0.95)], 3) if turns else math.nan,
        middle([(answer.ended - answer.began) * 1000 for answer in warm or cold]),
        middle([trial.grown / 1e6 for trial in trials]),
        int(middle([sum(root.prompt_chars for root in answer.roots) for answer in cold]) if cold else 0),
        next((trial.problem for trial in trials if trial.problem), ""),
    )


def measure_batch(python: str, engine: str, parallel: int, processes: int) -> Batch:
    """The time from the reply that holds the batch to the next request of the root."""
    cell = f"said = llm_query_batched([f'Is {{n}} a number?' for n in range({BATCH})])\nprint(len(said), said[-1])"
    ideal = math.ceil(BATCH / parallel) * DELAY
    taken = []
    for _ in range(processes):
        trial = attempt(python, engine, 1_000, 2, [cell], parallel=parallel, limit=8 * ideal + 15)
        if trial.problem or any(len(a.exchanges) - len(a.roots) != BATCH for a in trial.answers):
            return Batch(engine, parallel, math.nan, ideal, trial.problem or "not all calls were made")
        taken += [turn / 1000 for turn in trial.answers[1].turns]
    return Batch(engine, parallel, statistics.median(taken), ideal)


def table(rows: Sequence[Overhead]) -> list[str]:
    lines = [
        "| context | engine | first request, cold | warm | a turn, median | p95 | whole answer | memory | prompt characters |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = f" ({row.memory:.1f} x)" if SIZES[row.context] >= 10_000_000 else ""
        lines.append(
            f"| {row.context} | {row.engine} | {row.first_cold_ms:.0f} ms | {row.first_warm_ms:.1f} ms | {row.turn_ms:.2f} ms "
            f"| {row.turn_p95_ms:.2f} ms | {row.total_ms:.0f} ms | {row.memory_mb:.0f} MB{times} | {row.prompt_chars:,} |"
        )
        if row.problem:
            lines.append(f"|  |  | {row.problem} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks overhead", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rlms", default=sys.executable, help="a Python that has rlms; '' leaves it out")
    parser.add_argument("--recursive-llm", default="", help="a Python that has recursive-llm")
    parser.add_argument("--sizes", default=",".join(SIZES), help="some of: %(default)s")
    parser.add_argument("--parallel", default="4,16,64", help="sub-calls at once; '' leaves the batches out")
    parser.add_argument("--processes", type=int, default=3, help="processes per figure (default 3)")
    parser.add_argument("--limit", type=float, default=90, help="seconds a process may take (default 90)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    pythons = {"localrlm": sys.executable, "rlms": arguments.rlms, "recursive-llm": arguments.recursive_llm}
    engines = {engine: python for engine, python in pythons.items() if python}
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"

    def say(line: str) -> None:
        print(line, flush=True)

    rows: list[Overhead] = []
    batches: list[Batch] = []
    for context in filter(None, arguments.sizes.split(",")):
        for engine, python in engines.items():
            rows.append(measure(python, engine, context, arguments.processes, arguments.limit))
            say(table(rows)[-1])
    for parallel in map(int, filter(None, arguments.parallel.split(","))):
        for engine, python in engines.items():
            if engine in FIXED_PARALLEL and FIXED_PARALLEL[engine] != parallel:
                continue
            batches.append(measure_batch(python, engine, parallel, arguments.processes))
    versions = {row.engine: f"{row.version}, import {row.import_ms:.0f} ms" for row in rows}
    say(f"\n{machine}, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M')}; {versions}\n")
    say("\n".join(table(rows)))
    say(
        f"\n| {BATCH} sub-calls of 100 ms | at once | seconds | ideal | of the ideal |\n|---|---|---|---|---|"
    )
    for batch in batches:
        result = batch.problem or f"{batch.efficiency:.1%}"
        say(f"| {batch.engine} | {batch.parallel} | {batch.seconds:.3f} | {batch.ideal:.1f} | {result} |")
    if arguments.json:
        record = {
            "machine": machine,
            "rows": [asdict(row) for row in rows],
            "batches": [asdict(b) for b in batches],
        }
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

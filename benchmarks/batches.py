"""A batch of 64 sub-calls of 100 ms each, with 4, 8, 16 and 64 at once, against the ideal time.

The time from the root's reply that holds the batch to the root's next request, in the second answer of a process and its
second turn (the first one waits for the sandbox where an engine starts that beside its first request). ``rlms`` has always 16
at once and ``dspy.RLM`` always 8; LocalRLM and ``recursive-llm`` are told. The last row is no engine: the same requests made by
the HTTP client that LocalRLM uses, which shows what of the missing part is Python's HTTP and the fake server.
"""

from __future__ import annotations

import argparse
import itertools
import math

from benchmarks import peers
from benchmarks.contender import CALLS
from benchmarks.report import Spread, Table, shown
from benchmarks.trials import SHOWN, Trial, attempt

NAMES = {**SHOWN, "aiohttp": "`aiohttp` alone"}
DELAY = 0.1
FIXED = {"rlms": 16, "dspy": 8}
"""How many sub-calls run at once where that cannot be set."""
CELL = (
    f"said = llm_query_batched([f'Is {{n}} a number?' for n in range({CALLS})])\nprint(len(said), said[-1])"
)
QUICK = {"engines": "localrlm", "parallel": "64", "processes": 1, "limit": 600}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engines", default=",".join(NAMES), help="some of: %(default)s")
    parser.add_argument("--parallel", default="4,8,16,64", help="sub-calls at once (default %(default)s)")
    parser.add_argument(
        "--processes", type=int, default=3, help="processes per figure (default 3; dspy one, it is slow)"
    )
    parser.add_argument("--limit", type=float, default=30, help="seconds a process may take (default 30)")


def run(arguments: argparse.Namespace) -> list[Table]:
    engines = peers.pythons(arguments.engines)
    rows, figures, notes = [], [], []
    for parallel in map(int, arguments.parallel.split(",")):
        ideal = math.ceil(CALLS / parallel) * DELAY
        trials: dict[str, list[Trial]] = {
            engine: [] for engine in engines if FIXED.get(engine, parallel) == parallel
        }
        for process, engine in itertools.product(range(arguments.processes), trials):
            if engine == "dspy" and process:
                continue
            trial = attempt(
                engines[engine],
                engine,
                1_000,
                2,
                ["print(len(context))", CELL],
                parallel=parallel,
                delay=DELAY,
                limit=arguments.limit,
                weighed=False,
            )
            trials[engine].append(trial)
        for engine, of_engine in trials.items():
            taken = Spread.of([seconds for trial in of_engine for seconds in _batch_seconds(trial)])
            share = f"{ideal / taken.median:.0%}" if taken else "-"
            rows.append((NAMES[engine], str(parallel), shown(taken, 3), f"{ideal:.1f}", share))
            figures.append({"engine": engine, "parallel": parallel, "ideal": ideal, "seconds": taken})
            problem = next((trial.problem for trial in of_engine if trial.problem), "")
            if problem or not taken:
                notes.append(
                    f"{NAMES[engine]}, {parallel} at once: {problem or f'not all {CALLS} calls were made'}."
                )
    columns = ("engine", "at once", "seconds", "ideal", "of the ideal")
    return [Table(columns, tuple(rows), tuple(notes), figures)]


def _batch_seconds(trial: Trial) -> list[float]:
    """Of the second answer: the first one is cold."""
    return [
        answer.turns[1] / 1000
        for answer in trial.answers[1:]
        if answer.whole and len(answer.exchanges) - len(answer.roots) == CALLS
    ]

"""What an engine adds to its model calls: LocalRLM beside ``rlms``, ``recursive-llm`` and ``dspy.RLM``, over contexts of 1 KB to 100 MB.

A fake server on loopback gives every engine the same replies: ten turns that print a number, then the answer. "First request" is
the time from the call to the first model request, "a turn" the time from the end of a reply to the arrival of the next
request, memory what the process tree grows by, the caller's own copy of the context included. The engines take turns, a
process each, so that all of them meet the same load.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import peers
from benchmarks.report import Spread, Table, shown
from benchmarks.trials import SHOWN, Answered, Trial, attempt

PROBES = 10
SIZES = {"1 KB": 1_000, "1 MB": 1_000_000, "10 MB": 10_000_000, "100 MB": 100_000_000}
QUICK = {"engines": "localrlm,rlms", "sizes": "1 KB", "processes": 1, "answers": 2, "limit": 600}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engines", default=",".join(SHOWN), help="some of: %(default)s")
    parser.add_argument("--sizes", default=",".join(SIZES), help="some of: %(default)s")
    parser.add_argument(
        "--processes", type=int, default=3, help="processes per figure (default 3; dspy one, it is slow)"
    )
    parser.add_argument(
        "--answers", type=int, default=3, help="answers of a process, the first one cold (default 3)"
    )
    parser.add_argument("--limit", type=float, default=60, help="seconds a process may take (default 60)")


def run(arguments: argparse.Namespace) -> list[Table]:
    engines = peers.pythons(arguments.engines)
    measured = []
    for context in arguments.sizes.split(","):
        trials: dict[str, list[Trial]] = {engine: [] for engine in engines}
        for process, (engine, python) in itertools.product(range(arguments.processes), engines.items()):
            if engine == "dspy" and process:
                continue
            cells = [f"print(len(context) + {number})" for number in range(PROBES)]
            answers = 2 if engine == "dspy" else arguments.answers
            trials[engine].append(
                attempt(python, engine, SIZES[context], answers, cells, limit=arguments.limit)
            )
        measured += [
            Overhead.of(engine, context, of_engine, arguments.limit) for engine, of_engine in trials.items()
        ]
    return [table(measured)]


@dataclass(frozen=True)
class Overhead:
    """One engine with one size of context. Milliseconds; None where it did not come so far."""

    engine: str
    context: str
    version: str
    import_ms: Spread | None
    first_cold_ms: Spread | None
    first_warm_ms: Spread | None
    turn_ms: Spread | None
    turn_p95_ms: float | None
    whole_ms: Spread | None
    memory_mb: float
    prompt_chars: int | None
    problem: str

    @classmethod
    def of(cls, engine: str, context: str, trials: Sequence[Trial], limit: float) -> Overhead:
        cold = [trial.answers[0] for trial in trials if trial.answers]
        warm = [answer for trial in trials for answer in trial.answers[1:]]
        turns = sorted(turn for answer in cold + warm for turn in answer.turns)
        whole = [answer for answer in warm or cold if answer.whole]
        return cls(
            engine,
            context,
            trials[0].version,
            Spread.of([trial.import_seconds * 1000 for trial in trials]),
            Spread.of(_first_requests(cold)),
            Spread.of(_first_requests(warm)),
            Spread.of(turns),
            turns[int(len(turns) * 0.95)] if turns else None,
            Spread.of([(answer.ended - answer.began) * 1000 for answer in whole]),
            max(trial.grown for trial in trials) / 1e6,
            sum(root.prompt_chars for root in whole[0].roots) if whole else None,
            next((trial.problem for trial in trials if trial.problem), ""),
        )

    def row(self) -> tuple[str, ...]:
        times = f" ({self.memory_mb * 1e6 / SIZES[self.context]:.1f} x)" if SIZES[self.context] > 5e6 else ""
        p95 = f"{self.turn_p95_ms:,.1f}" if self.turn_p95_ms is not None else "-"
        chars = f"{self.prompt_chars:,}" if self.prompt_chars else "-"
        return (
            self.context,
            SHOWN[self.engine],
            shown(self.first_cold_ms, 0),
            shown(self.first_warm_ms),
            shown(self.turn_ms, 2),
            p95,
            shown(self.whole_ms, 0),
            f"{self.memory_mb:.0f} MB{times}",
            chars,
        )


def _first_requests(answers: Sequence[Answered]) -> list[float]:
    return [(answer.roots[0].arrived - answer.began) * 1000 for answer in answers if answer.roots]


def table(measured: Sequence[Overhead]) -> Table:
    columns = (
        *("context", "engine", "first request, cold, ms", "warm, ms", "a turn, ms", "p95"),
        *("whole answer, warm, ms", "memory", "prompt characters"),
    )
    notes = [_summary(measured)]
    notes += [f"{SHOWN[one.engine]}, {one.context}: {one.problem}." for one in measured if one.problem]
    return Table(columns, tuple(one.row() for one in measured), tuple(notes), [vars(one) for one in measured])


def _summary(measured: Sequence[Overhead]) -> str:
    """Versions and import times: one row of each engine is as good as another."""
    said = {}
    for one in measured:
        said[one.engine] = (
            f"{SHOWN[one.engine]} {one.version or 'as here'}: import {shown(one.import_ms, 0)} ms"
        )
    return "; ".join(said.values()) + "."

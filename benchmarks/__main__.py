"""Runs the benchmarks and keeps what they measure.

    python -m benchmarks                     what there is
    python -m benchmarks NAME [options]      one benchmark; --quick makes it small, --help explains it
    python -m benchmarks all [--quick]       each of them
    python -m benchmarks final               each as its table in README.md was made (about a quarter of an hour),
                                             then the tables into README.md
    python -m benchmarks readme              the tables that are kept into README.md
    python -m benchmarks peers               the environments of the peers of overhead and batches

Every run writes its tables, figures and circumstances to ``results/NAME.json``; a quick one only where ``--results`` says.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from benchmarks import peers, report
from benchmarks.trials import end_tree

EMBEDDED = ("--backend", "embedded", "--ways", "auto", "--tasks", "needle,needles", "--count", "2")
FINAL: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("direct", 60, ()),
    ("start", 150, ()),
    ("repl", 60, ()),
    ("overhead", 420, ("--processes", "2")),
    ("batches", 150, ()),
    ("prefill", 240, ()),
    ("long_context", 240, (*EMBEDDED, "--fresh")),
    ("long_context", 240, ("--fresh",)),
    ("samples", 180, ()),
    ("recall", 240, ()),
    ("ingest", 420, ()),
)
"""What ``final`` runs, in order: the benchmark, the seconds it may take at most, its options."""
NAMES = tuple(dict.fromkeys(name for name, _, _ in FINAL))


def load(name: str) -> ModuleType:
    """A benchmark: a module with a docstring, ``options(parser)``, ``run(arguments)`` and the options of a ``QUICK`` run."""
    return importlib.import_module(f"benchmarks.{name}")


def parser_of(name: str, benchmark: ModuleType) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=benchmark.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benchmark.options(parser)
    parser.add_argument("--quick", action="store_true", help="a small run that shows that it works")
    parser.add_argument("--results", type=Path, help="folder of the JSON file (default benchmarks/results)")
    return parser


def measure(name: str, options: Sequence[str]) -> int:
    """Run one benchmark in this process."""
    benchmark = load(name)
    parser = parser_of(name, benchmark)
    if "--quick" in options:
        parser.set_defaults(**benchmark.QUICK)
    arguments = parser.parse_args(options)
    watch = report.Stopwatch(name, shlex.join(["python", "-m", "benchmarks", name, *_what_counts(options)]))
    found = watch.report(benchmark.run(arguments))
    print(found.markdown(), flush=True)
    folder = arguments.results or (None if arguments.quick else report.RESULTS)
    if folder:
        print(f"kept in {found.write(folder)}", flush=True)
    return 0


def _what_counts(options: Sequence[str]) -> list[str]:
    """The options as they are told to others: without the folder of the results, and of a path its name."""
    kept = list(options)
    if "--results" in kept:
        at = kept.index("--results")
        del kept[at : at + 2]
    return [Path(item).name if Path(item).is_absolute() else item for item in kept]


def one_after_the_other(runs: Iterable[tuple[str, float | None, tuple[str, ...]]]) -> int:
    """Each in a process of its own, so that none is measured with the memory and threads of another. How many failed."""
    failed = []
    for name, limit, options in runs:
        print(f"\n## {name}\n", flush=True)
        command = [sys.executable, "-m", "benchmarks", name, *options]
        with subprocess.Popen(command) as child:
            try:
                if child.wait(limit):
                    failed.append(name)
            except subprocess.TimeoutExpired:
                end_tree(child.pid)
                failed.append(f"{name} (time was up)")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


def final(options: Sequence[str]) -> int:
    """Everything as README.md shows it, then into README.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks final", description=final.__doc__)
    parser.add_argument("--conversations", type=Path, help="the --file of recall")
    parser.add_argument(
        "--minutes",
        type=float,
        default=15,
        help="what is not done then keeps its earlier table (default 15)",
    )
    arguments = parser.parse_args(options)
    file = arguments.conversations
    of_recall = ("--file", str(file.resolve())) if file else ()
    over = time.monotonic() + 60 * arguments.minutes
    failed = one_after_the_other(
        (name, min(limit, over - time.monotonic()), (*given, *of_recall) if name == "recall" else given)
        for name, limit, given in FINAL
    )
    return fill_readme() or failed


def fill_readme() -> int:
    kept = [report.read(path) for path in sorted(report.RESULTS.glob("*.json"))]
    text = report.README.read_text(encoding="utf-8")
    report.README.write_text(report.into_readme(text, kept), encoding="utf-8")
    print(f"README.md has the tables of {', '.join(one.benchmark for one in kept)}.")
    return 0


def main(words: Sequence[str]) -> int:
    name, options = (words[0], tuple(words[1:])) if words else ("", ())
    if name in NAMES:
        return measure(name, options)
    if name == "all":
        return one_after_the_other((name, None, options) for name in NAMES)
    if name == "final":
        return final(options)
    if name == "readme":
        return fill_readme()
    if name == "peers":
        return peers.make()
    print(__doc__)
    for name in NAMES:
        print(f"{name:14} {(load(name).__doc__ or '').splitlines()[0]}")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

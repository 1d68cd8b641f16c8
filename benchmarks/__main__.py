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
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from benchmarks import peers, report

FINAL: dict[str, tuple[int, tuple[str, ...]]] = {
    "overhead": (420, ()),
    "batches": (120, ()),
    "prefill": (120, ()),
    "direct": (60, ()),
    "start": (90, ()),
    "repl": (60, ()),
    "ingest": (150, ()),
    "recall": (60, ()),
    "long_context": (150, ()),
    "samples": (120, ()),
}
"""The benchmarks in their order: the seconds each may take in ``final``, and its options there."""


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
    said = [item for item in options if not item.startswith("--results")]
    watch = report.Stopwatch(name, shlex.join(["python", "-m", "benchmarks", name, *said]))
    found = watch.report(benchmark.run(arguments))
    print(found.markdown(), flush=True)
    folder = arguments.results or (None if arguments.quick else report.RESULTS)
    if folder:
        print(f"kept in {found.write(folder)}", flush=True)
    return 0


def one_after_the_other(runs: dict[str, tuple[float | None, tuple[str, ...]]]) -> int:
    """Each in a process of its own, so that none is measured with the memory and threads of another."""
    failed = []
    for name, (limit, options) in runs.items():
        print(f"\n## {name}\n", flush=True)
        command = [sys.executable, "-m", "benchmarks", name, *options]
        try:
            if subprocess.run(command, timeout=limit).returncode:
                failed.append(name)
        except subprocess.TimeoutExpired:
            failed.append(f"{name} (ended after {limit} s)")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


def fill_readme() -> int:
    kept = [report.read(path) for path in sorted(report.RESULTS.glob("*.json"))]
    text = report.README.read_text(encoding="utf-8")
    report.README.write_text(report.into_readme(text, kept), encoding="utf-8")
    print(f"README.md has the tables of {', '.join(one.benchmark for one in kept)}.")
    return 0


def main(words: Sequence[str]) -> int:
    name, options = (words[0], tuple(words[1:])) if words else ("", ())
    if name in FINAL:
        return measure(name, options)
    if name == "all":
        return one_after_the_other(dict.fromkeys(FINAL, (None, options)))
    if name == "final":
        failures = one_after_the_other(dict(FINAL))
        return fill_readme() or failures
    if name == "readme":
        return fill_readme()
    if name == "peers":
        return peers.make()
    print(__doc__)
    for name in FINAL:
        print(f"{name:14} {(load(name).__doc__ or '').splitlines()[0]}")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

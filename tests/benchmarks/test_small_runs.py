"""Every benchmark still runs: small, through its command line, as a person starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import FINAL, NAMES, load, one_after_the_other, parser_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(900)  # seconds on an idle computer; a busy one may take its time
@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_keeps_a_table_that_the_readme_has_a_place_for(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--results", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = report.read(tmp_path / f"{name}.json")
    assert found.command == f"python -m benchmarks {name} --quick"
    assert all(table.rows for table in found.tables)
    assert found.markdown() in ran.stdout
    text = report.README.read_text(encoding="utf-8")
    assert found.markdown() in report.into_readme(text, [found])


@pytest.mark.parametrize(("name", "options"), [(name, options) for name, _, options in FINAL])
def test_the_options_of_the_final_run_are_options_of_the_benchmark(
    name: str, options: tuple[str, ...]
) -> None:
    benchmark = load(name)
    parser_of(name, benchmark).parse_args(options)
    known = vars(parser_of(name, benchmark).parse_args([]))
    assert set(benchmark.QUICK) <= set(known)


def test_a_benchmark_that_takes_too_long_is_ended_and_counted_as_failed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert one_after_the_other([("repl", 0.0, ("--quick",))]) == 1
    assert "failed: repl (time was up)" in capfd.readouterr().err

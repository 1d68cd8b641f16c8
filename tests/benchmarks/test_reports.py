"""How the results of benchmarks are kept and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import Report, Spread, Stopwatch, Table, into_readme, read, shown


def a_report() -> Report:
    table = Table(("what", "ms"), (("a", "1.0"), ("b", "2.0")), ("A note.",), [{"what": "a", "ms": 1.0}])
    return Stopwatch("speed", "python -m benchmarks speed").report([table])


def test_a_spread_is_the_median_with_its_quartiles() -> None:
    spread = Spread.of([5.0, 1.0, 2.0, 3.0, 4.0])
    assert spread == Spread(3.0, 2.0, 4.0, 5)
    assert shown(spread) == "3.0 (2.0-4.0)"
    assert shown(Spread.of([1234.5]), 0) == "1,234"
    assert shown(Spread.of([])) == "-"


def test_a_report_that_was_written_is_read_back_as_it_was(tmp_path: Path) -> None:
    report = a_report()
    assert read(report.write(tmp_path)) == report


def test_a_report_says_under_which_circumstances_it_was_made() -> None:
    said = a_report().markdown()
    assert "| a | 1.0 |" in said
    assert "A note." in said
    assert "python -m benchmarks speed" in said
    assert "cores, Python 3." in said
    assert "load" in said


def test_the_readme_gets_the_table_between_its_marks_and_keeps_everything_else() -> None:
    before = "# Title\n\n<!-- speed -->\nold\n<!-- /speed -->\n\nWords behind it.\n"
    after = into_readme(before, [a_report()])
    assert "old" not in after
    assert after.startswith("# Title\n\n<!-- speed -->\n| what | ms |")
    assert after.endswith("<!-- /speed -->\n\nWords behind it.\n")
    assert into_readme(after, [a_report()]).count("| a | 1.0 |") == 1


def test_a_readme_without_a_place_for_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for speed"):
        into_readme("# Title\n", [a_report()])

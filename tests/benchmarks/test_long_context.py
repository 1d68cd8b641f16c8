"""The long texts with known answers, their scoring, and runs that are broken off."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import long_context
from benchmarks.haystacks import TASKS, Puzzle, make
from benchmarks.long_context import Outcome, read, rewrite


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_makes_the_same_text_of_the_size_asked_for(task: str) -> None:
    puzzle = make(task, 20_000, 3)
    assert puzzle == make(task, 20_000, 3)
    assert puzzle.text != make(task, 20_000, 4).text
    assert len(puzzle.text) == pytest.approx(20_000 * 4.2, rel=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_the_expected_answers_follow_from_the_text(seed: int) -> None:
    needle = make("needle", 5_000, seed)
    place = re.search(r"code of the (.+)\?", needle.question)
    assert place is not None
    assert re.findall(rf"access code of the {place[1]} is (\d+)\.", needle.text) == list(needle.expected)

    needles = make("needles", 5_000, seed)
    who = re.search(r"where (.+) keeps", needles.question)
    assert who is not None
    kept = re.findall(rf"{who[1]} keeps a spare key in the (.+?)\.", needles.text)
    assert sorted(kept) == sorted(needles.expected)

    count = make("count", 5_000, seed)
    who = re.search(r"did (.+) pay", count.question)
    assert who is not None
    assert (str(count.text.count(f"{who[1]} paid the ferry toll")),) == count.expected

    pairs = make("pairs", 5_000, seed)
    lockers = re.findall(r"The locker of (\w+ \w+) has the number (\d+)", pairs.text)
    numbers = [number for _, number in lockers]
    assert {who for who, number in lockers if numbers.count(number) > 1} == set(pairs.expected)

    hops = make("hops", 5_000, seed)
    who = re.search(r"in which (.+) lives", hops.question)
    assert who is not None
    house = re.search(rf"{who[1]} lives in house number (\d+)\.", hops.text)
    assert house is not None
    colours = re.findall(rf"The door of house number {house[1]} is (\w+)\.", hops.text)
    assert tuple(colours) == hops.expected


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        (("12345",), "The code is 12345 [1].", True),
        (("12345",), "The code is 12,345.", True),
        (("12345",), "The code is 123456.", False),
        (("12345",), "The code is 0.12345", False),
        (("mint", "dairy"), "The Dairy and the mint.", True),
        (("mint", "dairy"), "The mint.", False),
        (("mint",), "Peppermint.", False),
        (("7",), "[7] I do not know.", False),
    ],
)
def test_scoring_is_exact(expected: tuple[str, ...], answer: str, right: bool) -> None:
    assert Puzzle("needle", 100, 1, "", "", expected).solved_by(answer) is right


def arguments(out: Path, **other: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    long_context.options(parser)
    parser.set_defaults(ways="loop", tasks="needle,count", sizes="6000", count=2, out=out)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **other})


def asked(capsys: pytest.CaptureFixture[str]) -> int:
    """How many puzzles the last run put to the model."""
    return sum(line.startswith(("right ", "wrong ")) for line in capsys.readouterr().err.splitlines())


def test_a_run_that_was_broken_off_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    (table,) = long_context.run(arguments(out))
    assert asked(capsys) == 4
    assert [row[3:6] for row in table.rows] == [("2/2", "-", "2/2")]
    whole = read(out)

    out.write_bytes(out.read_bytes()[:-30])  # the last line is broken off in the middle
    long_context.run(arguments(out))
    assert asked(capsys) == 1
    assert [outcome.key for outcome in read(out)] == [outcome.key for outcome in whole]

    long_context.run(arguments(out))
    assert asked(capsys) == 0

    long_context.run(arguments(out, fresh=True))
    assert asked(capsys) == 4
    assert len(read(out)) == 4


def test_a_fresh_run_leaves_what_other_models_answered(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    other = Outcome("qwen3:8b", "loop", "needle", 6_000, 1, True, "x", False, 3, 900, 1.5)
    rewrite(out, [other])
    (table,) = long_context.run(arguments(out, fresh=True, tasks="needle", count=1))
    assert other in read(out)
    assert {row[0] for row in table.rows} == {"ideal reader", "qwen3:8b"}


def test_a_damaged_line_that_is_not_the_last_one_is_not_passed_over(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text('{"model": \n{}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="Expecting value"):
        read(out)

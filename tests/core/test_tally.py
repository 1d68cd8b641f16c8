"""What readers listed is counted and added up by code."""

from decimal import Decimal

import pytest

from rlm_core.prompts import ITEM_FORM
from rlm_core.tally import MOST_GROUPS, Item, parse_items, readable, reckon


def item(text: str, group: str = "", number: str | None = None, passage: int = 1) -> Item:
    return Item(text, group, None if number is None else Decimal(number), passage)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("new boiler | repairs | 1,250.50", item("new boiler", "repairs", "1250.50")),
        ("- new boiler | repairs | 12 [3]", item("new boiler", "repairs", "12")),
        ("3. new boiler | repairs | 12 euros", item("new boiler", "repairs", "12")),
        ("| new boiler | repairs | 12 |", item("new boiler", "repairs", "12")),
        ("new boiler | repairs", item("new boiler", "repairs")),
        ("new boiler | 12", item("new boiler", "", "12")),
        ("new boiler", item("new boiler")),
        ("new boiler | - | n/a", item("new boiler")),
        ("either | or | repairs | 12", item("either | or", "repairs", "12")),
        ("refund | repairs | −40", item("refund", "repairs", "-40")),
        ("rain | weather | 1\u202f234 567", item("rain", "weather", "1234567")),
    ],
)
def test_a_line_is_understood_however_the_reader_wrote_it(line: str, expected: Item) -> None:
    assert parse_items(line, 1) == [expected]


@pytest.mark.parametrize("line", ["", "NONE", "- none", "n/a", "|---|---|---|", ITEM_FORM, ITEM_FORM.upper()])
def test_lines_that_list_nothing_are_no_items(line: str) -> None:
    assert parse_items(f"a | b | 1\n{line}\nc | d | 2", 7) == [
        item("a", "b", "1", passage=7),
        item("c", "d", "2", passage=7),
    ]


def test_an_item_stands_in_a_prompt_as_it_is_read_again() -> None:
    items = [item("new boiler", "repairs", "1250.5", 4), item("lamp", passage=4)]
    assert [each.line for each in items] == [
        "new boiler | repairs | 1,250.50 [4]",
        "lamp | - | - [4]",
    ]
    assert parse_items("\n".join(each.line for each in items), 4) == items


def test_numbers_are_written_as_a_person_reads_them() -> None:
    written = [readable(Decimal(number)) for number in ("12345.5", "12345.00", "0.125", "-1000")]
    assert written == ["12,345.50", "12,345", "0.12", "-1,000"]


def test_nothing_listed_gives_nothing_to_say() -> None:
    assert reckon([]) == []


def test_items_without_groups_and_numbers_are_counted() -> None:
    assert reckon([item("a"), item("b")]) == ["all items: 2 items"]
    assert reckon([item("a")]) == ["all items: 1 item"]


def test_extremes_are_named_with_the_passage_they_come_from() -> None:
    lines = reckon([item("lamp", "light", "40", 2), item("boiler", "heat", "900", 5), item("fuse")])
    assert lines[0] == (
        "all items: 3 items, sum 940, largest 900 (boiler, heat) [5], smallest 40 (lamp, light) [2], average 470"
    )


def test_a_group_is_one_group_however_its_name_is_written() -> None:
    lines = reckon([item("a", "Red Team"), item("b", "red  team"), item("c", "RED TEAM")])
    assert lines[1:] == ["different groups: 1", "Red Team: 3 items"]


def test_two_groups_are_compared() -> None:
    lines = reckon([item("a", "north", "10"), item("b", "north", "5"), item("c", "south", "40")])
    assert lines[1:] == [
        "different groups: 2",
        "north: 2 items, sum 15, largest 10, smallest 5",
        "south: 1 item, sum 40",
        "difference of the two groups: 1 item, sums 25",
    ]


def test_cents_add_up_exactly() -> None:
    assert reckon([item("a", "", "0.1"), item("b", "", "0.2")])[0].startswith("all items: 2 items, sum 0.30,")


def test_of_too_many_groups_those_that_lead_in_any_respect_are_told() -> None:
    small = [item(f"i{n}", f"group {n}", "1") for n in range(3 * MOST_GROUPS)]
    many = [item("many", "the crowd", "0.01") for _ in range(9)]
    lines = reckon([*small, *many, item("big", "the giant", "5000")])
    assert lines[1] == f"different groups: {3 * MOST_GROUPS + 2}"
    told = [line.split(":")[0] for line in lines[2:-1]]
    assert len(told) <= MOST_GROUPS
    assert {"the crowd", "the giant"} <= set(told)
    assert lines[-1] == f"(and {3 * MOST_GROUPS + 2 - len(told)} groups with fewer items and smaller numbers)"

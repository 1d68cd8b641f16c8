"""Which lines of a text a place stands under, found by their shape."""

from rlm_core.headings import LONGEST_HEADER_ROW, LONGEST_HEADING, SEEN_AT_LEAST, Headings

MARKDOWN = "# House\n\nIntro.\n\n## Kitchen\n\nThe oven.\n\n## Bath\n\nThe tub.\n\n# Garden\n\nThe shed.\n"


def above(text: str, sought: str, *, header_row: bool = False) -> tuple[str, ...]:
    return Headings(text, header_row=header_row).above(text.index(sought))


def test_markdown_headings_are_given_from_the_highest_down() -> None:
    assert above(MARKDOWN, "Intro") == ("House",)
    assert above(MARKDOWN, "The oven") == ("House", "Kitchen")
    assert above(MARKDOWN, "The tub") == ("House", "Bath")


def test_a_higher_heading_ends_what_stood_under_the_one_before() -> None:
    assert above(MARKDOWN, "The shed") == ("Garden",)


def test_a_heading_is_not_repeated_above_itself() -> None:
    assert above(MARKDOWN, "## Kitchen") == ("House",)
    assert above(MARKDOWN, "# House") == ()


def test_lines_that_begin_alike_after_an_empty_line_are_headings() -> None:
    text = "\n\n".join(f"Day {number}.\nWe met witness {number} at noon." for number in range(1, 5))
    assert above(text, "witness 3") == ("Day 3.",)


def test_the_rarer_kind_of_line_ranks_higher() -> None:
    text = "\n\n".join(
        f"PART {part}\n\n" + "\n\n".join(f"MEETING {part}{n}\nSaid in {part}{n}." for n in range(4))
        for part in range(3)
    )
    assert above(text, "Said in 21") == ("PART 2", "MEETING 21")


def test_a_kind_of_line_that_is_seen_too_rarely_structures_nothing() -> None:
    text = "\n\n".join(f"Day {n}.\nWitness {n}." for n in range(SEEN_AT_LEAST - 1))
    assert above(text, "Witness 1") == ()


def test_sentences_after_an_empty_line_are_no_headings() -> None:
    text = "\n\n".join(f"The {word} was quiet.\nNobody came, again {word}." for word in ("sea", "sky", "inn"))
    assert above(text, "again inn") == ()


def test_the_first_row_of_a_table_stands_above_every_other_row() -> None:
    table = "name,price\nlamp,40\nboiler,900\n"
    assert above(table, "boiler", header_row=True) == ("name,price",)
    assert above(table, "name", header_row=True) == ()


def test_a_first_row_as_long_as_a_paragraph_is_no_header() -> None:
    table = "x" * (LONGEST_HEADER_ROW + 1) + "\nlamp,40\n"
    assert above(table, "lamp", header_row=True) == ()


def test_a_long_heading_is_cut() -> None:
    text = "\n\n".join(f"# {'very ' * 60}long {n}\n\nText {n}." for n in range(3))
    (heading,) = above(text, "Text 2")
    assert len(heading) == LONGEST_HEADING


def test_an_empty_text_has_no_headings() -> None:
    assert Headings("").above(0) == ()

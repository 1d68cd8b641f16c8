"""From numbers and quotation marks in an answer to places in documents."""

import re

from rlm_core.citations import MOST_QUOTATIONS, check_quotations, cite, evidence, find_words
from rlm_core.context import Context, Material, Piece

TEXT = (
    "The lease was signed by Clara Weiss on 3 May 2021.\n"
    "The monthly rent is 1,250 euros.\n"
    "The boiler (type BX-77) was replaced\nin autumn.\n"
)
CONTEXT = Context([Material("lease.txt", TEXT, "doc-1", lambda offset: f"character {offset}")])


def passages() -> dict[int, Piece]:
    lines = TEXT.splitlines(keepends=True)
    starts = [TEXT.index(line) for line in lines]
    return {
        number: Piece(start, start + len(line), line)
        for number, (start, line) in enumerate(zip(starts, lines, strict=True), 1)
    }


def test_a_number_leads_to_its_passage_and_a_number_that_leads_nowhere_is_dropped() -> None:
    answer = cite(
        "Clara Weiss signed it [1]. The rent is 1,250 [2, 9]. Pets are allowed [17].", passages(), CONTEXT
    )
    assert answer.text == "Clara Weiss signed it [1]. The rent is 1,250 [2]. Pets are allowed."
    assert [citation.number for citation in answer.citations] == [1, 2]
    first = answer.citations[0]
    assert first.document == "lease.txt"
    assert first.document_id == "doc-1"
    assert TEXT[first.start : first.end] == first.text
    assert first.place == "character 0"


def test_ranges_and_lists_of_numbers_are_understood() -> None:
    answer = cite("All of it [1-3; 8].", passages(), CONTEXT)
    assert answer.text == "All of it [1] [2] [3]."
    assert len(answer.citations) == 3


def test_a_markdown_link_is_no_citation() -> None:
    assert cite("See [1](https://example.org).", passages(), CONTEXT).text == "See [1](https://example.org)."


def test_a_quotation_is_verified_word_for_word_and_white_space_does_not_matter() -> None:
    quotations = check_quotations(
        'It says "The boiler (type BX-77) was replaced in autumn" and “the boiler was painted green in spring”.',
        CONTEXT,
    )
    assert [quotation.verified for quotation in quotations] == [True, False]


def test_a_citation_knows_whether_the_quotation_from_it_is_real() -> None:
    answer = cite('"The monthly rent is 1,250 euros" [2].', passages(), CONTEXT)
    assert answer.citations[0].verified is True
    assert cite("The rent is 1,250 [2].", passages(), CONTEXT).citations[0].verified is None


def test_an_answer_without_numbers_keeps_its_text_and_is_given_its_evidence() -> None:
    answer = cite("Clara Weiss", {}, CONTEXT)
    assert answer.text == "Clara Weiss"
    assert [citation.text for citation in answer.citations] == [
        "The lease was signed by Clara Weiss on 3 May 2021."
    ]


def test_words_that_stand_everywhere_are_no_evidence() -> None:
    context = Context([Material("log", "INFO all is well\n" * 50)])
    assert evidence("INFO", context) == ()


def test_nothing_is_cited_from_nothing() -> None:
    empty = Context([])
    answer = cite("Paris [1]", {}, empty)
    assert answer.citations == ()
    assert answer.text == "Paris [1]"


def test_a_citation_gives_offsets_inside_its_own_document() -> None:
    context = Context([Material("first", "nothing here\n"), Material("lease.txt", TEXT, "doc-1")])
    start = context.text.index("The monthly")
    answer = cite("1,250 [1]", {1: Piece(start, start + 32, context.text[start : start + 32])}, context)
    citation = answer.citations[0]
    assert citation.document == "lease.txt"
    assert TEXT[citation.start : citation.end] == "The monthly rent is 1,250 euros."


def test_words_are_found_across_lines_and_in_another_case() -> None:
    span = find_words("the BOILER (type BX-77) was replaced  in autumn", CONTEXT)
    assert span is not None
    assert re.sub(r"\s+", " ", TEXT[slice(*span)]) == "The boiler (type BX-77) was replaced in autumn"
    assert find_words("a boiler that is not there", CONTEXT) is None


def test_a_long_answer_over_a_huge_context_looks_up_only_a_bounded_number_of_words() -> None:
    class Counting(str):
        looked = 0

        def find(self, *arguments: object) -> int:  # type: ignore[override]
            Counting.looked += 1
            return str.find(self, *arguments)  # type: ignore[arg-type]

    context = Context([Material("log", "x")])
    context.text = Counting("nothing of this is here\n" * 2_000_000)
    cite(" ".join(f'ID-{n} "a quotation that is nowhere {n}"' for n in range(500)), {}, context)
    assert Counting.looked < 200


def test_only_so_many_quotations_of_one_answer_are_checked() -> None:
    text = " ".join(f'"the quotation with the number {n}"' for n in range(100))
    assert len(check_quotations(text, CONTEXT)) == MOST_QUOTATIONS

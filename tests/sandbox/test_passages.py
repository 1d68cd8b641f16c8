"""Passages: cut, ranked and found, always with offsets that are true."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_core.repl import passages
from rlm_core.repl.passages import Passage, PassageIndex, chunks, search_regex

words = st.text(alphabet="abc xyz.\n\tÄßİ🙂", max_size=400)


@given(words, st.integers(1, 60), st.integers(0, 59))
@settings(max_examples=200, deadline=None)
def test_chunks_cover_the_whole_text_with_true_offsets(text: str, size: int, overlap: int) -> None:
    if overlap >= size:
        with pytest.raises(ValueError, match="overlap"):
            chunks(text, size, overlap)
        return
    found = chunks(text, size, overlap)
    assert all(text[p.start : p.end] == p and 0 < len(p) <= size for p in found)
    covered = 0
    for piece in found:
        assert piece.start <= covered < piece.end
        covered = piece.end
    assert covered == len(text)


@given(words, st.text(alphabet='abcxyzÄßİ "', max_size=20))
@settings(max_examples=200, deadline=None)
def test_search_gives_true_offsets_for_any_text_and_query(text: str, query: str) -> None:
    for hit in PassageIndex(text).search(query, 5):
        assert text[hit.start : hit.end] == hit
        assert hit.score > 0


def sample() -> str:
    return "\n\n".join(
        f"Section {n}. " + "The house by the lake has a red door. " * 20 for n in range(200)
    ).replace("Section 77. ", "Section 77. The contracts were terminated on 3 May; Müller signed. ")


@pytest.mark.parametrize(
    "query",
    [
        "termination contract",
        "When was the contract terminated?",
        "müller",
        "MÜLLER",
        '"signed"',
        "Section 77",
    ],
)
def test_the_passage_that_answers_comes_first(query: str) -> None:
    assert "Section 77" in PassageIndex(sample()).search(query, 3)[0]


def test_words_that_are_not_there_give_nothing() -> None:
    assert PassageIndex(sample()).search("zebra xylophone", 3) == []
    assert PassageIndex("").search("anything", 3) == []
    assert PassageIndex(sample()).search("...", 3) == []


def test_a_search_across_block_borders_misses_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"{'filler ' * 17}needle{n:03d} " for n in range(50))
    whole = [(p.start, round(p.score, 9)) for p in PassageIndex(text).search("needle007 filler", 50)]
    for block in (64, 97, 128, 1000):
        monkeypatch.setattr(passages, "BLOCK_CHARS", block)
        assert [
            (p.start, round(p.score, 9)) for p in PassageIndex(text).search("needle007 filler", 50)
        ] == whole


def test_a_passage_is_text_and_record() -> None:
    passage = Passage("some text", 10, 2.5)
    assert passage == "some text"
    assert passage[0:4] == "some"
    assert (passage["start"], passage.end, passage["score"], passage.get("nothing", 1)) == (10, 19, 2.5, 1)
    assert f"{passage}!" == "some text!"
    assert type(passage.text) is str
    assert dict(passage)["text"] == "some text"  # type: ignore[call-overload]
    assert "start=10" in repr(passage)
    with pytest.raises(KeyError, match="start"):
        passage["nothing"]


def test_a_regular_expression_finds_lines_with_its_matches() -> None:
    text = "alpha 12\nbeta 345\ngamma\ndelta 6789\n" * 3
    found = search_regex(text, r"\d{3,}", k=4)
    assert [p.match for p in found] == ["345", "6789", "345", "6789"]
    assert all(text[p.start : p.end] == p and p.match in p for p in found)
    with pytest.raises(re.error):
        search_regex(text, "(")


def test_a_search_in_ten_megabytes_needs_no_index_to_be_built() -> None:
    text = sample() * 70
    assert len(text) > 10_000_000
    index = PassageIndex(text)
    assert "Section 77" in index.search("who signed the termination", 1)[0]
    assert len(index._boundaries()) < len(text) / 500

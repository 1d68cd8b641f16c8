"""What ``context`` is: documents in one string, and the places in it."""

from pathlib import Path

import pytest

from rlm_core.context import Context, Material, resolve
from rlm_core.errors import MaterialError

LEASE = Material(
    "lease.txt", "The lease.\n\nSigned by Clara Weiss.\n", "doc-1", lambda offset: f"at {offset}"
)
LOG = Material("log.txt", "".join(f"line {n} of the log\n" for n in range(400)))


def no_store() -> object:
    raise AssertionError("the store is not needed")


def test_a_single_material_is_its_text_unchanged() -> None:
    context = Context([LOG])
    assert context.text is LOG.text
    source = context.source(5, 10)
    assert source is not None
    assert (source.start, source.end, source.material) == (5, 10, LOG)


def test_several_materials_stand_under_their_names_and_are_found_back() -> None:
    context = Context([LEASE, LOG])
    for part, material in zip(context.parts, (LEASE, LOG), strict=True):
        assert context.text[part.start : part.end] == material.text
    start = context.text.index("Clara")
    source = context.source(start, start + 11)
    assert source is not None
    assert source.material is LEASE
    assert LEASE.text[source.start : source.end] == "Clara Weiss"
    assert source.place == f"at {source.start}"


def test_a_place_between_documents_belongs_to_none() -> None:
    context = Context([LEASE, LOG])
    assert context.source(0, 5) is None
    assert context.source(context.parts[0].end, context.parts[0].end + 1) is None
    assert context.source(len(context) + 5, len(context) + 9) is None
    assert Context([]).source(0, 1) is None


def test_a_source_never_reaches_into_the_next_document() -> None:
    context = Context([LEASE, LOG])
    source = context.source(context.parts[0].start, len(context))
    assert source is not None
    assert source.end == len(LEASE.text)


@pytest.mark.parametrize("size", [40, 100, 1_000, 100_000])
def test_pieces_cover_everything_once_in_order(size: int) -> None:
    context = Context([LEASE, LOG])
    pieces = context.pieces(size)
    assert all(len(piece.text) <= size for piece in pieces)
    assert "".join(piece.text for piece in pieces) == LEASE.text + LOG.text
    assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)
    assert all(context.text[piece.start : piece.end] == piece.text for piece in pieces)


def test_pieces_end_at_ends_of_lines() -> None:
    assert all(piece.text.endswith("\n") for piece in Context([LOG]).pieces(100))


def test_a_search_finds_the_beginning_of_every_document() -> None:
    context = Context([LEASE, Material("second.txt", "The zeppelin was late.\n"), LOG])
    for words, name in (("zeppelin late", "second.txt"), ("Clara Weiss", "lease.txt")):
        hits = context.search(words, 3)
        assert hits, words
        source = context.source(hits[0].start, hits[0].end)
        assert source is not None
        assert source.material.name == name


def test_a_file_is_read_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Remember the milk.\n", encoding="utf-8")
    (material,) = resolve([file], no_store)  # type: ignore[arg-type]
    assert (material.name, material.text.strip()) == ("notes.txt", "Remember the milk.")
    with pytest.raises(MaterialError, match=r"missing\.txt"):
        resolve([tmp_path / "missing.txt"], no_store)  # type: ignore[arg-type]

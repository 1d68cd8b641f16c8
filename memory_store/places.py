"""Where in a document an offset lies, in the words a person would use to look it up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memory_store.records import Section


def place_of(sections: Sequence[Section], offset: int, lines_before: Callable[[int], int]) -> str:
    """`page 12`, `slide 3`, `sheet Orders, row 7`, a heading, or `line 120` where there is no structure.

    `lines_before(offset)` counts the line ends before it. A `rows` section holds one table row a line; its label is the
    number of its first row.
    """
    around = [section for section in sections if section.start <= offset < section.end]
    named = [s for s in around if s.kind in ("page", "slide", "sheet", "chapter")]
    heads = [s for s in around if s.kind == "heading"]
    rows = next((s for s in around if s.kind == "rows"), None)
    parts = [s.label for s in named]
    if heads and not named:
        parts.append(max(heads, key=lambda s: (s.level, s.start)).label)
    if rows is not None:
        parts.append(f"row {int(rows.label) + lines_before(offset) - lines_before(rows.start)}")
    return ", ".join(parts) or f"line {1 + lines_before(offset)}"

"""Word and PowerPoint: text in reading order; headings and slides are sections; tables become lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memory_store.loaders.plain import nest
from memory_store.loaders.result import Loaded, Say, TextBuilder

_HEADING_STYLE = re.compile(r"(?:heading|überschrift|titre|título)\s*(\d)|(title|subtitle)$", re.IGNORECASE)


def load_docx(source: Path) -> Loaded:
    import docx
    from docx.table import Table as DocxTable

    document = docx.Document(str(source))
    builder = TextBuilder()
    marks: list[tuple[int, int, str]] = []
    for block in document.iter_inner_content():
        if isinstance(block, DocxTable):
            builder.write(_table(block.rows) + "\n\n")
            continue
        text = block.text.strip()
        if not text:
            continue
        style = _HEADING_STYLE.match(block.style.name if block.style is not None else "")
        if style:
            marks.append((builder.length, int(style[1] or 1), text))
        builder.write(text + ("\n\n" if style or not _is_list(block) else "\n"))
    _notes(document, builder)
    return Loaded("docx", builder.text(), nest(marks, builder.length))


def _is_list(paragraph: Any) -> bool:
    return paragraph.style is not None and paragraph.style.name.startswith("List")


def _notes(document: Any, builder: TextBuilder) -> None:
    """Footnotes and endnotes lie in parts of their own; python-docx leaves them as bytes."""
    from bs4 import BeautifulSoup

    for part in document.part.package.iter_parts():
        if str(part.partname) in ("/word/footnotes.xml", "/word/endnotes.xml"):
            for note in BeautifulSoup(part.blob, "xml").find_all(["footnote", "endnote"]):
                text = note.get_text().strip()
                if text:
                    builder.write(f"[{note.name}] {text}\n")


def _table(rows: Iterable[Any]) -> str:
    lines = []
    for row in rows:
        cells: list[str] = []
        before: Any = None
        for cell in row.cells:
            if cell._tc is not before:  # a merged cell is listed once for each column
                cells.append(" ".join(cell.text.split()))
            before = cell._tc
        lines.append(" | ".join(cells))
    return "\n".join(lines)


def load_pptx(source: Path, say: Say) -> Loaded:
    import pptx

    builder = TextBuilder()
    slides = list(pptx.Presentation(str(source)).slides)
    for number, slide in enumerate(slides, start=1):
        start = builder.length
        for shape in _shapes(slide.shapes):
            if shape.has_text_frame and shape.text_frame.text.strip():
                builder.write(shape.text_frame.text.strip().replace("\v", "\n") + "\n\n")
            if getattr(shape, "has_table", False) and shape.has_table:
                builder.write(_table(shape.table.rows) + "\n\n")
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            notes = slide.notes_slide.notes_text_frame.text.strip()
            if notes:
                builder.write(f"Notes: {notes}\n\n")
        builder.section("slide", f"slide {number}", start)
        say(f"Reading slide {number} of {len(slides)}", number / len(slides))
    return Loaded("pptx", builder.text(), builder.sections)


def _shapes(shapes: Any) -> Iterable[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape

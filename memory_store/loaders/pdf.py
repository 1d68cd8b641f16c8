"""PDF: the text of each page, by PDFium. Pages are sections; bookmarks become headings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from memory_store.loaders.plain import nest
from memory_store.loaders.result import Loaded, Say, TextBuilder, Unreadable
from memory_store.records import Section

_HYPHEN = re.compile("[\x02\ufffe\u00ad]\n?")  # how PDFium marks a word divided at the end of a line


def load_pdf(source: Path, say: Say) -> Loaded:
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise Unreadable("It is protected by a password. Save a copy without one.") from error
        raise Unreadable("It is damaged or incomplete: PDFium finds no pages in it.") from error
    count = len(pdf)
    builder = TextBuilder()
    starts: list[int] = []
    unreadable = 0
    for number in range(count):
        starts.append(builder.length)
        text = _page_text(pdf, number)
        if text is None:
            unreadable += 1
        elif text:
            builder.write(text + "\n\n")
        builder.section("page", f"page {number + 1}", starts[-1])
        if number % 20 == 0:
            say(f"Reading page {number + 1} of {count}", number / count)
    if count == 0 or unreadable == count:
        raise Unreadable("It is damaged or incomplete: none of its pages can be read.")
    if not builder.text().strip():
        raise Unreadable(
            f"It holds only pictures of pages (a scan): there is no text on {'its page' if count == 1 else f'any of its {count} pages'}. "
            "Run text recognition (OCR) on it first."
        )
    return Loaded("pdf", builder.text(), [*builder.sections, *_bookmarks(pdf, starts, builder.length)])


def _page_text(pdf: Any, number: int) -> str | None:
    """None: this page is damaged."""
    import pypdfium2

    try:
        page = pdf[number]
        textpage = page.get_textpage()
        text = str(textpage.get_text_bounded())
        textpage.close()
        page.close()
    except pypdfium2.PdfiumError:
        return None
    return _HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _bookmarks(pdf: Any, starts: list[int], end: int) -> list[Section]:
    marks: list[tuple[int, int, str]] = []
    for item in pdf.get_toc(max_depth=6):
        target = item.get_dest()
        page = target.get_index() if target else None
        title = (item.get_title() or "").strip()
        if page is not None and 0 <= page < len(starts) and title:
            marks.append((starts[page], item.level + 1, title))
    marks.sort(key=lambda mark: mark[0])
    return nest(marks, end)

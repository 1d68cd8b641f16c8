"""HTML and EPUB: what a reader would see, without scripts and styles; headings and chapters are sections."""

from __future__ import annotations

import posixpath
import re
from typing import Any
from urllib.parse import unquote

from memory_store.loaders.archive import Archive
from memory_store.loaders.limits import LoadLimits
from memory_store.loaders.plain import nest
from memory_store.loaders.result import Loaded, TextBuilder, Unreadable

_SKIP = {"script", "style", "noscript", "template", "svg", "head", "iframe", "object", "select", "button"}
_BLOCK_TAGS = """
    address article aside blockquote body br caption dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5
    h6 header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul
"""
_BLOCK = frozenset(_BLOCK_TAGS.split())
_APART = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "pre", "blockquote"}
_SPACE = re.compile(r"\s+")


def load_html(name: str, data: bytes, limits: LoadLimits) -> Loaded:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(data, "lxml")
    builder = TextBuilder()
    marks: list[tuple[int, int, str]] = []
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    if title:
        builder.write(title + "\n\n")
    write_page(soup.body or soup, builder, marks)
    return Loaded("html", builder.text(), nest(marks, builder.length))


def write_page(root: Any, builder: TextBuilder, marks: list[tuple[int, int, str]]) -> None:
    """Write what is visible below `root`; add (offset, level, text) of its headings to `marks`.

    Walks with its own stack: a hostile page nests deeper than Python may call.
    """
    page = _Page(builder)
    stack: list[tuple[Any, bool]] = [(root, True)]
    heading = 0
    while stack:
        node, opening = stack.pop()
        tag = getattr(node, "name", None)
        if tag is None:
            if type(node).__name__ == "NavigableString":
                page.text(str(node))
            continue
        if opening:
            if tag in _SKIP or node.has_attr("hidden"):
                continue
            if tag in _BLOCK:
                page.line(apart=tag in _APART)
            if tag in ("td", "th") and node.find_previous_sibling(["td", "th"]) is not None:
                page.cell()
            if tag == "li":
                page.text("- ")
            page.preformatted += tag == "pre"
            if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
                heading = page.position()
            stack.append((node, False))
            stack.extend((child, True) for child in reversed(node.contents))
            continue
        if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            label = _SPACE.sub(" ", node.get_text(" ", strip=True))
            if label:
                marks.append((heading, int(tag[1]), label))
        page.preformatted -= tag == "pre"
        if tag in _BLOCK and tag not in ("td", "th"):
            page.line(apart=tag in _APART)
    page.line(apart=True)
    page.position()


class _Page:
    """Text as a browser would lay it out: runs of white space are one, blocks begin on a new line."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._start = builder.length
        self._breaks = 0  # line ends owed before the next text
        self._space = False
        self._cell = False
        self.preformatted = 0

    def text(self, text: str) -> None:
        if self.preformatted:
            self.position()
            self._builder.write(text)
            return
        inner = _SPACE.sub(" ", text)
        if inner.strip():
            self.position()
            self._builder.write(
                (" " if self._space or (inner[0] == " " and not self._fresh) else "") + inner.strip()
            )
            self._space, self._fresh = inner[-1] == " ", False
        elif inner and not self._fresh:
            self._space = True

    def line(self, apart: bool) -> None:
        if self._builder.length > self._start:
            self._breaks = max(self._breaks, 2 if apart else 1)

    def cell(self) -> None:
        self._breaks, self._cell = 0, True

    def position(self) -> int:
        """Pay the line ends owed; where the next text will begin."""
        if self._cell:
            self._builder.write(" | ")
        elif self._breaks:
            self._builder.write("\n" * self._breaks)
        if self._cell or self._breaks:
            self._fresh = True
            self._space = False
        self._breaks, self._cell = 0, False
        return self._builder.length

    _fresh = True  # nothing on this line yet


def load_epub(archive: Archive) -> Loaded:
    from bs4 import BeautifulSoup

    container = BeautifulSoup(archive.read("META-INF/container.xml"), "xml")
    root = container.find("rootfile")
    if root is None or not root.get("full-path"):
        raise Unreadable("It is no complete EPUB: its table of contents is missing.")
    package = str(root["full-path"])
    opf = BeautifulSoup(archive.read(package), "xml")
    files = {item.get("id"): str(item.get("href", "")) for item in opf.find_all("item")}
    builder = TextBuilder()
    marks: list[tuple[int, int, str]] = []
    title = opf.find("dc:title") or opf.find("title")
    if title is not None and title.get_text(strip=True):
        builder.write(title.get_text(strip=True) + "\n\n")
    for number, reference in enumerate(opf.find_all("itemref"), start=1):
        path = posixpath.normpath(
            posixpath.join(posixpath.dirname(package), unquote(files.get(reference.get("idref"), "")))
        )
        if path not in archive.names:
            continue
        page = BeautifulSoup(archive.read(path), "lxml")
        start, known = builder.length, len(marks)
        write_page(page.body or page, builder, marks)
        if builder.length > start:
            label = marks[known][2] if len(marks) > known else f"part {number}"
            builder.section("chapter", f"chapter {label}" if label.isdigit() else label, start)
    return Loaded("epub", builder.text(), [*builder.sections, *nest(marks, builder.length)])

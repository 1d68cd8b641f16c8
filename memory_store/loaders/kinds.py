"""Which loader reads which file: by what the bytes are, then by what the name says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

from memory_store.loaders.archive import Archive
from memory_store.loaders.limits import LoadLimits
from memory_store.loaders.result import Loaded, Say, Unreadable

_NOT_TEXT: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "It is a picture, and pictures are not read yet."),
    (b"\xff\xd8\xff", "It is a picture, and pictures are not read yet."),
    (b"GIF8", "It is a picture, and pictures are not read yet."),
    (b"II*\x00", "It is a picture, and pictures are not read yet."),
    (b"MM\x00*", "It is a picture, and pictures are not read yet."),
    (b"MZ\x90", "It is a program, not a document."),
    (b"\x7fELF", "It is a program, not a document."),
    (b"\x1f\x8b", "It is a compressed archive. Unpack it and upload what is inside."),
    (b"7z\xbc\xaf", "It is a compressed archive. Unpack it and upload what is inside."),
    (b"Rar!", "It is a compressed archive. Unpack it and upload what is inside."),
    (b"SQLite format 3\x00", "It is a database, not a document. Export its tables as CSV."),
    (
        b"\xd0\xcf\x11\xe0",
        "It is an old Office file (before 2007) or protected by a password. Save it as DOCX, XLSX or PPTX, without a password.",
    ),
    (b"{\\rtf", "It is a Rich Text file. Save it as DOCX."),
)
_OFFICE = {
    ".pdf": "PDF",
    ".docx": "Word",
    ".pptx": "PowerPoint",
    ".xlsx": "Excel",
    ".xlsm": "Excel",
    ".epub": "EPUB",
}
_MAIL_HEADER = re.compile(
    rb"^(Return-Path|Received|Delivered-To|Message-ID|MIME-Version|DKIM-Signature):", re.I
)


def load(name: str, source: Path, limits: LoadLimits, say: Say) -> Loaded:
    """Read `source`, called `name` by its owner. Raises Unreadable, or whatever a parser raises on a damaged file."""
    with source.open("rb") as file:
        head = file.read(4096)
    if b"%PDF-" in head[:1024]:
        from memory_store.loaders.pdf import load_pdf

        return load_pdf(source, say)
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _load_zip(name, source, limits, say)
    for start, sentence in _NOT_TEXT:
        if head.startswith(start):
            raise Unreadable(sentence)
    ending = Path(name).suffix.lower()
    if ending in _OFFICE:
        raise Unreadable(
            f"It is named {ending} but is no {_OFFICE[ending]} file; it may be damaged or incomplete."
        )
    return _text_loader(ending, head)(name, source.read_bytes(), limits)


def _load_zip(name: str, source: Path, limits: LoadLimits, say: Say) -> Loaded:
    try:
        archive = Archive(source, limits)
    except BadZipFile as error:
        raise Unreadable(
            "It is damaged or incomplete (a broken ZIP container). Copy or download it again."
        ) from error
    with archive:
        names = archive.names
        if "word/document.xml" in names:
            from memory_store.loaders.office import load_docx

            return load_docx(source)
        if "ppt/presentation.xml" in names:
            from memory_store.loaders.office import load_pptx

            return load_pptx(source, say)
        if "xl/workbook.xml" in names:
            from memory_store.loaders.sheets import load_xlsx

            return load_xlsx(name, source, limits, say)
        if "META-INF/container.xml" in names:
            from memory_store.loaders.web import load_epub

            return load_epub(archive)
        if "content.xml" in names:
            raise Unreadable("It is a LibreOffice file. Save it as DOCX, XLSX or PPTX.")
    raise Unreadable("It is a ZIP archive. Unpack it and upload what is inside.")


def _text_loader(ending: str, head: bytes) -> Callable[[str, bytes, LoadLimits], Loaded]:
    from memory_store.loaders import plain

    start = head.lstrip().lower()
    if ending in (".csv", ".tsv", ".tab"):
        from memory_store.loaders.sheets import load_csv

        return load_csv
    if ending in (".html", ".htm", ".xhtml") or start.startswith((b"<!doctype html", b"<html")):
        from memory_store.loaders.web import load_html

        return load_html
    if ending == ".eml" or _MAIL_HEADER.match(head):
        from memory_store.loaders.mail import load_mail

        return load_mail
    if ending in (".md", ".markdown", ".mdown"):
        return plain.load_markdown
    if ending in (".json", ".jsonl", ".ndjson"):
        return plain.load_json
    return plain.load_plain

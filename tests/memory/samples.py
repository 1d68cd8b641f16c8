"""Small real files of every type, made here, each with a planted sentence."""

from __future__ import annotations

import io
import zipfile
import zlib
from email.message import EmailMessage


def pdf(pages: list[str]) -> bytes:
    """A PDF with one line of Helvetica a page; an empty string makes a page without text."""
    objects: list[bytes] = [b"", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for text in pages:
        escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        stream = zlib.compress(f"BT /F1 12 Tf 50 700 Td ({escaped}) Tj ET".encode("latin-1") if text else b"")
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream)
        )
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def docx(sentence: str) -> bytes:
    import docx as library

    document = library.Document()
    document.add_heading("Lease", level=1)
    document.add_paragraph("An agreement about a house by the sea.")
    document.add_heading("Termination", level=2)
    document.add_paragraph(sentence)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Deposit", "900 euros"
    return _saved(document)


def pptx(sentence: str) -> bytes:
    import pptx as library

    presentation = library.Presentation()
    for title, body in (("Welcome", "About this year"), ("Findings", sentence)):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
    slide.notes_slide.notes_text_frame.text = "Pause here for questions."
    return _saved(presentation)


def xlsx(sentence: str) -> bytes:
    import datetime

    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Summary"
    book.active.append(["year", "total"])
    book.active.append([2024, 10.5])
    orders = book.create_sheet("Orders")
    orders.append(["article", "amount", "day", "remark"])
    for number in range(2, 7):
        orders.append([f"{number:04}", number * 10, datetime.date(2024, 5, number), "fine"])
    orders.append(["0007", 70, datetime.date(2024, 5, 7), sentence])
    return _saved(book)


def epub(sentence: str) -> bytes:
    chapters = {
        "one.xhtml": "<h1>The Harbour</h1><p>Boats came and went.</p>",
        "two.xhtml": f"<h1>The Storm</h1><p>{sentence}</p>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        )
        book.writestr(
            "OEBPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
            "<dc:title>Sea Tales</dc:title></metadata><manifest>"
            '<item id="a" href="one.xhtml"/><item id="b" href="two.xhtml"/></manifest>'
            '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>',
        )
        for name, body in chapters.items():
            book.writestr(f"OEBPS/{name}", f"<html><head><title>x</title></head><body>{body}</body></html>")
    return out.getvalue()


def mail(sentence: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.org", "bob@example.org", "The boat"
    message["Date"] = "Mon, 06 May 2024 10:00:00 +0000"
    message.set_content(f"<p>Hello Bob,</p><p>{sentence}</p>", subtype="html")
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="plan.pdf")
    return message.as_bytes()


def zip_bomb() -> bytes:
    """A Word file by its parts, 1 GB when unpacked."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb:
        with bomb.open("word/document.xml", "w", force_zip64=True) as part:
            for _ in range(1024):
                part.write(b" " * (1 << 20))
        bomb.writestr("[Content_Types].xml", "<Types/>")
    return out.getvalue()


def _saved(document: object) -> bytes:
    out = io.BytesIO()
    document.save(out)  # type: ignore[attr-defined]
    return out.getvalue()

"""The shelf of documents: a line for each, its inside, and how an upload goes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from memory_store.loaders.limits import DEFAULT
from memory_store.records import Document, Passage
from ui.html import block, chip, do, esc, fold, marked, notice
from ui.words import ago, count, size

STATUS = {
    "searchable": ("searchable", "Found by its words; search by meaning follows in the background."),
    "embedded": ("embedded", "Found by its words and by its meaning."),
}
KINDS = (
    "PDF, Word, PowerPoint, Excel, EPUB, e-mail, web pages, tables (CSV), Markdown, code and any other text; up to"
    f" {DEFAULT.file_bytes // 2**20} MB a file."
)
"""What can be uploaded, as the Upload tab says it."""
SHORT_OUTLINE = 40
"""Sections up to which an outline is open: 600 pages would push the text out of sight."""
SECTIONS = 200
"""Sections that an outline lists."""
EXCERPT = 360
"""Characters of a found passage that are shown; the whole of it is a click away."""
PREVIEW = 60_000
"""Characters of extracted text shown at once."""


@dataclass(frozen=True)
class Upload:
    """One file on its way in. ``fraction`` is 0..1; ``error`` is the sentence that goes on its line."""

    name: str
    stage: str = "waiting"
    fraction: float = 0.0
    error: str | None = None
    document: Document | None = None


def uploads(items: Sequence[Upload]) -> str:
    """The files of this upload, each with its progress or its error."""
    if not items:
        return ""
    rows = "".join(_upload(item) for item in items)
    return block(f'<ul class="uploads" aria-live="polite">{rows}</ul>')


def shelf(
    documents: Sequence[Document],
    in_use: Collection[str],
    everywhere: Collection[str] = (),
    passing: Collection[str] = (),
) -> str:
    """All documents of the user. ``in_use`` are those the next question is about, ``everywhere`` those that every chat
    begins with, ``passing`` those that go with an incognito conversation."""
    if not documents:
        return block(
            '<p class="quiet empty">No documents yet. Drop some above, or take a sample from the Chat tab.</p>'
        )
    rows = "".join(
        _line(document, document.id in in_use, document.id in everywhere, document.id in passing)
        for document in documents
    )
    head = "<tr><th>Document</th><th>Type</th><th>Size</th><th>Tokens</th><th>State</th><th>Added</th><th></th></tr>"
    return block(
        f'<div class="scroll"><table class="shelf"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )


def inside(document: Document, text: str, in_use: bool, start: int = 0, end: int = 0) -> str:
    """One document opened at character ``start``: its outline, and the text around that place. What stands there up to
    ``end`` is marked. The page finds the place by its class ``here``."""
    place = f"n-{start} to-{end}"
    moved = max(start, end) > len(text)
    if moved:
        start = end = 0
    first, last = _around(start, len(text))
    use = do(
        "docs",
        "unuse" if in_use else "use",
        document.id,
        "Do not use in this chat" if in_use else "Use in this chat",
        extra=place,
    )
    shown = f" ({first + 1:,} to {last:,} shown here; search reaches all)" if last - first < len(text) else ""
    facts = f"{document.kind} · {size(document.size)} · {count(len(text), 'character')}{shown} · about {count(document.tokens_estimate, 'token')}"
    parts = [
        f'<header><h2>{esc(document.name)}</h2><span class="tools">{use}'
        f"{_delete(document)}{do('docs', 'close', document.id, 'Close')}</span></header>",
        f'<p class="quiet">{esc(facts)}</p>',
        _outline(document),
    ]
    if moved:
        parts.append(
            notice("The passage is not at its place in this document; this is the beginning.", "warn")
        )
    before, after = esc(text[first:start]), esc(text[max(start, end) : last])
    here = f"<mark>{esc(text[start : min(end, last)])}</mark>" if start < end else ""
    if first:
        before = f"{do('docs', 'inspect', document.id, 'Read what comes before', style='boxed', extra=f'n-{first}')}\n…{before}"
    if last < len(text):
        after += f"…\n{do('docs', 'inspect', document.id, 'Read on', style='boxed', extra=f'n-{last}')}"
    parts.append(
        f'<div class="paper" tabindex="0" aria-label="Extracted text">{before}<span class="here">{here}</span>{after}</div>'
    )
    return block(f'<section class="inside {place} id-{document.id}">{"".join(parts)}</section>')


def _around(place: int, length: int) -> tuple[int, int]:
    """The characters that are shown when a text is opened at ``place``."""
    first = max(0, min(place - PREVIEW // 2, length - PREVIEW))
    return first, min(length, first + PREVIEW)


def _outline(document: Document) -> str:
    """The sections; a click opens the document there."""
    sections = document.sections
    if not sections:
        return ""
    rows = "".join(
        f'<li style="--level:{section.level}">{do("docs", "inspect", document.id, esc(section.label), extra=f"n-{section.start}")}</li>'
        for section in sections[:SECTIONS]
    )
    more = (
        f'<span class="quiet">{count(len(sections) - SECTIONS, "more section")}</span>'
        if len(sections) > SECTIONS
        else ""
    )
    return fold(
        f'Outline <span class="quiet">{count(len(sections), "section")}</span>',
        f"<ul>{rows}</ul>{more}",
        style="outline",
        key=f"outline-{document.id}",
        opened=len(sections) <= SHORT_OUTLINE,
    )


def found(passages: Sequence[Passage], query: str) -> str:
    """Passages found in documents, with the words of the query highlighted."""
    if not passages:
        return block(f'<p class="quiet empty">Nothing in your documents matches “{esc(query)}”.</p>')
    rows = "".join(
        f"<li>{do('docs', 'inspect', passage.document_id, esc(passage.document_name), style='linklike', extra=f'n-{passage.start} to-{passage.end}')}"
        f' <span class="quiet">{esc(passage.place)}</span><p>{marked(excerpt(highlight(passage.text, query)))}</p></li>'
        for passage in passages
    )
    return block(f'<ol class="found">{rows}</ol>')


def highlight(text: str, query: str) -> str:
    """The words of ``query`` in ``text`` put between U+2068 and U+2069 (see :func:`ui.html.marked`)."""
    words = sorted({word for word in re.findall(r"\w+", query) if len(word) > 1}, key=len, reverse=True)
    if not words:
        return text
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, words)) + r")", re.IGNORECASE)
    return pattern.sub("\u2068\\1\u2069", text)


def excerpt(highlighted: str) -> str:
    """A few lines of a passage, from shortly before its first highlighted word on."""
    text = " ".join(highlighted.split())
    first = text.rfind(" ", 0, max(0, text.find("\u2068") - EXCERPT // 3)) + 1
    if len(text) - first <= EXCERPT:
        return f"{'…' if first else ''}{text[first:]}"
    part = text[first : first + EXCERPT].rpartition(" ")[0]
    closed = "\u2069" if part.count("\u2068") > part.count("\u2069") else ""
    return f"{'…' if first else ''}{part}{closed}…"


def attached(
    documents: Sequence[Document], added_as: Mapping[str, str] | None = None, *, incognito: bool = False
) -> str:
    """The documents of the next question, above the message box, each with a way to take it off. ``added_as``: names of
    files by their documents' ids; one that differs from its document's name stands before it."""
    note = ""
    if incognito:
        note = '<span class="quiet">Incognito: this conversation is not stored, and neither is a document that you add to it. Both are gone when you leave it or close the tab.</span> '
    chips = "".join(
        f'<span class="chip file">{_name(document, (added_as or {}).get(document.id, ""))}'
        f"{do('chat', 'detach', document.id, '&times;', title=f'Do not use {document.name}')}</span>"
        for document in documents
    )
    return block(f'<div class="attached">{note}{chips}</div>') if note or chips else ""


def _name(document: Document, added_as: str) -> str:
    """Content is one document, whatever its files are called: models and sources know it by the first name."""
    if added_as in ("", document.name):
        return esc(document.name)
    return f'{esc(added_as)} <span title="The same content was stored under this name before.">known as {esc(document.name)}</span>'


def _line(document: Document, in_use: bool, everywhere: bool, passing: bool) -> str:
    state, explanation = STATUS.get(document.status, (document.status, ""))
    style = "good" if document.status == "embedded" else "busy"
    goes = (
        chip("incognito", "", "It is deleted when you leave the incognito conversation.") if passing else ""
    )
    return (
        f"<tr><td>{do('docs', 'inspect', document.id, esc(document.name), style='linklike', title=f'Look inside {document.name}')}{goes}</td>"
        f"<td>{esc(document.kind)}</td><td>{size(document.size)}</td><td>{document.tokens_estimate:,}</td>"
        f"<td>{chip(state, style, explanation)}</td><td>{ago(document.created_at)}</td>"
        f'<td class="tools">{_uses(document, in_use, everywhere)}'
        f"{_delete(document)}</td></tr>"
    )


def _delete(document: Document) -> str:
    return do(
        "docs", "delete", document.id, "Delete", style="danger confirm", title=f"Delete {document.name}?"
    )


def _uses(document: Document, in_use: bool, everywhere: bool) -> str:
    """Two switches: for the chat that is open, and for every chat."""
    switches = (
        ("In this chat", "unuse" if in_use else "use", in_use),
        ("In all chats", "noteverywhere" if everywhere else "everywhere", everywhere),
    )
    return "".join(
        do(
            "docs",
            action,
            document.id,
            label + (" ✓" if on else ""),
            style="switch on" if on else "switch",
            title=f"{label}: {document.name}",
            pressed=on,
        )
        for label, action, on in switches
    )


def _upload(item: Upload) -> str:
    name = f"<b>{esc(item.name)}</b>"
    if item.error:
        return f'<li class="bad">{name} <span>{esc(item.error)}</span></li>'
    if item.document is not None:
        tokens = count(item.document.tokens_estimate, "token")
        other = item.document.name
        known = "" if other == item.name else f"; known as {esc(other)}, which has the same content"
        return f'<li class="good">{name} <span>stored and searchable{known} · about {tokens}</span></li>'
    percent = round(item.fraction * 100)
    bar = f'<progress max="100" value="{percent}" aria-label="{esc(item.name)}">{percent} %</progress>'
    return f"<li>{name} {bar} <span>{esc(item.stage)}</span></li>"

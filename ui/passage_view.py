"""The source of a citation: the passage, highlighted in its surroundings."""

from __future__ import annotations

from rlm_core.results import Citation
from ui.html import block, do, esc

AROUND = 1200
"""Characters shown before and after the passage."""


def passage_panel(citation: Citation, document_text: str | None) -> str:
    """``document_text`` is None when the document was deleted: then only the passage itself can be shown."""
    start, end = citation.start, citation.end
    there = document_text is not None and 0 <= start < end <= len(document_text)
    if document_text is not None and there:
        body = _surroundings(document_text, start, end)
        note = f"characters {start:,} to {end:,} of {len(document_text):,}"
    else:
        body = f"<mark>{esc(citation.text)}</mark>"
        lost = "the document is no longer stored" if document_text is None else "the document has changed"
        note = f"{lost}; this is the passage as it was cited"
    doubt = ""
    if citation.verified is False:
        doubt = '<div class="notice warn">The answer quotes words that are not in this passage.</div>'
    whole = ""
    if document_text is not None and citation.document_id:
        spot = f"n-{start} to-{end}" if there else ""
        whole = do("docs", "inspect", citation.document_id, "Open the document", extra=spot)
    place = f" · {esc(citation.place)}" if citation.place else ""
    return block(
        f'<aside class="passage" aria-label="Source {citation.number}"><header><b>[{citation.number}] {esc(citation.document)}</b>{place}'
        f'<button type="button" class="close do do-page-close id-passage" aria-label="Close the source">&times;</button></header>'
        f'<p class="quiet">{esc(note)} {whole}</p>{doubt}<div class="paper" tabindex="0">{body}</div></aside>'
    )


def _surroundings(text: str, start: int, end: int) -> str:
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    return (
        f"{'…' if start > AROUND else ''}{esc(before)}<mark>{esc(text[start:end])}</mark>"
        f"{esc(after)}{'…' if end + AROUND < len(text) else ''}"
    )

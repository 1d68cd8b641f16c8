"""The source of a citation: the passage, highlighted in its surroundings."""

from __future__ import annotations

from rlm_core.results import Citation
from ui.html import block, do, esc

AROUND = 1200
"""Characters shown before and after the passage."""


def passage_panel(citation: Citation, document_text: str | None) -> str:
    """``document_text`` is None when the document was deleted: then only the passage itself can be shown."""
    start, end = citation.start, citation.end
    if document_text is not None and 0 <= start < end <= len(document_text):
        before = document_text[max(0, start - AROUND) : start]
        body = (
            f"{'…' if start > AROUND else ''}{esc(before)}<mark>{esc(document_text[start:end])}</mark>"
            f"{esc(document_text[end : end + AROUND])}{'…' if end + AROUND < len(document_text) else ''}"
        )
        note = f"characters {start:,} to {end:,} of {len(document_text):,}"
    else:
        body = f"<mark>{esc(citation.text)}</mark>"
        note = "the document is no longer stored; this is the passage as it was cited"
    doubt = ""
    if citation.verified is False:
        doubt = '<div class="notice warn">The answer quotes words that are not in this passage.</div>'
    whole = do("docs", "inspect", citation.document_id, "Open the document") if citation.document_id else ""
    place = f" · {esc(citation.place)}" if citation.place else ""
    return block(
        f'<aside class="passage" aria-label="Source {citation.number}"><header><b>[{citation.number}] {esc(citation.document)}</b>{place}'
        f'<button type="button" class="close do do-page-close id-passage" aria-label="Close the source">&times;</button></header>'
        f'<p class="quiet">{esc(note)} {whole}</p>{doubt}<div class="paper" tabindex="0">{body}</div></aside>'
    )

"""The few building blocks of all HTML on the page.

HTML reaches the page in two places: Gradio's Markdown component (which shows it as it is) and its Chatbot (which strips
``data-`` attributes and event handlers). Both read Markdown first, so a blank line would end the HTML: :func:`block`
makes one line of it. A button says what it does in its classes, because classes survive everywhere; ``page.js`` reads
them.
"""

from __future__ import annotations

from html import escape

esc = escape


def block(html: str) -> str:
    """HTML that Markdown leaves alone: one line, line ends as character references. (To Markdown a lone carriage return is
    a line end too: two of them in a name would end the HTML, and what follows could be a link that runs a script.)"""
    return html.strip().replace("\r\n", "\n").replace("\r", "\n").replace("\n", "&#10;")


def do(
    bus: str,
    action: str,
    item: str,
    label: str,
    *,
    title: str = "",
    style: str = "",
    extra: str = "",
    pressed: bool | None = None,
) -> str:
    """A button that sends ``action`` on ``item`` to the handlers listening on ``bus``. ``label`` is HTML.

    ``item`` is an id or a model's name: no spaces. ``pressed`` makes it a switch that is on or off.
    """
    tooltip = f' title="{esc(title)}" aria-label="{esc(title)}"' if title else ""
    classes = " ".join(part for part in (style, f"do do-{bus}-{action} id-{item}", extra) if part)
    switch = "" if pressed is None else f' aria-pressed="{str(pressed).lower()}"'
    return f'<button type="button" class="{esc(classes)}"{tooltip}{switch}>{label}</button>'


def pre(text: str, style: str = "") -> str:
    return f'<pre class="{style}">{esc(text)}</pre>' if style else f"<pre>{esc(text)}</pre>"


def fold(summary: str, body: str, *, style: str = "", key: str = "", opened: bool = False) -> str:
    """A collapsible part. ``summary`` and ``body`` are HTML; ``key`` lets the page remember that it was opened."""
    classes = " ".join(part for part in ("fold", style, f"key-{key}" if key else "") if part)
    state = " open" if opened else ""
    return f'<details class="{esc(classes)}"{state}><summary>{summary}</summary>{body}</details>'


def chip(text: str, style: str = "", title: str = "") -> str:
    tooltip = f' title="{esc(title)}"' if title else ""
    return f'<span class="chip {style}"{tooltip}>{esc(text)}</span>'


def notice(text: str, style: str = "info") -> str:
    """A sentence in a box: ``info``, ``good``, ``warn`` or ``bad``."""
    return f'<div class="notice {style}">{esc(text)}</div>'


def marked(snippet: str) -> str:
    """A search snippet whose hits stand between U+2068 and U+2069, escaped, with the hits highlighted."""
    return esc(snippet).replace("\u2068", "<mark>").replace("\u2069", "</mark>")

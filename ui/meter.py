"""What the next message will carry, in tokens, before it is sent."""

from __future__ import annotations

from dataclasses import dataclass

from ui.html import block, do, esc
from ui.words import count

MODES = {
    "auto": "Auto: as the question needs",
    "direct": "Direct: one call",
    "recursive": "Recursive: read everything",
    "retrieve": "Found passages only",
}
"""The ways to answer that the message box offers. ``retrieve`` is recursive with that strategy."""


@dataclass(frozen=True)
class Load:
    """Sizes in tokens. ``window`` is that of the model which answers directly."""

    documents: int
    history: int
    window: int

    @property
    def total(self) -> int:
        return self.documents + self.history

    @property
    def too_big(self) -> bool:
        """More than one direct call can take, an answer included."""
        return self.total > self.window * 0.8


def meter(load: Load, mode: str, *, recursive_on: bool = True) -> str:
    """One line under the message box, and a plain choice when a document is too big for what was chosen."""
    if not load.total:
        return ""
    share = min(100, round(100 * load.total / load.window))
    style = "over" if load.too_big else ""
    parts = [f"conversation {load.history:,}"] if load.history else []
    if load.documents:
        parts.insert(0, f"documents {load.documents:,}")
    text = f"Next message: about {count(load.total, 'token')} ({', '.join(parts)}); the model's window takes {load.window:,}."
    if load.too_big and load.documents and mode == "auto" and recursive_on:
        text += " It will be read in pieces."
    gauge = f'<span class="gauge {style}" aria-hidden="true"><i style="width:{share}%"></i></span>'
    html = f'<div class="meter">{gauge}<span>{esc(text)}</span></div>'
    if load.too_big and load.documents and (mode == "direct" or (mode == "auto" and not recursive_on)):
        choices = do("chat", "mode", "recursive", "Read all of it in pieces") + do(
            "chat", "mode", "retrieve", "Use only the passages that match"
        )
        html += f'<div class="notice warn">This is too big for one direct call. <span class="tools">{choices}</span></div>'
    return block(html)

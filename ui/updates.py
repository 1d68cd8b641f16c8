"""Updates of components that reach the page as they were meant.

Of what a handler yields one after the other, Gradio sends only the differences, and the browser applies them to the object it
was sent before. When two come close together, the page sees that object only after the second has changed it: if the first says
"hide the Stop button" and the second says nothing about it, the button stays. A later update that is sent whole changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradio import utils

_difference: Callable[[Any, Any], list[list[Any]]] = utils.diff
_is_update: Callable[[Any], bool] = utils.is_prop_update


def send_whole() -> None:
    """From now on, whatever Blocks of this process yield."""
    utils.diff = _whole_or_difference


def _whole_or_difference(old: Any, new: Any) -> Any:
    if _is_update(old) and old != new:
        return [["replace", [], new]]
    return _difference(old, new)

"""Thinking that a model writes into its text, ``<think>…</think>``, told apart from the answer while it streams."""

from __future__ import annotations

from typing import Literal

OPEN, CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """Feed it the pieces of one reply, get back what is thinking and what is text.

    Thinking is recognised where models write it: at the start of the reply (several blocks in a row count), however the
    tags are split over pieces. A tag further on is part of the answer, which may well talk about such tags.

    Some chat templates put the opening tag into the prompt, so that a reply has only the closing one. A reply in which
    that happened has ``unopened`` set afterwards; for the next replies of such a model pass ``inside=True``. If then no
    closing tag comes, everything was the answer and :meth:`finish` hands it over as text.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self.unopened = False
        self._state: Literal["start", "inside", "text"] = "start"
        self._assumed = inside
        self._closed = False
        self._held = ""
        self._kept: list[str] = []
        self._tail = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """The ``(thinking, text)`` that this piece completes. Either may be empty."""
        self._held += piece
        thinking: list[str] = []
        while self._held:
            if self._state == "start":
                begin = self._held.lstrip()
                if begin.startswith(OPEN):
                    self._state, self._held = "inside", begin[len(OPEN) :]
                elif OPEN.startswith(begin):
                    return "".join(thinking), ""
                elif self._assumed:
                    self._state = "inside"
                else:
                    self._state, self._held = "text", begin if self._closed else self._held
            elif self._state == "inside":
                before, tag, after = self._held.partition(CLOSE)
                if tag:
                    self._state, self._held = "start", after
                    self._assumed, self._closed = False, True
                else:
                    keep = _overlap(before, CLOSE)
                    before, self._held = before[: len(before) - keep], before[len(before) - keep :]
                thinking.append(before)
                if not tag:
                    break
            else:
                text, self._held = self._held, ""
                self._watch(text)
                return "".join(thinking), text
        if self._assumed:
            self._kept.extend(thinking)
        return "".join(thinking), ""

    def finish(self) -> tuple[str, str]:
        """What is left at the end of the reply, as ``(thinking, text)``."""
        held, self._held = self._held, ""
        if self._state == "inside":
            return ("", "".join(self._kept) + held) if self._assumed else (held, "")
        return "", "" if self._closed and not held.strip() else held

    def _watch(self, text: str) -> None:
        if not self.unopened:
            seen = self._tail + text
            self.unopened = CLOSE in seen and OPEN not in seen.partition(CLOSE)[0]
            self._tail = seen[-len(CLOSE) :]


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``tag``."""
    for size in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-size:]):
            return size
    return 0

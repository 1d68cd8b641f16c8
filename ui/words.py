"""Numbers as a person reads them."""

from __future__ import annotations

import time
from datetime import datetime


def size(count: int | None) -> str:
    """Bytes: ``812 B``, ``5.2 GB``."""
    if count is None:
        return "size unknown"
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """``0.4 s``, ``41 s``, ``3 min 5 s``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def count(number: int, noun: str, nouns: str | None = None) -> str:
    """``1 call``, ``12,300 tokens``."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def ago(moment: float, *, now: float | None = None) -> str:
    """``just now``, ``5 min``, ``3 h``, ``yesterday``, ``12 Mar`` or ``12 Mar 2024``."""
    current = time.time() if now is None else now
    passed = current - moment
    if passed < 60:
        return "just now"
    if passed < 3600:
        return f"{passed // 60:.0f} min"
    day, today = datetime.fromtimestamp(moment), datetime.fromtimestamp(current)
    days = (today.date() - day.date()).days
    if days == 0:
        return f"{passed // 3600:.0f} h"
    if days == 1:
        return "yesterday"
    return f"{day.day} {day:%b}" if day.year == today.year else f"{day.day} {day:%b %Y}"


def shortened(text: str, limit: int) -> str:
    """``text`` on one line, at most ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def cut(text: str, limit: int) -> str:
    """Head and tail of a long text, with what was left out between them named."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]}\n… {len(text) - head - tail:,} characters not shown …\n{text[-tail:]}"

"""Dates as callers write them, and dates as people search for them."""

from __future__ import annotations

import math
import time
from datetime import datetime

Moment = float | int | str | datetime


def epoch(moment: Moment | None) -> float:
    """Seconds since the epoch. None is now; text may be ISO 8601, a number, or a date as people write it
    ("1:56 pm on 8 May, 2023"). A time without a zone is this computer's. Raises ValueError for anything else.
    """
    if moment is None:
        return time.time()
    if isinstance(moment, datetime):
        return moment.timestamp()
    if isinstance(moment, int | float):
        if not math.isfinite(moment):
            raise ValueError(f"{moment!r} is not a point in time.")
        return float(moment)
    try:
        return datetime.fromisoformat(moment.strip()).timestamp()
    except ValueError:
        pass
    try:
        return float(moment)
    except ValueError:
        pass
    from dateutil import parser  # type: ignore[import-untyped]  # comes with pandas

    try:
        return float(parser.parse(moment, fuzzy=True, default=datetime(1970, 1, 1)).timestamp())
    except (parser.ParserError, OverflowError) as error:
        raise ValueError(
            f"{moment!r} is not a date. Write it like 2023-05-08 or 2023-05-08T13:56."
        ) from error


def in_words(at: float) -> str:
    """The date as it is indexed: `Monday 8 May 2023`, empty when it lies outside the calendar."""
    try:
        day = datetime.fromtimestamp(at)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{day:%A} {day.day} {day:%B} {day.year}"


def day_in_words(at: float) -> str:
    """The date without its weekday: `8 May 2023`."""
    return in_words(at).partition(" ")[2]

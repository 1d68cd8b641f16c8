"""Where things lie, resolved once, and how a small file is replaced."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_CONFIG = PROJECT / "config" / "settings.json"
DEFAULT_DATA = PROJECT / "data"


def replace_text(file: Path, text: str) -> None:
    """Write a small file so that nobody ever finds half of it. Raises OSError."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, file)

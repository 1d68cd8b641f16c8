"""Where things lie, resolved once."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_CONFIG = PROJECT / "config" / "settings.json"
DEFAULT_DATA = PROJECT / "data"

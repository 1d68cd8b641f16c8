"""Which loader reads which file: by what the bytes are, then by what the name says."""

from __future__ import annotations

from pathlib import Path

from memory_store.loaders.limits import LoadLimits
from memory_store.loaders.plain import load_plain
from memory_store.loaders.result import Loaded


def load(name: str, source: Path, limits: LoadLimits) -> Loaded:
    """Read `source`, called `name` by its owner. Raises Unreadable, or whatever a parser raises on a damaged file."""
    return load_plain(name, source.read_bytes())

"""How much a file may ask of this computer. A parser that wants more is stopped; the application goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadLimits:
    """`file_bytes` and `memory_bytes` in bytes, `seconds` of wall-clock time, `characters` and `cells` of the result."""

    file_bytes: int = 200 * 1024 * 1024
    memory_bytes: int = 3 * 1024 * 1024 * 1024  # address space: libraries map far more than they use
    seconds: float = 120.0
    characters: int = 60_000_000
    cells: int = 5_000_000
    unpacked_bytes: int = 600 * 1024 * 1024  # of everything inside a zip container


DEFAULT = LoadLimits()
NO_ROOM = 28
"""The exit status of a worker that finds the disk too full for its result."""

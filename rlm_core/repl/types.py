"""What goes into a REPL session and what comes out: plain frozen records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rlm_core.errors import LocalRLMError

Level = Literal["strict", "standard", "language-only"]
"""How far the process is locked.

``strict``: the kernel itself refuses files, network and processes. ``standard``: memory and processes are limited by the
system, files and network by the language wall and the audit hook. ``language-only``: nothing but the language wall.
"""

LEVELS: Final[tuple[Level, ...]] = ("language-only", "standard", "strict")


@dataclass(frozen=True)
class ReplLimits:
    """What one session may use. Sizes are characters unless the name says otherwise."""

    seconds: float = 30.0
    """Code time of one cell; time inside host functions does not count."""
    memory_mb: int = 1024
    """Memory of the worker besides its own; the size of the context (times 14) is added."""
    output_chars: int = 4000
    """What the model is shown of a cell's output."""
    grace_seconds: float = 1.0
    """How long a soft interrupt may take before the worker is killed."""
    calls_per_cell: int = 200
    """Host functions a single cell may call."""
    call_chars_per_cell: int = 8_000_000
    """Text a single cell may pass to host functions."""
    reply_chars: int = 8_000_000
    """Text of one host function's result; the rest is cut off."""
    snapshot_bytes: int = 8 * 1024 * 1024
    """What is kept of a session's variables to restore them after a kill."""
    sql_rows: int = 10_000
    """Rows one ``sql`` query may return."""
    minimum_level: Level = "standard"
    """Sessions refuse to start below this level. Set it to ``language-only`` only if the user agreed."""

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_mb", "output_chars"):
            if getattr(self, name) <= 0:
                raise ValueError(f"ReplLimits.{name} must be positive, not {getattr(self, name)!r}")
        if self.minimum_level not in LEVELS:
            raise ValueError(f"ReplLimits.minimum_level must be one of {', '.join(LEVELS)}")


@dataclass(frozen=True)
class ReplDocument:
    """A slice of the context: character offsets, ``end`` is exclusive."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class ReplTable:
    """One table for ``sql``. ``columns`` are ``(name, type)`` with a type of TEXT, INTEGER or REAL."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: Iterable[Sequence[str | int | float | None]]


@dataclass(frozen=True)
class CellResult:
    """What one cell did."""

    output: str
    """What the model is shown: printed text and the last expression's value, cut in the middle at ``output_chars``."""
    full_output: str
    """All of it, up to 1 MiB of characters, for the trace."""
    error: str | None
    """The traceback of the cell's own lines, with advice; None if the cell did not raise."""
    final: str | None
    """The answer, if this cell finished."""
    draft: str | None
    """``answer["content"]`` so far, if there is any."""
    seconds: float
    """Code time, without the time inside host functions."""
    interrupted: bool = False
    """The time limit (or a cancellation) ended the cell."""
    restarted: bool = False
    """The worker had to be replaced; ``lost`` names what could not be brought back."""
    lost: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    """``name: type, size`` of the variables there are now."""


@dataclass(frozen=True)
class SandboxReport:
    """What the locked worker could and could not do, in words for the settings page."""

    level: Level
    layers: dict[str, str]
    """Layer -> "on", "on (detail)" or "off: reason"."""
    attempts: dict[str, str]
    """What the self-test tried inside the locked worker -> "denied: ..." or "ALLOWED"."""
    summary: str


class ReplError(LocalRLMError):
    """The sandbox could not do what it was asked; the text says why and what to do."""


class SandboxTooWeak(ReplError):
    """This system does not reach the level that the limits demand."""


def cut_middle(head: str, tail: str, hidden: int, limit: int) -> str:
    """Show at most ``limit`` characters of a text and say how much is missing.

    ``head`` and ``tail`` are its beginning and its end, with ``hidden`` characters between them that were never kept.
    """
    whole = head + tail
    total = len(whole) + hidden
    if total <= limit:
        return whole

    def note(missing: int) -> str:
        return f"\n... [{missing:,} of {total:,} characters cut; print less, or look at slices] ...\n"

    room = max(limit - len(note(total)), 0)
    front = room * 2 // 3
    back = room - front
    return whole[:front] + note(total - room) + whole[len(whole) - back :]

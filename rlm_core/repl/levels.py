"""From the layers a worker reports to the level the user is shown."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rlm_core.repl.types import LEVELS, Level


def is_on(layers: Mapping[str, str], name: str) -> bool:
    """True if the layer is active."""
    return layers.get(name, "off").startswith("on")


def level_of(layers: Mapping[str, str], platform: str = sys.platform) -> Level:
    """The level that a set of active layers amounts to on this system."""
    if not is_on(layers, "memory limit"):
        return "language-only"
    if platform == "linux":
        if (
            is_on(layers, "seccomp")
            and is_on(layers, "no new privileges")
            and is_on(layers, "resource limits")
        ):
            return "strict"
        # RLIMIT_NOFILE=0 keeps files and sockets shut as well; Landlock alone leaves metadata and fork open.
        return (
            "standard" if is_on(layers, "Landlock") and is_on(layers, "resource limits") else "language-only"
        )
    if platform == "win32":
        hard = is_on(layers, "job object") and is_on(layers, "audit hook")
    else:
        hard = is_on(layers, "resource limits") and is_on(layers, "audit hook")
    return "standard" if hard else "language-only"


def reaches(level: Level, minimum: Level) -> bool:
    """True if ``level`` is at least ``minimum``."""
    return LEVELS.index(level) >= LEVELS.index(minimum)


def explain(level: Level, layers: Mapping[str, str], attempts: Mapping[str, str] | None = None) -> str:
    """Two or three sentences for the settings page."""
    missing = [f"{name} ({state})" for name, state in layers.items() if not state.startswith("on")]
    said = {
        "strict": "Strict: the operating system itself refuses the worker files, network and other processes.",
        "standard": (
            "Standard: the operating system limits memory and processes; files and network are closed by the language "
            "wall and the audit hook."
        ),
        "language-only": "Language only: nothing but the language wall protects this computer.",
    }[level]
    if attempts:
        tried = "; ".join(f"{name}: {outcome}" for name, outcome in attempts.items())
        said += f" Tried inside the locked worker: {tried}."
    return f"{said} Not active: {'; '.join(missing)}." if missing else said

"""Is this Python new enough, and what to install if it is not."""

from __future__ import annotations

import platform
import sys

from launcher.sentences import LaunchError

OLDEST = (3, 11)


def check(
    version: tuple[int, ...] = tuple(sys.version_info[:3]), bits: int = 64 if sys.maxsize > 2**32 else 32
) -> None:
    """Raise :class:`LaunchError` unless this Python can run LocalRLM."""
    if version < OLDEST:
        found = ".".join(str(part) for part in version)
        raise LaunchError(
            f"LocalRLM needs Python 3.11 or newer, and this is Python {found}. {how_to_install()}"
        )
    if bits != 64:
        raise LaunchError(f"LocalRLM needs a 64-bit Python, and this one has {bits} bits. {how_to_install()}")


def how_to_install(system: str = platform.system()) -> str:
    """What to do to get a suitable Python, in one sentence."""
    if system == "Windows":
        return (
            "Install Python 3.12 with `winget install Python.Python.3.12` (or from python.org; tick "
            '"Add python.exe to PATH"), then start launch.bat again.'
        )
    if system == "Darwin":
        return "Install Python 3.12 with `brew install python@3.12` (or from python.org), then start ./launch.sh again."
    return "Install it, for example with `sudo apt install python3.12 python3.12-venv`, then start ./launch.sh again."

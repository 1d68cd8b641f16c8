"""The graphics card, as ``nvidia-smi`` describes it."""

from __future__ import annotations

import shutil
import subprocess


def describe() -> str:
    """One sentence about the graphics card and its driver."""
    line = _ask()
    if line is None:
        return "No NVIDIA driver was found (nvidia-smi does not answer): models run on the processor, more slowly."
    name, memory, driver = line
    return f"Graphics card: {name}, {memory} of memory, driver {driver}."


def _ask() -> tuple | None:  # type: ignore[type-arg]
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = run.stdout.decode(errors="replace").splitlines()
    parts = [part.strip() for part in lines[0].split(",")] if lines else []
    return (parts[0], parts[1], parts[2]) if run.returncode == 0 and len(parts) == 3 else None

"""Starting, recognising and ending other programs, on Windows and elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import Any

WINDOWS = os.name == "nt"


def start_detached(command: list[str], *, log: Any, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a program that outlives this one and shows no window."""
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "env": environment}
    if WINDOWS:
        options["creationflags"] = 0x08000000 | 0x00000200  # CREATE_NO_WINDOW, CREATE_NEW_PROCESS_GROUP
    else:
        options["start_new_session"] = True
    return subprocess.Popen(command, **options)


def start_with_us(command: list[str], *, folder: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a program in this terminal that can be asked to end by :func:`ask_to_end`."""
    options: dict[str, Any] = {"cwd": folder, "env": environment}
    if WINDOWS:
        options["creationflags"] = 0x00000200  # CREATE_NEW_PROCESS_GROUP: else a Ctrl-Break would end us too
    return subprocess.Popen(command, **options)


def ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Let a program started by :func:`start_with_us` finish what it is doing and end."""
    if process.poll() is None:
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


def is_alive(pid: int, name: str | None = None) -> bool:
    """Whether process ``pid`` exists and, if ``name`` is given, has it in its command line.

    Process numbers are used again: without the name an old number may point at a stranger.
    """
    if WINDOWS:
        command = ["tasklist", "/FI", f"PID eq {pid}", "/NH", "/FO", "CSV"]
        row = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode(
            errors="replace"
        )
        program = {"app.py": "python"}.get(name or "", name or "")
        return f'"{pid}"' in row and program in row.lower()
    command_line = _linux_command_line(pid) if os.path.isdir("/proc/self") else _bsd_command_line(pid)
    return command_line is not None and (name or "") in command_line


def end(pid: int, *, seconds: float) -> None:
    """Ask process ``pid`` to end, wait up to ``seconds``, then end it by force."""
    if WINDOWS:
        subprocess.call(
            ["taskkill", "/PID", str(pid), "/T", "/F"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return
    _signal(pid, signal.SIGTERM)
    if not wait_for_end(pid, seconds=seconds):
        _signal(pid, signal.SIGKILL)


def wait_for_end(pid: int, *, seconds: float) -> bool:
    """Whether process ``pid`` is gone within ``seconds``."""
    until = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _linux_command_line(pid: int) -> str | None:
    """The command line of a process, or None when it is gone (one that has ended but was not waited for is gone)."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace") or None
    except OSError:
        return None


def _bsd_command_line(pid: int) -> str | None:
    run = subprocess.run(
        ["ps", "-p", str(pid), "-o", "stat=,command="], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    row = run.stdout.decode(errors="replace").strip()
    return None if not row or row.startswith("Z") else row


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)

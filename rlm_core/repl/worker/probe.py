"""The self-test's attempts, made by the worker's own code from inside the lock: each of them must fail."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable


def _open_file() -> None:
    with open(sys.executable, "rb") as file:
        file.read(1)


def _open_socket() -> None:
    if sys.platform == "win32":
        import _socket  # not loaded before the lock: that it cannot be loaded now is an answer, too

        _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).close()
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.socket(2, 1, 0) < 0:  # AF_INET, SOCK_STREAM, below everything Python could refuse
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _start_process() -> None:
    if hasattr(os, "fork"):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    else:
        os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-I", "-S", "-c", ""])


def attempt_all() -> dict[str, str]:
    """Attempt -> "denied: reason" or "ALLOWED"."""
    attempts: dict[str, Callable[[], None]] = {
        "file": _open_file,
        "socket": _open_socket,
        "process": _start_process,
    }
    outcome: dict[str, str] = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except Exception as error:
            outcome[name] = f"denied: {error}"
        else:
            outcome[name] = "ALLOWED"
    return outcome

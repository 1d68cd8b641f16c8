"""Starting the worker process, and the limits that the host sets from outside."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

from rlm_core.repl.types import ReplError

BOOT: Final = Path(__file__).parent / "worker" / "boot.py"
PIPE_BYTES: Final = 1024 * 1024


class Launched(Protocol):
    """A started worker process. stdin and stdout are its pipes."""

    popen: subprocess.Popen[bytes]
    layers: dict[str, str]
    """What the host put around it: layer -> "on" or "off: reason"."""

    def interrupt(self) -> None:
        """Ask the running cell to stop (soft)."""

    def kill(self) -> None:
        """End the process now."""

    def limit_memory(self, extra_bytes: int) -> str | None:
        """Let it use this much memory: "on" or "off: reason"; None where the worker does it itself."""

    def close(self) -> None:
        """Release what the launch holds, after the process has ended."""


def interpreter() -> str:
    """The real interpreter: a virtual environment's python.exe on Windows only starts another process."""
    return getattr(sys, "_base_executable", None) or sys.executable


def restricted_python_home() -> str:
    """The directory that holds the RestrictedPython package. Raises ReplError if it is not installed."""
    found = importlib.util.find_spec("RestrictedPython")
    if found is None or found.origin is None:
        raise ReplError("RestrictedPython is not installed: run `pip install -r requirements.txt`")
    return str(Path(found.origin).parent.parent)


def launch(script: Path = BOOT) -> Launched:
    """Start a worker. Call it from a thread that lives as long as the worker: on Linux it dies with that thread."""
    command = [
        interpreter(), "-I", "-S", "-X", "utf8", str(script), str(os.getpid()), restricted_python_home(),
    ]  # fmt: skip
    if sys.platform == "win32":
        from rlm_core.repl.launch_windows import WindowsWorker

        return WindowsWorker(command)
    return PosixWorker(command)


class PosixWorker:
    """A worker on Linux or macOS."""

    def __init__(self, command: list[str]) -> None:
        self.layers: dict[str, str] = {}
        try:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                close_fds=True,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise ReplError(f"the sandbox worker could not be started with {command[0]}: {error}") from error
        self._widen_pipes()

    def _widen_pipes(self) -> None:
        if sys.platform == "linux":
            import fcntl

            for pipe in (self.popen.stdin, self.popen.stdout):
                with contextlib.suppress(
                    OSError
                ):  # a user's pipe quota may be used up; then it is only slower
                    fcntl.fcntl(pipe or -1, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def interrupt(self) -> None:
        """Ask the running cell to stop (soft)."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the process now."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.kill()

    def limit_memory(self, extra_bytes: int) -> str | None:
        """The worker does it itself, before its last lock."""
        return None

    def close(self) -> None:
        """Nothing is held besides the pipes."""

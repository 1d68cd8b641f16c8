"""Locking the process down, and saying honestly what was reached."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class Lock:
    """Locks this process: everything but memory at once, memory when the size of the context is known."""

    def __init__(self) -> None:
        self.layers: dict[str, str] = {}
        """Layer -> "on", "on (detail)" or "off: reason"."""
        self._before = 0

    def lock_down(self, host_pid: int, cpu_seconds: int, interrupt_event: int | None) -> None:
        """Apply every layer this system has (the event is Windows' soft interrupt). Nothing is imported and no file is opened after this."""
        if sys.platform == "linux":
            self._lock_linux(host_pid, cpu_seconds)
        elif sys.platform == "win32":
            from rlm_core.repl.worker import lock_windows

            self.layers.update(lock_windows.harden(interrupt_event))
        else:
            self._attempt("resource limits", lambda: _posix_limits(cpu_seconds))

    def _lock_linux(self, host_pid: int, cpu_seconds: int) -> None:
        from rlm_core.repl.worker import lock_linux as linux

        self._before = linux.address_space()
        self._attempt("dropped root", linux.drop_root)
        self._attempt("no new privileges", linux.no_new_privileges)
        self._attempt("dies with host", lambda: linux.die_with_host(host_pid))
        self._attempt("empty network namespace", linux.leave_network)
        self._attempt("no capabilities", linux.drop_capabilities)
        self._attempt("Landlock", linux.landlock)
        self._attempt("resource limits", lambda: linux.resource_limits(cpu_seconds))
        self._attempt("seccomp", linux.seccomp)

    def limit_memory(self, extra_bytes: int) -> str:
        """Let the process grow by this much, once and for all. Returns the state of the layer "memory limit"."""
        if sys.platform == "win32":
            return "set by the host"
        self._attempt("memory limit", lambda: self._limit_memory(extra_bytes))
        return self.layers["memory limit"]

    def _limit_memory(self, extra_bytes: int) -> None:
        if sys.platform == "linux":
            from rlm_core.repl.worker import lock_linux as linux

            linux.limit_memory(self._before + extra_bytes)
            if self.layers["seccomp"].startswith("on"):
                linux.seal()
        else:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (extra_bytes, extra_bytes))

    def _attempt(self, layer: str, apply: Callable[[], object]) -> None:
        try:
            detail = apply()
        except Exception as error:
            self.layers[layer] = f"off: {error}"
        else:
            self.layers[layer] = f"on ({detail})" if isinstance(detail, int) else "on"


def _posix_limits(cpu_seconds: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))
    highest_open = max(fd for fd in range(64) if _is_open(fd)) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest_open, highest_open))


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True

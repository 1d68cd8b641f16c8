"""Limits on the worker's memory and time. POSIX: rlimits, set by the worker itself before it opens the file.
Windows: a job object, set from outside. Everywhere: a timer that kills.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from types import TracebackType

from memory_store.loaders.limits import LoadLimits


class Confinement:
    """Around a running worker: kills it when its time is up, and when the block is left for any reason."""

    def __init__(self, worker: subprocess.Popen[bytes], limits: LoadLimits) -> None:
        self._worker = worker
        self._timer = threading.Timer(limits.seconds, self._out_of_time)
        self._timer.daemon = True
        self.timed_out = False
        self._job = limit_memory_from_outside(worker, limits.memory_bytes)

    def _out_of_time(self) -> None:
        self.timed_out = True
        self._worker.kill()

    def __enter__(self) -> Confinement:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._worker.poll() is None:
            self._worker.kill()


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Basic(ctypes.Structure):
        _fields_ = [
            ("per_process_time", ctypes.c_int64),
            ("per_job_time", ctypes.c_int64),
            ("flags", wintypes.DWORD),
            ("minimum_working_set", ctypes.c_size_t),
            ("maximum_working_set", ctypes.c_size_t),
            ("active_processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority", wintypes.DWORD),
            ("scheduling", wintypes.DWORD),
        ]

    class _Extended(ctypes.Structure):
        _fields_ = [
            ("basic", _Basic),
            ("io", ctypes.c_uint64 * 6),
            ("process_memory", ctypes.c_size_t),
            ("job_memory", ctypes.c_size_t),
            ("peak_process_memory", ctypes.c_size_t),
            ("peak_job_memory", ctypes.c_size_t),
        ]

    _EXTENDED_LIMITS = 9
    _ONE_PROCESS, _PROCESS_MEMORY, _KILL_ON_CLOSE = 0x8, 0x100, 0x2000

    def limit_memory_from_outside(worker: subprocess.Popen[bytes], memory_bytes: int) -> object:
        """Put the worker into a job with a memory limit; the job ends with the returned handle. Raises OSError."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.restype = wintypes.HANDLE
        job = kernel.CreateJobObjectW(None, None)
        limits = _Extended()
        limits.basic.flags = _ONE_PROCESS | _PROCESS_MEMORY | _KILL_ON_CLOSE
        limits.basic.active_processes = 1
        limits.process_memory = memory_bytes
        done = kernel.SetInformationJobObject(
            wintypes.HANDLE(job), _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        ) and kernel.AssignProcessToJobObject(wintypes.HANDLE(job), wintypes.HANDLE(int(worker._handle)))
        if not done:
            worker.kill()
            raise ctypes.WinError(ctypes.get_last_error())
        return job

    def limit_from_inside(memory_bytes: int, seconds: float) -> None:
        """Nothing to do: the job object holds the limits."""

else:
    import math
    import resource

    def limit_memory_from_outside(worker: subprocess.Popen[bytes], memory_bytes: int) -> object:
        """Nothing to do: the worker limits itself before it reads the file."""
        return None

    def limit_from_inside(memory_bytes: int, seconds: float) -> None:
        """Called by the worker before it opens the file."""
        cpu = math.ceil(seconds)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

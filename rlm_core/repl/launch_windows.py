"""Starting the worker on Windows: a Job Object around it, and an event as the soft interrupt. ctypes only.

The Job limits memory (commit charge; an allocation beyond it fails and becomes MemoryError), allows one process, counts
CPU time and ends the worker when the host ends, however that happens. It restricts neither files nor network: those are
closed by the language wall, low integrity (no writing) and the audit hook. See SECURITY.md for what is proven.

Sources: Microsoft Learn, "Job Objects", "AssignProcessToJobObject", JOBOBJECT_EXTENDED_LIMIT_INFORMATION.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from typing import Any, Final

from rlm_core.repl.types import ReplError

# Fixed sizes rather than ctypes.wintypes, so that the layout can be tested on any 64-bit system.
DWORD, BOOL, HANDLE = ctypes.c_uint32, ctypes.c_int32, ctypes.c_void_p


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION"""

    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", DWORD),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", DWORD),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", DWORD),
        ("SchedulingClass", DWORD),
    )


class IoCounters(ctypes.Structure):
    """IO_COUNTERS"""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("r", "w", "o", "rb", "wb", "ob"))


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION"""

    _fields_ = (
        ("Basic", BasicLimits),
        ("IoInfo", IoCounters),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class SecurityAttributes(ctypes.Structure):
    """SECURITY_ATTRIBUTES"""

    _fields_ = (("nLength", DWORD), ("lpSecurityDescriptor", ctypes.c_void_p), ("bInheritHandle", BOOL))


LIMIT_PROCESS_TIME: Final = 0x2
LIMIT_ACTIVE_PROCESS: Final = 0x8
LIMIT_PROCESS_MEMORY: Final = 0x100
LIMIT_JOB_MEMORY: Final = 0x200
DIE_ON_UNHANDLED_EXCEPTION: Final = 0x400
KILL_ON_JOB_CLOSE: Final = 0x2000
EXTENDED_LIMITS_CLASS, UI_RESTRICTIONS_CLASS = 9, 4
ALL_UI_RESTRICTIONS: Final = 0xFF
CREATE_NO_WINDOW, CREATE_NEW_PROCESS_GROUP = 0x08000000, 0x200
TICKS_PER_SECOND: Final = 10_000_000
BASE_BYTES: Final = 192 * 1024 * 1024
"""What the interpreter itself may commit, besides the session's memory."""
CPU_SECONDS: Final = 900
KILLED: Final = 97


def kernel32() -> Any:
    """kernel32 with the argument types of what is used here (a handle is 64 bits wide)."""
    library = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "CreateJobObjectW": (HANDLE, [ctypes.c_void_p, ctypes.c_wchar_p]),
        "SetInformationJobObject": (BOOL, [HANDLE, ctypes.c_int, ctypes.c_void_p, DWORD]),
        "AssignProcessToJobObject": (BOOL, [HANDLE, HANDLE]),
        "TerminateJobObject": (BOOL, [HANDLE, DWORD]),
        "CreateEventW": (HANDLE, [ctypes.c_void_p, BOOL, BOOL, ctypes.c_wchar_p]),
        "SetEvent": (BOOL, [HANDLE]),
        "CloseHandle": (BOOL, [HANDLE]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def extended_limits(memory_bytes: int | None) -> ExtendedLimits:
    """The limits of the Job; without ``memory_bytes`` memory is not limited yet."""
    limits = ExtendedLimits()
    flags = LIMIT_PROCESS_TIME | LIMIT_ACTIVE_PROCESS | DIE_ON_UNHANDLED_EXCEPTION | KILL_ON_JOB_CLOSE
    if memory_bytes is not None:
        flags |= LIMIT_PROCESS_MEMORY | LIMIT_JOB_MEMORY
        limits.ProcessMemoryLimit = limits.JobMemoryLimit = memory_bytes
    limits.Basic.LimitFlags = flags
    limits.Basic.ActiveProcessLimit = 1
    limits.Basic.PerProcessUserTimeLimit = CPU_SECONDS * TICKS_PER_SECOND
    return limits


class WindowsWorker:
    """A worker inside its Job."""

    def __init__(self, command: list[str]) -> None:
        self._k = kernel32()
        self.layers: dict[str, str] = {}
        inheritable = SecurityAttributes(ctypes.sizeof(SecurityAttributes), None, 1)
        self._event = self._k.CreateEventW(ctypes.byref(inheritable), 0, 0, None)
        if not self._event:
            raise self._error("CreateEvent")
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [self._event]})  # type: ignore[attr-defined,unused-ignore]
        environment = {name: os.environ[name] for name in ("SystemRoot", "windir") if name in os.environ}
        try:
            self.popen = subprocess.Popen(
                [*command, str(self._event)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                close_fds=True,
                startupinfo=startup,
                creationflags=CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP,
                bufsize=0,
            )
        except OSError as error:
            self._k.CloseHandle(self._event)
            raise ReplError(f"the sandbox worker could not be started with {command[0]}: {error}") from error
        self._job = self._enter_job()

    def _enter_job(self) -> Any:
        # The worker runs only our own code until it is sent its first frame, so it is in time to assign the Job now.
        # A process that is in a Job already (a terminal's, a service's) cannot join one that restricts the desktop.
        for restrict_desktop in (True, False):
            job = self._k.CreateJobObjectW(None, None)
            if job and self._set_limits(job, None):
                if restrict_desktop:
                    rights = DWORD(ALL_UI_RESTRICTIONS)
                    self._k.SetInformationJobObject(job, UI_RESTRICTIONS_CLASS, ctypes.byref(rights), 4)
                if self._k.AssignProcessToJobObject(job, int(self.popen._handle)):  # type: ignore[attr-defined,unused-ignore]
                    self.layers["job object"] = "on"
                    self.layers["no desktop"] = (
                        "on" if restrict_desktop else "off: this program is inside another job"
                    )
                    return job
            if job:
                self._k.CloseHandle(job)
        self.layers["job object"] = f"off: {self._error('AssignProcessToJobObject')}"
        return None

    def _set_limits(self, job: Any, memory_bytes: int | None) -> bool:
        limits = extended_limits(memory_bytes)
        size = ctypes.sizeof(limits)
        return bool(self._k.SetInformationJobObject(job, EXTENDED_LIMITS_CLASS, ctypes.byref(limits), size))

    def _error(self, call: str) -> ReplError:
        code = ctypes.get_last_error()  # type: ignore[attr-defined,unused-ignore]
        return ReplError(f"{call} failed with Windows error {code}")

    def interrupt(self) -> None:
        """Set the event; its callback in the worker is PyErr_SetInterrupt, which needs no GIL."""
        self._k.SetEvent(self._event)

    def kill(self) -> None:
        """End the process now."""
        if self._job is not None:
            self._k.TerminateJobObject(self._job, KILLED)
        elif self.popen.poll() is None:
            self.popen.kill()

    def limit_memory(self, extra_bytes: int) -> str | None:
        """Bound the commit charge of the Job."""
        if self._job is None:
            return "off: there is no job object"
        return (
            "on"
            if self._set_limits(self._job, BASE_BYTES + extra_bytes)
            else f"off: {self._error('memory limit')}"
        )

    def close(self) -> None:
        """Release the handles; closing the Job's last one would end the worker."""
        for handle in (self._job, self._event):
            if handle:
                self._k.CloseHandle(handle)
        self._job = self._event = None

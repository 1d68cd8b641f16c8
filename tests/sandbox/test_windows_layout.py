"""What of the Windows launcher can be checked on any 64-bit system: sizes, offsets and flags of what it hands to the kernel."""

from __future__ import annotations

import ctypes

from rlm_core.repl import launch_windows as windows
from rlm_core.repl.levels import level_of
from rlm_core.repl.worker import lock_windows


def test_the_structures_have_the_layout_of_the_windows_headers() -> None:
    assert ctypes.sizeof(windows.BasicLimits) == 64
    assert windows.BasicLimits.LimitFlags.offset == 16
    assert windows.BasicLimits.ActiveProcessLimit.offset == 40
    assert ctypes.sizeof(windows.IoCounters) == 48
    assert ctypes.sizeof(windows.ExtendedLimits) == 144
    assert windows.ExtendedLimits.ProcessMemoryLimit.offset == 112
    assert ctypes.sizeof(windows.SecurityAttributes) == 24
    assert ctypes.sizeof(lock_windows.SidAndAttributes) == 16


def test_the_job_allows_one_process_and_ends_with_its_handle() -> None:
    limits = windows.extended_limits(memory_bytes=123)
    flags = limits.Basic.LimitFlags
    assert flags & windows.KILL_ON_JOB_CLOSE
    assert flags & windows.LIMIT_ACTIVE_PROCESS
    assert limits.Basic.ActiveProcessLimit == 1
    assert limits.ProcessMemoryLimit == limits.JobMemoryLimit == 123
    assert not windows.extended_limits(None).Basic.LimitFlags & windows.LIMIT_PROCESS_MEMORY


def test_windows_and_macos_are_never_called_strict() -> None:
    everything = dict.fromkeys(
        ("job object", "audit hook", "memory limit", "resource limits", "seccomp", "Landlock"), "on"
    )
    assert level_of(everything, "win32") == "standard"
    assert level_of(everything, "darwin") == "standard"
    assert level_of({**everything, "job object": "off: error 5"}, "win32") == "language-only"
    assert level_of({**everything, "memory limit": "off"}, "linux") == "language-only"


def test_linux_degrades_visibly() -> None:
    full = dict.fromkeys(
        ("seccomp", "no new privileges", "resource limits", "Landlock", "memory limit"), "on"
    )
    assert level_of(full, "linux") == "strict"
    assert level_of({**full, "Landlock": "off: old kernel"}, "linux") == "strict"
    assert level_of({**full, "seccomp": "off: container"}, "linux") == "standard"
    assert level_of({**full, "seccomp": "off", "Landlock": "off"}, "linux") == "language-only"

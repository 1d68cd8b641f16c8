"""Windows: what the worker can take away from itself, besides the Job Object that the host puts around it.

Process mitigations (no child processes, no remote images, no extension points) and low integrity (no writing to the
user's files). Neither stops reading files or the network; the audit hook is what closes those here, and SECURITY.md says so.

Source: Microsoft Learn, SetProcessMitigationPolicy, SetTokenInformation, RegisterWaitForSingleObject.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

DWORD, HANDLE = ctypes.c_uint32, ctypes.c_void_p
MITIGATIONS: Final = {
    "no child processes": (13, 0x1),
    "no remote images": (10, 0x3),
    "no extension points": (6, 0x1),
}
"""Layer -> (PROCESS_MITIGATION_POLICY, flags)."""
LOW_INTEGRITY: Final = "S-1-16-4096"
TOKEN_ADJUST_DEFAULT, TOKEN_QUERY, TOKEN_INTEGRITY_LEVEL = 0x80, 0x8, 25
SE_GROUP_INTEGRITY: Final = 0x20
WAIT_FOREVER: Final = 0xFFFFFFFF


class SidAndAttributes(ctypes.Structure):
    """SID_AND_ATTRIBUTES"""

    _fields_ = (("Sid", ctypes.c_void_p), ("Attributes", DWORD))


def harden(interrupt_event: int | None) -> dict[str, str]:
    """Apply every layer; returns layer -> "on" or "off: reason"."""
    kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel.GetCurrentProcess.restype = HANDLE
    layers: dict[str, str] = {}
    for layer, (policy, flags) in MITIGATIONS.items():
        layers[layer] = _state(lambda p=policy, f=flags: _mitigate(kernel, p, f))  # type: ignore[misc]
    layers["low integrity"] = _state(lambda: _lower_integrity(kernel))
    if interrupt_event is not None:
        layers["soft interrupt"] = _state(lambda: _arm_interrupt(kernel, interrupt_event))
    return layers


def _state(apply: Callable[[], bool]) -> str:
    try:
        done = apply()
    except (OSError, AttributeError) as error:  # the function does not exist on this Windows
        return f"off: {error}"
    code = ctypes.get_last_error()  # type: ignore[attr-defined,unused-ignore]
    return "on" if done else f"off: Windows error {code}"


def _mitigate(kernel: Any, policy: int, flags: int) -> bool:
    value = DWORD(flags)
    return bool(kernel.SetProcessMitigationPolicy(policy, ctypes.byref(value), ctypes.c_size_t(4)))


def _lower_integrity(kernel: Any) -> bool:
    security: Any = ctypes.WinDLL("advapi32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    security.OpenProcessToken.argtypes = [HANDLE, DWORD, ctypes.POINTER(HANDLE)]
    security.ConvertStringSidToSidW.argtypes = [ctypes.c_wchar_p, ctypes.POINTER(ctypes.c_void_p)]
    security.GetLengthSid.argtypes = [ctypes.c_void_p]
    security.SetTokenInformation.argtypes = [HANDLE, ctypes.c_int, ctypes.c_void_p, DWORD]
    token, sid = HANDLE(), ctypes.c_void_p()
    wanted = TOKEN_ADJUST_DEFAULT | TOKEN_QUERY
    if not security.OpenProcessToken(kernel.GetCurrentProcess(), wanted, ctypes.byref(token)):
        return False
    if not security.ConvertStringSidToSidW(LOW_INTEGRITY, ctypes.byref(sid)):
        return False
    label = SidAndAttributes(sid, SE_GROUP_INTEGRITY)
    size = ctypes.sizeof(label) + security.GetLengthSid(sid)
    return bool(security.SetTokenInformation(token, TOKEN_INTEGRITY_LEVEL, ctypes.byref(label), size))


def _arm_interrupt(kernel: Any, event: int) -> bool:
    """A thread-pool wait whose callback is PyErr_SetInterrupt itself: it only sets flags and needs no GIL."""
    callback = ctypes.cast(ctypes.pythonapi.PyErr_SetInterrupt, ctypes.c_void_p)
    waiting = HANDLE()
    kernel.RegisterWaitForSingleObject.argtypes = [
        ctypes.POINTER(HANDLE), HANDLE, ctypes.c_void_p, ctypes.c_void_p, DWORD, DWORD,
    ]  # fmt: skip
    return bool(
        kernel.RegisterWaitForSingleObject(ctypes.byref(waiting), event, callback, None, WAIT_FOREVER, 0)
    )

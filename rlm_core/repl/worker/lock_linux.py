"""Linux: the process gives up everything but computing and talking on its two pipes. ctypes only, no privileges needed.

What each layer closes, in the order it is applied (the order matters):

====================  ===================================================================================
drop of root          setgroups, setresgid, setresuid to ``nobody`` if the host runs as root
no new privileges     no set-uid program can give anything back
namespaces            a user and a network namespace: no interface but a loopback that is down
capabilities          all capability sets emptied, also those of the new user namespace
Landlock              a ruleset that handles everything and allows nothing: no file, no TCP, no signal outside
resource limits       no descriptors beyond those open, no processes, no files written, no core, CPU seconds
seccomp               an allow-list of system calls; no open, no socket, no fork, no thread, no executable memory
memory limit          the address space, once the size of the context is known; a second filter then seals it
====================  ===================================================================================

Sources: seccomp(2), landlock(7), unshare(2), capset(2), the UAPI headers of Linux 6.18.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from typing import Final

NOBODY: Final = 65534

_X86_64: Final = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
    "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "readv": 19, "writev": 20, "sched_yield": 24,
    "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "exit": 60, "getrusage": 98, "times": 100,
    "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
    "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234, "getrandom": 318, "membarrier": 324,
    "rseq": 334, "gettimeofday": 96, "prlimit64": 302, "seccomp": 317,
}  # fmt: skip
_AARCH64: Final = {
    "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222, "mprotect": 226, "munmap": 215,
    "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "readv": 65, "writev": 66,
    "sched_yield": 124, "mremap": 216, "madvise": 233, "nanosleep": 101, "getpid": 172, "exit": 93, "getrusage": 165,
    "times": 153, "sigaltstack": 132, "gettid": 178, "futex": 98, "restart_syscall": 128, "clock_gettime": 113,
    "clock_getres": 114, "clock_nanosleep": 115, "exit_group": 94, "tgkill": 131, "getrandom": 278, "membarrier": 283,
    "rseq": 293, "gettimeofday": 169, "prlimit64": 261, "seccomp": 277,
}  # fmt: skip
SYSCALLS: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}
UNTIL_SEALED: Final = ("prlimit64", "seccomp")
"""Needed once more between the lock-down and the first cell, to set the memory limit; then seal() takes them away."""
_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}

_LOAD, _JUMP_EQUAL, _JUMP_BITS, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL_PROCESS, _EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_PROT_EXEC = 4

_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446


class LayerError(Exception):
    """A layer is not available; the text says why."""


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    return libc


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise LayerError(f"{what}: {os.strerror(code)}")
    return result


def drop_root() -> None:
    """Become ``nobody`` if the host runs as root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def no_new_privileges() -> None:
    """Needed by Landlock and seccomp without privileges."""
    _check(_libc().prctl(38, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def die_with_host(host_pid: int) -> None:
    """The kernel kills this process when the host's thread that started it ends."""
    _check(_libc().prctl(1, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != host_pid:
        os._exit(0)  # the host died before the line above


def leave_network() -> None:
    """An empty network namespace (inside a new user namespace, so that no privilege is needed)."""
    _check(_libc().unshare(0x10000000 | 0x40000000), "unshare(CLONE_NEWUSER | CLONE_NEWNET)")


def drop_capabilities() -> None:
    """Empty the capability sets, also those a new user namespace brought."""
    header = struct.pack("Ii", 0x20080522, 0)
    number = _CAPSET.get(platform.machine())
    if number is None:
        raise LayerError(f"capset: unknown machine {platform.machine()}")
    _check(_libc().syscall(ctypes.c_long(number), header, b"\0" * 24), "capset")


def landlock() -> int:
    """Handle every access right the kernel knows and allow none; returns the ABI version."""
    libc = _libc()
    abi = _check(
        libc.syscall(ctypes.c_long(_LANDLOCK_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint32(1)),
        "Landlock",
    )
    rights = (1 << 13) - 1
    for version, bit in ((2, 13), (3, 14), (5, 15)):
        rights |= (1 << bit) if abi >= version else 0
    network, scope = (3 if abi >= 4 else 0), (3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    attributes = struct.pack("QQQ", rights, network, scope)
    ruleset = _check(
        libc.syscall(ctypes.c_long(_LANDLOCK_CREATE), attributes, ctypes.c_size_t(size), ctypes.c_uint32(0)),
        "landlock_create_ruleset",
    )
    try:
        _check(
            libc.syscall(ctypes.c_long(_LANDLOCK_RESTRICT), ctypes.c_int(ruleset), ctypes.c_uint32(0)),
            "landlock_restrict_self",
        )
    finally:
        os.close(ruleset)
    return abi


def resource_limits(cpu_seconds: int) -> None:
    """Hard limits for the life of the process; memory follows in seal(), when the size of the context is known."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(limit, (0, 0))
    _libc().prctl(4, 0, 0, 0, 0)  # not dumpable: no ptrace and no /proc/<pid>/mem for others of the same user


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_uint16), ("filter", ctypes.POINTER(_Filter)))


def filter_program(machine: str, own_pid: int) -> list[tuple[int, int, int, int]]:
    """The BPF instructions: the listed calls pass, mapping executable memory and signals to others do not."""
    numbers = SYSCALLS[machine]
    program: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":  # the x32 ABI has the same arch value and other numbers
        program += [(_JUMP_GREATER_EQUAL, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL_PROCESS)]
    for name, number in numbers.items():
        if name in ("mmap", "mprotect"):  # argument 2 is the protection
            program += [
                (_JUMP_EQUAL, 0, 4, number),
                (_LOAD, 0, 0, 32),
                (_JUMP_BITS, 0, 1, _PROT_EXEC),
                (_RETURN, 0, 0, _EPERM),
                (_RETURN, 0, 0, _ALLOW),
            ]
        elif name == "tgkill":  # argument 0 is the process
            program += [
                (_JUMP_EQUAL, 0, 4, number),
                (_LOAD, 0, 0, 16),
                (_JUMP_EQUAL, 0, 1, own_pid),
                (_RETURN, 0, 0, _ALLOW),
                (_RETURN, 0, 0, _EPERM),
            ]
        else:
            program += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    return [*program, (_RETURN, 0, 0, _EPERM)]


def seal_program(machine: str) -> list[tuple[int, int, int, int]]:
    """The second filter: what UNTIL_SEALED names is refused as well."""
    program: list[tuple[int, int, int, int]] = [(_LOAD, 0, 0, 0)]
    for name in UNTIL_SEALED:
        program += [(_JUMP_EQUAL, 0, 1, SYSCALLS[machine][name]), (_RETURN, 0, 0, _EPERM)]
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _install(instructions: list[tuple[int, int, int, int]]) -> int:
    array = (_Filter * len(instructions))(*[_Filter(*i) for i in instructions])
    program = _Program(len(instructions), array)
    number = ctypes.c_long(SYSCALLS[platform.machine()]["seccomp"])
    _check(_libc().syscall(number, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.byref(program)), "seccomp")
    return len(instructions)


def seccomp() -> int:
    """Install the allow-list; returns its number of instructions."""
    machine = platform.machine()
    if machine not in SYSCALLS:
        raise LayerError(f"seccomp: no table of system calls for {machine}")
    return _install(filter_program(machine, os.getpid()))


def address_space() -> int:
    """Bytes of address space in use."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def limit_memory(total_bytes: int) -> None:
    """The hard limit of the address space."""
    resource.setrlimit(resource.RLIMIT_AS, (total_bytes, total_bytes))


def seal() -> None:
    """Nothing about the limits can be changed after this."""
    _install(seal_program(platform.machine()))

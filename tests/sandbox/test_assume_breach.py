"""Assume that the language wall has fallen: a cell holds os, socket, ctypes, subprocess and every builtin.

The operating system must still refuse files, network, other processes and the host (Linux), first without and then with
the audit hook. A cell that gets something prints ALLOWED.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rlm_core.repl import ReplLimits, WorkerPool
from tests.sandbox.catalogue import ATTEMPTS
from tests.sandbox.driving import Cells

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these layers are Linux's")

BREACH = Path(__file__).parent / "breach"
CANARY = "canary-5a1f8c"

# name -> expression or statements; must raise, or give a false value
DENIED = {
    "read a file": "open('/etc/passwd').read()",
    "read with os.open": "os.open('/etc/hostname', os.O_RDONLY)",
    "list a directory": "os.listdir('/')",
    "scan a directory": "list(os.scandir('/'))",
    "stat": "os.stat('/etc/passwd')",
    "access": "os.access('/etc/passwd', os.R_OK)",
    "readlink": "os.readlink('/proc/self/exe')",
    "current directory": "os.getcwd()",
    "change directory": "os.chdir('/tmp') is None",
    "write a file": "open('/tmp/localrlm-breach', 'w')",
    "make a directory": "os.mkdir('/tmp/localrlm-breach-dir') is None",
    "unlink": "os.unlink('/tmp/nothing')",
    "chmod": "os.chmod('/tmp', 0o777) is None",
    "the host's environment": f"open('/proc/{os.getpid()}/environ').read()",
    "its own environment": "open('/proc/self/environ').read()",
    "its own memory map": "open('/proc/self/maps').read()",
    "fork": "os.fork() >= 0 and os._exit(0)",
    "forkpty": "os.forkpty()",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "exec": "os.execv('/bin/true', ['true'])",
    "system": "os.system('true') == 0",
    "subprocess": "subprocess.run(['/bin/true'])",
    "a TCP socket": "socket.socket()",
    "a UDP socket": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a unix socket": "socket.socket(socket.AF_UNIX)",
    "a netlink socket": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a socket pair": "socket.socketpair()",
    "name resolution": "socket.getaddrinfo('localhost', 80, type=socket.SOCK_STREAM) and socket.create_connection(('localhost', 80))",
    "kill the host": f"os.kill({os.getpid()}, 0) is None",
    "kill everything": "os.kill(-1, 0) is None",
    "signal with pidfd": f"os.pidfd_open({os.getpid()})",
    "executable memory": "mmap.mmap(-1, 4096, prot=7)",
    "memory made executable": "libc.mprotect(ctypes.c_void_p((id([]) >> 12) << 12), ctypes.c_size_t(4096), 5) == 0",
    "a memory file": "os.memfd_create('x')",
    "a pipe": "os.pipe()",
    "a duplicate descriptor": "os.dup(0)",
    "an event descriptor": "os.eventfd(0)",
    "a new thread": "threading.Thread(target=int).start() is None",
    "more memory": "resource.setrlimit(resource.RLIMIT_AS, (-1, -1)) is None",
    "more descriptors": "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)) is None",
    "become root": "os.setuid(0) is None",
    "change groups": "os.setgroups([0]) is None",
    "another namespace": "libc.unshare(0x10000000) == 0",
    "mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
    "chroot": "os.chroot('/') is None",
    "affinity": "os.sched_setaffinity(0, {0}) is None",
    "priority": "os.nice(-5)",
    "host name": "socket.gethostname() if libc.sethostname(b'x', 1) == 0 else 0",
}

# number -> arguments of a raw system call on x86-64; the result must be -1
RAW_CALLS = {
    "open": "2, b'/etc/passwd', 0",
    "openat": "257, -100, b'/etc/passwd', 0",
    "openat2": "437, -100, b'/etc/passwd', b'\\0' * 24, 24",
    "socket": "41, 2, 1, 0",
    "clone": "56, 17, 0, 0, 0, 0",
    "clone3": "435, b'\\0' * 88, 88",
    "execve": "59, b'/bin/true', None, None",
    "ptrace": f"101, 16, {os.getpid()}, 0, 0",
    "process_vm_readv": f"310, {os.getpid()}, b'\\0' * 16, 1, b'\\0' * 16, 1, 0",
    "io_uring_setup": "425, 8, b'\\0' * 120",
    "bpf": "321, 0, b'\\0' * 48, 48",
    "keyctl": "250, 0, -3, 1",
    "userfaultfd": "323, 0",
    "perf_event_open": "298, b'\\0' * 112, 0, -1, -1, 0",
    "memfd_create": "319, b'x', 0",
    "kill": f"62, {os.getpid()}, 0",
    "tgkill the host": f"234, {os.getpid()}, {os.getpid()}, 0",
    "prctl": "157, 4, 1, 0, 0, 0",
    "seccomp": "317, 2, 0, b'\\0' * 8",
    "prlimit64": "302, 0, 9, None, b'\\0' * 16",
    "setns": "308, 0, 0",
    "shmget": "29, 1, 4096, 0o1600",
    "mq_open": "240, b'x', 66, 0o600, None",
    "pidfd_open": f"434, {os.getpid()}, 0",
    "inotify_init": "253",
    "name_to_handle_at": "303, -100, b'/etc/passwd', b'\\0' * 64, b'\\0' * 8, 0",
    "landlock_create_ruleset": "444, None, 0, 1",
}


def attempt(what: str) -> str:
    return f"try:\n    r = {what}\nexcept Exception as e:\n    print('denied:', e)\nelse:\n    print('ALLOWED' if r else 'denied')"


@pytest.fixture(scope="module")
def quiet() -> Iterator[Cells]:
    os.environ["LOCALRLM_CANARY"] = CANARY
    pool = WorkerPool(BREACH / "quiet.py")
    with Cells("text", pool=pool, limits=ReplLimits(seconds=3, memory_mb=256, grace_seconds=0.3)) as cells:
        yield cells
        cells.do(pool.close())
    del os.environ["LOCALRLM_CANARY"]


@pytest.mark.parametrize("name", DENIED)
def test_the_system_refuses_it_without_any_help_from_python(quiet: Cells, name: str) -> None:
    result = quiet.run(attempt(DENIED[name]))
    assert "denied" in result.output, result
    assert "ALLOWED" not in result.output
    assert not result.restarted


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize("name", RAW_CALLS)
def test_a_raw_system_call_is_refused(quiet: Cells, name: str) -> None:
    result = quiet.run(f"r = libc.syscall({RAW_CALLS[name]})\nr, ctypes.get_errno()")
    assert result.output == "(-1, 1)\n", result  # EPERM


def test_the_32_bit_and_x32_call_tables_are_closed(quiet: Cells) -> None:
    result = quiet.run("libc.syscall(0x40000000 + 2, b'/etc/passwd', 0)")
    assert result.restarted  # the kernel kills the process


def test_a_connection_to_the_host_is_refused(quiet: Cells) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = quiet.run(attempt(f"socket.create_connection(('127.0.0.1', {port}), 1)"))
        assert "denied" in result.output
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_secret_of_the_host_is_in_the_worker(quiet: Cells) -> None:
    assert os.environ["LOCALRLM_CANARY"] == CANARY
    half = CANARY[:7]
    result = quiet.run(
        f"rest = '5a1f' + '8c'\nfound = [o for o in gc.get_objects() if isinstance(o, (dict, list)) and any("
        f"isinstance(v, str) and v == {half!r} + rest for v in (o.values() if isinstance(o, dict) else o))]\n"
        "list(os.environ), len(found)"
    )
    assert result.output.endswith(", 0)\n")
    assert "LOCALRLM" not in result.output
    assert "PATH" not in result.output


def test_only_the_two_pipes_are_open(quiet: Cells) -> None:
    code = "[fd for fd in range(3, 1024) if libc.lseek(fd, 0, 1) == 0 or ctypes.get_errno() != 9]"  # EBADF
    assert len(eval(quiet.run(code).output)) == 2


def test_a_worker_that_ignores_the_interrupt_is_killed(quiet: Cells) -> None:
    result = quiet.run("signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass")
    assert result.restarted
    assert quiet.run("1 + 1").output == "2\n"


def test_a_worker_that_ends_itself_is_replaced(quiet: Cells) -> None:
    assert quiet.run("os._exit(0)").restarted
    assert quiet.run("os.abort()").restarted
    assert quiet.run("ctypes.string_at(0)").restarted
    assert quiet.run("1 + 1").output == "2\n"


def test_the_whole_catalogue_in_plain_python_changes_nothing_outside(quiet: Cells) -> None:
    reached = 0
    for tried in ATTEMPTS:
        reached += "REACHED" in quiet.run(tried.code).output
    assert reached > 50  # without the language wall they do get through, as far as Python goes
    assert not [name for name in os.listdir("/tmp") if name.startswith("localrlm-breach")]
    assert psutil.Process(quiet.pid).children() == []
    for name in ("read a file", "fork", "a TCP socket", "kill the host"):
        assert "denied" in quiet.run(attempt(DENIED[name])).output


@pytest.fixture(scope="module")
def watched() -> Iterator[Cells]:
    pool = WorkerPool(BREACH / "watched.py")
    with Cells("text", pool=pool, limits=ReplLimits(seconds=3, memory_mb=256, grace_seconds=0.3)) as cells:
        yield cells
        cells.do(pool.close())


TRIPS = [
    "open('/etc/passwd')", "os.listdir('/')", "os.fork()", "os.system('true')", "subprocess.run(['/bin/true'])",
    "socket.socket()", "os.kill(1, 0)", "mmap.mmap(-1, 4096)", "gc.get_objects()", "eval('1')", "compile('1', '', 'eval')",
    "(lambda: 0).__code__", "(i for i in []).gi_frame", "sys._getframe()", "ctypes.string_at(0)", "os.putenv('a', 'b')",
    "sys.addaudithook(print)", "sys._current_frames()",
]  # fmt: skip


@pytest.mark.parametrize("code", TRIPS)
def test_the_tripwire_ends_a_worker_that_reaches_for_it(watched: Cells, code: str) -> None:
    result = watched.run(code)
    assert result.restarted, result
    assert "violation" in (result.error or "")
    assert watched.run("1 + 1").output == "2\n"


def test_an_import_is_refused_without_ending_the_worker(watched: Cells) -> None:
    result = watched.run("import wave")
    assert "ImportError" in (result.error or "")
    assert not result.restarted

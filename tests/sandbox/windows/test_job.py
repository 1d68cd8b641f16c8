"""The Windows launcher's Job under Wine, and its numbers against the Windows headers of mingw-w64.

There is no Python for Windows here: ``job.c`` makes the same calls, with the bytes that the Python side makes of its
structures. Wine is not Windows: it takes all limits, but (8.0) neither refuses the second process nor the memory beyond the
limit. What it says of those two is not asserted; SECURITY.md lists them as unproven.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rlm_core.repl import launch_windows as windows
from rlm_core.repl.worker import lock_windows

COMPILER, WINE = shutil.which("x86_64-w64-mingw32-gcc"), shutil.which("wine")
needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="needs mingw-w64 (apt-get install gcc-mingw-w64-x86-64-win32); CI installs it"
)
needs_wine = pytest.mark.skipif(
    WINE is None, reason="needs wine (apt-get install wine wine64); CI installs it"
)
SOURCE = Path(__file__).with_name("job.c")

NAMES = {
    "JOB_OBJECT_LIMIT_PROCESS_TIME": windows.LIMIT_PROCESS_TIME,
    "JOB_OBJECT_LIMIT_ACTIVE_PROCESS": windows.LIMIT_ACTIVE_PROCESS,
    "JOB_OBJECT_LIMIT_PROCESS_MEMORY": windows.LIMIT_PROCESS_MEMORY,
    "JOB_OBJECT_LIMIT_JOB_MEMORY": windows.LIMIT_JOB_MEMORY,
    "JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION": windows.DIE_ON_UNHANDLED_EXCEPTION,
    "JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE": windows.KILL_ON_JOB_CLOSE,
    "JobObjectExtendedLimitInformation": windows.EXTENDED_LIMITS_CLASS,
    "JobObjectBasicUIRestrictions": windows.UI_RESTRICTIONS_CLASS,
    "JOB_OBJECT_UILIMIT_ALL": windows.ALL_UI_RESTRICTIONS,
    "CREATE_NO_WINDOW": windows.CREATE_NO_WINDOW,
    "CREATE_NEW_PROCESS_GROUP": windows.CREATE_NEW_PROCESS_GROUP,
    "TOKEN_ADJUST_DEFAULT": lock_windows.TOKEN_ADJUST_DEFAULT,
    "TOKEN_QUERY": lock_windows.TOKEN_QUERY,
    "TokenIntegrityLevel": lock_windows.TOKEN_INTEGRITY_LEVEL,
    "SE_GROUP_INTEGRITY": lock_windows.SE_GROUP_INTEGRITY,
    "INFINITE": lock_windows.WAIT_FOREVER,
    "ProcessImageLoadPolicy": lock_windows.MITIGATIONS["no remote images"][0],
    "ProcessExtensionPointDisablePolicy": lock_windows.MITIGATIONS["no extension points"][0],
}
STRUCTURES = {
    "JOBOBJECT_BASIC_LIMIT_INFORMATION": windows.BasicLimits,
    "IO_COUNTERS": windows.IoCounters,
    "JOBOBJECT_EXTENDED_LIMIT_INFORMATION": windows.ExtendedLimits,
    "SECURITY_ATTRIBUTES": windows.SecurityAttributes,
    "SID_AND_ATTRIBUTES": lock_windows.SidAndAttributes,
}
MEMBERS = {"Basic": "BasicLimitInformation"}
"""Where the Python side's name of a field is shorter than the header's."""


@needs_compiler
def test_sizes_offsets_and_numbers_are_those_of_the_windows_headers(tmp_path: Path) -> None:
    claims = [f"{name} == {value}" for name, value in NAMES.items()]
    for name, structure in STRUCTURES.items():
        claims.append(f"sizeof({name}) == {ctypes.sizeof(structure)}")
        if structure is not windows.IoCounters:  # its fields have other names there; all six are alike
            claims += [
                f"offsetof({name}, {MEMBERS.get(field, field)}) == {getattr(structure, field).offset}"
                for field, _ in structure._fields_
            ]
    source = tmp_path / "claims.c"
    checks = "\n".join(f'_Static_assert({claim}, "");' for claim in claims)
    source.write_text(f"#include <windows.h>\n#include <stddef.h>\n{checks}\n")
    compiled = subprocess.run(
        [str(COMPILER), "-D_WIN32_WINNT=0x0A00", "-fsyntax-only", str(source)], capture_output=True, text=True
    )
    assert compiled.stderr == ""
    assert compiled.returncode == 0
    assert len(claims) > 35


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """job.exe, and Wine's own folder beside it."""
    folder = tmp_path_factory.mktemp("job")
    made = folder / "job.exe"
    command = [str(COMPILER), "-D_WIN32_WINNT=0x0A00", "-Wall", "-Werror", str(SOURCE), "-o", str(made)]
    subprocess.run(command, check=True)
    subprocess.run(["wineboot", "-i"], env=surroundings(folder), capture_output=True, check=True)
    return made


def surroundings(folder: Path) -> dict[str, str]:
    without_browser_and_mono = "mshtml=;mscoree=;winemenubuilder.exe="
    prefix = str(folder / "prefix")
    return {
        **os.environ,
        "WINEPREFIX": prefix,
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": without_browser_and_mono,
    }


class Host:
    """job.exe as the launcher, up to the point where its child has reported and only waits."""

    def __init__(self, program: Path) -> None:
        self._token = secrets.token_hex(8)
        memory = windows.BASE_BYTES + 256 * 1024 * 1024
        security = windows.SecurityAttributes(ctypes.sizeof(windows.SecurityAttributes), None, 1)
        flags = windows.CREATE_NO_WINDOW | windows.CREATE_NEW_PROCESS_GROUP
        structures = (windows.extended_limits(None), windows.extended_limits(memory), security)
        words = [bytes(structure).hex() for structure in structures]
        self.process = subprocess.Popen(
            [str(WINE), str(program), "host", *words, str(flags), str(windows.ALL_UI_RESTRICTIONS), self._token],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=surroundings(program.parent),
        )  # fmt: skip
        self.said: dict[str, str] = {}
        self._read_until("child waits")
        self.children = [child for child in psutil.process_iter() if self._is_child(child)]

    def tell(self, letter: str) -> None:
        """c: close the Job's handle. d: end without cleaning up."""
        assert self.process.stdin is not None
        self.process.stdin.write(letter)
        self.process.stdin.close()
        self._read_until(None)
        self.process.wait(60)

    def _read_until(self, last: str | None) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == last:
                return
            name, _, outcome = line.strip().partition("=")
            self.said[name] = outcome
        assert last is None, f"job.exe ended after {self.said}"

    def _is_child(self, process: psutil.Process) -> bool:
        try:
            command = " ".join(process.cmdline())
            return self._token in command and " child " in command
        except psutil.Error:
            return False


@pytest.fixture
def host(program: Path) -> Iterator[Host]:
    made = Host(program)
    yield made
    for process in (*made.children, made.process):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@needs_compiler
@needs_wine
def test_the_job_takes_all_limits_and_ends_the_worker_when_it_is_closed(host: Host) -> None:
    assert len(host.children) == 1
    host.tell("c")
    steps = ("inheritable event", "process", "limits", "desktop restrictions", "assigned", "memory limit")
    assert {name: host.said[name] for name in steps} == dict.fromkeys(steps, "1")
    assert (host.said["wait registered"], host.said["soft interrupt"]) == ("1", "1")
    assert host.said["ended with the job"] == "1"


@needs_compiler
@needs_wine
def test_a_host_that_dies_takes_its_worker_along(host: Host) -> None:
    assert len(host.children) == 1
    host.tell("d")
    _, alive = psutil.wait_procs(host.children, timeout=30)
    assert alive == []

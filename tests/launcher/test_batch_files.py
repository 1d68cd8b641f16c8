"""The batch files under Wine's command interpreter, with stand-ins for py and python.

Wine's ``cmd`` is not Windows': what only a real Windows can show is the double click, the window that stays open,
Ctrl-C, and the store's placeholder for ``python``. What the launcher does after Python was found is tested in Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.launcher.checkout import PROJECT

WINE = shutil.which("wine")
pytestmark = pytest.mark.skipif(
    WINE is None, reason="needs wine (apt-get install wine wine64); CI installs it"
)


@pytest.mark.parametrize("script", ["launch.bat", "stop.bat"])
def test_batch_files_end_their_lines_as_windows_does_and_are_plain_ascii(script: str) -> None:
    data = (PROJECT / script).read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n")
    data.decode("ascii")


class Windows:
    """A folder with the batch files and a folder of stand-ins on Wine's PATH."""

    def __init__(self, folder: Path, prefix: Path) -> None:
        self.root, self.bin, self._prefix = folder / "Grüße & (mehr) Ärger", folder / "bin", prefix
        self.root.mkdir()
        self.bin.mkdir()
        for script in ("launch.bat", "stop.bat"):
            shutil.copy(PROJECT / script, self.root / script)

    def stand_in(self, program: str, *, minor: int, code: int = 0, only: str = "") -> None:
        """``program`` is Python 3.``minor``; the launcher in it ends with ``code``. ``only``: the one option it knows.

        A real executable is needed, since a batch file that names another one never comes back. pip carries one: the
        starter of console scripts, which runs whatever stands behind the ``#!`` appended to it.
        """
        batch = self.bin / f"{program}-stand-in.bat"
        lines = ["@echo off"]
        if only:
            lines.append(f'if not "%~2"=="{only}" exit 103')
        lines += [f'if "%~{place}"=="import sys; sys.exit(sys.version_info < (3, {asked}))" exit {int(minor < asked)}'
                  for asked in (8, 11) for place in (3, 4)]  # fmt: skip
        lines += ["cd", "echo launcher called: %*", f"exit {code}"]
        batch.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
        archive = BytesIO()
        with zipfile.ZipFile(archive, "w") as script:
            script.writestr("__main__.py", "")
        starter = _pip_starter().read_bytes()
        (self.bin / f"{program}.exe").write_bytes(
            starter + f"#!cmd.exe /c {_windows(batch)}\r\n".encode() + archive.getvalue()
        )

    def run(self, script: str, *arguments: str, folder: Path | None = None) -> tuple[int, str]:
        """Run the script in its own folder, or from ``folder`` as another batch file does; exit code and what was said.

        (Wine loses the exit code of a called batch file, so that only the first way can show it.)
        """
        assert WINE is not None
        caller = self.bin / "caller.bat"
        words = " ".join(f'"{word}"' if " " in word else word for word in arguments)
        caller.write_bytes(f'@call "%TARGET%" {words}\r\n@exit %ERRORLEVEL%\r\n'.encode())
        process = subprocess.run(
            [WINE, "cmd", "/c", *((_windows(caller),) if folder else (script, *arguments))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder or self.root,
            env={
                **os.environ,
                "WINEPREFIX": str(self._prefix),
                "WINEDEBUG": "-all",
                "TARGET": _windows(self.root / script),
                "WINEPATH": _windows(self.bin),
                "LC_ALL": "C.UTF-8",
                "CI": "true",
            },
            timeout=120,
        )
        return process.returncode, process.stdout.decode("cp1252", "replace").replace("\r\n", "\n")


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wine's own folder, made once."""
    folder = tmp_path_factory.mktemp("wine")
    subprocess.run(
        ["wineboot", "-i"],
        env={**os.environ, "WINEPREFIX": str(folder), "WINEDEBUG": "-all"},
        capture_output=True,
    )
    return folder


@pytest.fixture
def windows(tmp_path: Path, prefix: Path) -> Windows:
    return Windows(tmp_path, prefix)


def _windows(path: Path) -> str:
    return "Z:" + str(path).replace("/", "\\")


def _pip_starter() -> Path:
    from pip._vendor import distlib

    return Path(distlib.__file__).with_name("t64.exe")


def test_the_launcher_is_called_in_its_own_folder_with_the_arguments(
    windows: Windows, tmp_path: Path
) -> None:
    windows.stand_in("py", minor=12)
    code, said = windows.run("launch.bat", "--port", "8001", "--note", "two words", folder=tmp_path)
    assert code == 0
    where, called = said.splitlines()[-2:]
    assert where.endswith("\\Grüße & (mehr) Ärger")
    assert called.endswith('-3.12 -m launcher --port 8001 --note "two words"')


def test_the_exit_code_of_the_launcher_is_passed_on(windows: Windows) -> None:
    windows.stand_in("py", minor=12, code=7)
    assert windows.run("launch.bat")[0] == 7


def test_python_from_the_path_is_taken_when_there_is_no_py(windows: Windows) -> None:
    windows.stand_in("python", minor=11)
    code, said = windows.run("launch.bat", "test", "-k", "x")
    assert code == 0
    assert said.splitlines()[-1].endswith("-m launcher test -k x")


def test_a_new_enough_version_is_found_among_several(windows: Windows) -> None:
    windows.stand_in("py", minor=13, only="-3.13")
    code, said = windows.run("launch.bat")
    assert code == 0
    assert said.splitlines()[-1].strip().endswith("-3.13 -m launcher")


def test_an_old_python_gets_to_say_that_it_is_too_old(windows: Windows) -> None:
    windows.stand_in("py", minor=9, code=1, only="-3")
    code, said = windows.run("launch.bat")
    assert code == 1
    assert "launcher called" in said


def test_without_python_it_says_what_to_install(windows: Windows) -> None:
    code, said = windows.run("launch.bat")
    assert code == 1
    assert "LocalRLM needs Python 3.11 or newer, and no Python was found." in said
    assert "winget install Python.Python.3.12" in said


def test_stop_asks_the_launcher_to_stop(windows: Windows, tmp_path: Path) -> None:
    windows.stand_in("py", minor=12)
    code, said = windows.run("stop.bat", folder=tmp_path)
    assert code == 0
    assert said.splitlines()[-1].strip().endswith("-3.12 -m launcher stop")

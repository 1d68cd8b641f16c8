"""Ollama: find it, start it if it does not run, offer the models, and end it again if it was started here."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from launcher import http, processes
from launcher.places import Places
from launcher.sentences import ask, complain, say

DEFAULT_PORT = 11434
SECONDS_TO_START = 30
SERVER_SETTINGS = {
    "OLLAMA_FLASH_ATTENTION": "1",  # less memory for long prompts, and needed for the next line
    "OLLAMA_KV_CACHE_TYPE": "q8_0",  # the cache of a prompt takes half of the memory
    "OLLAMA_NUM_PARALLEL": "2",  # sub-calls side by side; each one takes a whole window of graphics memory
    "OLLAMA_NO_CLOUD": "1",  # local models only
}
MODELS = (
    ("qwen3:8b", 5.2, "fast answers; enough to begin with"),
    (
        "glm-z1:9b",
        6.2,
        "tools and code; if Ollama's library does not have it, see chapter 3 of LOCAL_LLM_SETUP.md",
    ),
    ("qwen3:30b-a3b", 19.0, "the best final answers; needs 24 GB of main memory"),
)
"""Name, download size in GB, what it is for."""


def address(setting: str | None = None) -> str:
    """Where Ollama listens: ``OLLAMA_HOST`` as Ollama itself reads it, else the default.

    A host of 0.0.0.0 means "every address" to a server; a client asks 127.0.0.1 instead.
    """
    text = (os.environ.get("OLLAMA_HOST", "") if setting is None else setting).strip().strip("\"'")
    scheme, host = text.split("://", 1) if "://" in text else ("http", text)
    host = host.split("/")[0]
    default_port = (
        {"http": 80, "https": 443}[scheme] if "://" in text and scheme in ("http", "https") else DEFAULT_PORT
    )
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name, port = host, ""
    name = "127.0.0.1" if name in ("", "0.0.0.0", "[::]") else name
    return f"{scheme}://{name}:{port if port.isdigit() else default_port}"


def find() -> str | None:
    """The program's path, also where its installer puts it without telling PATH."""
    on_path = shutil.which("ollama")
    if on_path:
        return on_path
    usual = [
        Path(os.environ.get("LOCALAPPDATA", "")) / "Programs" / "Ollama" / "ollama.exe",
        Path("/Applications/Ollama.app/Contents/Resources/ollama"),
        Path("/usr/local/bin/ollama"),
    ]
    return next((str(path) for path in usual if path.is_file()), None)


def is_running() -> bool:
    return http.fetch_json(address() + "/api/version") is not None


def make_ready(places: Places, *, interactive: bool) -> None:
    """Start Ollama if it is installed and does not run, and offer the models that are missing.

    Nothing here is fatal: without Ollama the embedded demonstration model answers.
    """
    program = find()
    if is_running():
        say("Ollama is running.")
    elif program is None:
        say("Ollama is not installed; the small embedded model will answer. " + how_to_install())
        return
    elif not start(places, program):
        complain(
            "Ollama did not start (its messages are in %s). The small embedded model will answer."
            % (places.data / "ollama.log")
        )
        return
    if program is not None and interactive:
        offer_models(places, program)


def how_to_install(system: str = platform.system()) -> str:
    """What to do to get Ollama, in one sentence."""
    if system == "Windows":
        return "For good answers install it with `winget install Ollama.Ollama` (or from ollama.com) and start again."
    if system == "Darwin":
        return "For good answers install it with `brew install ollama` (or from ollama.com) and start again."
    return "For good answers install it as ollama.com says and start again."


def start(places: Places, program: str, *, seconds: float = SECONDS_TO_START) -> bool:
    """Start ``ollama serve`` in the background and wait until it answers; remember that it is ours."""
    environment = dict(SERVER_SETTINGS, **os.environ)
    places.data.mkdir(parents=True, exist_ok=True)
    with open(str(places.data / "ollama.log"), "ab") as log:
        server = processes.start_detached([program, "serve"], log=log, environment=environment)
    say("Starting Ollama ...")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_running():
            places.own_ollama.write_text(json.dumps({"pid": server.pid}), encoding="utf-8")
            say("Ollama is running.")
            return True
        if server.poll() is not None:
            return False
        time.sleep(0.2)
    processes.end(server.pid, seconds=5)
    return False


def stop(places: Places) -> bool:
    """End the Ollama that this launcher started; True if there was one."""
    try:
        pid = int(json.loads(places.own_ollama.read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    places.own_ollama.unlink()
    if not processes.is_alive(pid, "ollama"):
        return False
    processes.end(pid, seconds=10)
    return True


def offer_models(places: Places, program: str, *, asking: Callable[[str], str] = ask) -> None:
    """Offer each missing model once, with its size."""
    installed, offered = installed_models(), _offered(places)
    missing = [model for model in MODELS if model[0] not in installed | offered]
    if not missing:
        return
    say("LocalRLM works best with three models. They are downloaded once and stay on this computer.")
    for name, gigabytes, purpose in missing:
        say(f"  {name:<14} {gigabytes:4.1f} GB  {purpose}")
    for name, gigabytes, _ in missing:
        if asking(f"Download {name} ({gigabytes:.1f} GB) now? [y/N]").lower() in ("y", "yes"):
            _pull(program, name, gigabytes)
        offered.add(name)
        places.offered_models.write_text(json.dumps(sorted(offered)), encoding="utf-8")


def installed_models() -> set[str]:
    """The names of the models that Ollama has."""
    reply = http.fetch_json(address() + "/api/tags") or {}
    return {str(model.get("name", "")) for model in reply.get("models", [])}


def _pull(program: str, name: str, gigabytes: float) -> None:
    free = shutil.disk_usage(str(_models_folder())).free / 1000**3
    if free < gigabytes + 1:
        complain(f"{name} needs {gigabytes:.1f} GB, but only {free:.1f} GB are free. It was not downloaded.")
    elif subprocess.call([program, "pull", name]) != 0:
        complain(
            f"{name} could not be downloaded. `ollama pull {name}` tries again; what has arrived is kept."
        )


def _models_folder() -> Path:
    folder = Path(os.environ.get("OLLAMA_MODELS") or Path.home() / ".ollama")
    while not folder.exists():
        folder = folder.parent
    return folder


def _offered(places: Places) -> set[str]:
    try:
        return set(json.loads(places.offered_models.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return set()

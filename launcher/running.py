"""The running app: is there one, start one, follow it to its end, end it."""

from __future__ import annotations

import json
import os
import socket
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from launcher import http, processes
from launcher.places import Places
from launcher.sentences import LaunchError, say

SECONDS_TO_END = 30


class Wishes:
    """What the arguments for app.py and the settings file say about where it will listen."""

    def __init__(self, arguments: Sequence[str], project: Path) -> None:
        self.arguments = list(arguments)
        self.data = _value(self.arguments, "--data")
        config = _value(self.arguments, "--config")
        settings = _read(Path(config) if config else project / "config" / "settings.json")
        server = settings.get("server")
        server = server if isinstance(server, dict) else {}
        port = (
            _value(self.arguments, "--port")
            or os.environ.get("LOCALRLM_SERVER__PORT")
            or server.get("port")
            or 8000
        )
        self.port = int(port) if str(port).isdigit() else 8000
        backend = (
            _value(self.arguments, "--backend")
            or os.environ.get("LOCALRLM_BACKEND")
            or settings.get("backend")
        )
        address = (
            _value(self.arguments, "--base-url")
            or os.environ.get("LOCALRLM_BASE_URL")
            or settings.get("base_url")
        )
        self.wants_local_ollama = backend in (None, "auto", "ollama") and not address
        self.browser = "--no-browser" not in self.arguments


def running_url(places: Places) -> str | None:
    """The address of the app that runs with this data folder, or None."""
    told = _read(places.running_app)
    url, pid = told.get("url"), told.get("pid")
    if not isinstance(url, str) or not isinstance(pid, int) or not processes.is_alive(pid, "app.py"):
        return None
    return url if http.answers(url) else None


def open_running(url: str, *, browser: bool) -> None:
    """Show the page of the app that already runs."""
    say(f"LocalRLM is already running at {url}")
    if browser:
        webbrowser.open(url)


def check_port(port: int) -> None:
    """Raise :class:`LaunchError` when another program has the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            launcher = "launch.bat" if os.name == "nt" else "./launch.sh"
            raise LaunchError(
                f"Port {port} is used by another program. End that program, or start with another port: "
                f"{launcher} --port {port + 1}"
            ) from None


def start(places: Places, arguments: Sequence[str]) -> Any:
    """Start app.py in this terminal. It opens the browser itself once its page answers."""
    places.data.mkdir(parents=True, exist_ok=True)
    if places.stop_request.exists():
        places.stop_request.unlink()
    command = [str(places.python), "app.py", *arguments]
    environment = dict(os.environ, PYTHONUTF8="1")
    say("Starting LocalRLM ...")
    return processes.start_with_us(command, folder=str(places.project), environment=environment)


def follow(places: Places, app: Any, *, when_it_answers: Callable[[], None]) -> int:
    """Wait for the app's end, end it when somebody asks (Ctrl-C here, or the stop script), return its exit code.

    ``when_it_answers`` is called once, as soon as its page does.
    """
    asked, answered = False, False
    while app.poll() is None:
        try:
            if not answered and running_url(places):
                answered = True
                when_it_answers()
            if not asked and places.stop_request.exists():
                asked = True
                processes.ask_to_end(app)
            time.sleep(0.2)
        except KeyboardInterrupt:
            asked = True
            if os.name == "nt":  # elsewhere the terminal has told the app already
                processes.ask_to_end(app)
    if places.stop_request.exists():
        places.stop_request.unlink()
    return 0 if asked else int(app.returncode)


def stop(places: Places) -> bool:
    """End the running app gracefully; True if there was one. Raises :class:`LaunchError` when it does not end."""
    pid = _read(places.running_app).get("pid")
    if not isinstance(pid, int) or not processes.is_alive(pid, "app.py"):
        return False
    say("Ending LocalRLM ...")
    places.stop_request.write_text("", encoding="utf-8")
    if not processes.wait_for_end(pid, seconds=3 if os.name != "nt" else SECONDS_TO_END):
        processes.end(pid, seconds=SECONDS_TO_END)  # it was not started by the launcher, or is slow
    if places.stop_request.exists():
        places.stop_request.unlink()
    if not processes.wait_for_end(pid, seconds=5):
        raise LaunchError(f"LocalRLM (process {pid}) does not end. End it in the task manager.")
    if places.running_app.exists():
        places.running_app.unlink()
    return True


def _value(arguments: list[str], name: str) -> str | None:
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(name + "="):
            return argument[len(name) + 1 :]
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}

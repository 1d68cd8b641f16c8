"""Where things lie, seen from the launcher."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


class Places:
    """The files of one checkout. ``data`` is the folder of everything the user made."""

    def __init__(self, project: Path = PROJECT, data: Path | None = None) -> None:
        self.project = project
        self.data = data or project / "data"
        self.environment = project / ".venv"
        self.stamp = self.environment / "installed.json"

    @property
    def python(self) -> Path:
        """The environment's Python."""
        inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        return self.environment.joinpath(*inside)

    @property
    def install_log(self) -> Path:
        return self.data / "install.log"

    @property
    def running_app(self) -> Path:
        """Written by app.py while it runs: ``{"pid", "url", "started_ollama"}``."""
        return self.data / "app.json"

    @property
    def stop_request(self) -> Path:
        """Its appearance asks the launcher to end the app."""
        return self.data / "stop-request"

    @property
    def own_ollama(self) -> Path:
        """Written when this launcher started Ollama: ``{"pid"}``."""
        return self.data / "ollama.json"

    @property
    def lock(self) -> Path:
        """Held while one launcher sets up and starts."""
        return self.data / "launcher.lock"

    @property
    def offered_models(self) -> Path:
        """The models whose download was already offered."""
        return self.data / "offered-models.json"


def is_interactive() -> bool:
    """Whether a person sits in front of this terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")

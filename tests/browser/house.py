"""The whole application as a person starts it: `app.py` in a process of its own, with its own data folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class App:
    """One LocalRLM. `folder` is its data folder; it can be killed and started again on it. Programs in `path` are found
    before those of the system."""

    def __init__(self, folder: Path, *arguments: str, path: Path | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.arguments = arguments
        self.environment = dict(os.environ)
        if path is not None:
            self.environment["PATH"] = f"{path}{os.pathsep}{os.environ['PATH']}"
        self.log = folder.parent / f"{folder.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> App:
        command = [
            sys.executable,
            "app.py",
            "--no-browser",
            "--port",
            str(self.port),
            "--data",
            str(self.folder),
        ]
        command += ["--config", str(self.folder.parent / f"{self.folder.name}.json"), *self.arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"The app did not start:\n{self.log.read_text(encoding='utf-8')[-4000:]}"
                )
            time.sleep(0.1)
        return self

    def kill(self) -> None:
        """kill -9, as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """End it as Ctrl-C does; returns the exit code."""
        if self._process is None or self._process.poll() is not None:
            return 0
        self._process.send_signal(signal.SIGINT if os.name == "posix" else signal.CTRL_C_EVENT)
        try:
            return self._process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("The app did not end within 40 s of Ctrl-C.") from None

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as reply:
            return str(reply.read().decode("utf-8"))

    def json(self, path: str) -> object:
        return json.loads(self.get(path))

    def _answers(self) -> bool:
        try:
            self.get("/")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

"""A checkout in miniature: the real launcher around a stand-in app and packages that need no network."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

APP = """
import argparse, http.server, json, os, pathlib, signal, ssl, sys, threading
parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8000)
parser.add_argument("--data", default="data")
parser.add_argument("--fail", type=int)
parser.add_argument("--no-browser", action="store_true")
parser.add_argument("--note", default="")
parser.add_argument("--certificate")
parser.add_argument("--key")
a = parser.parse_args()
if a.fail is not None:
    sys.exit(a.fail)
data = pathlib.Path(a.data); data.mkdir(parents=True, exist_ok=True)
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"hello")
    def log_message(self, *rest): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", a.port), Page)
if a.certificate:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(a.certificate, a.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
scheme = "https" if a.certificate else "http"
def end(*rest): threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, end); signal.signal(signal.SIGINT, end)
(data / "seen.json").write_text(json.dumps({"argv": sys.argv[1:], "utf8": os.environ.get("PYTHONUTF8")}))
(data / "app.new").write_text(json.dumps({"pid": os.getpid(), "url": "%s://127.0.0.1:%d" % (scheme, a.port), "started_ollama": False}))
(data / "app.new").replace(data / "app.json")
server.serve_forever()
(data / "app.json").unlink()
(data / "saved").write_text("in-flight answers")
"""
TOOL = "import sys\nprint('{name} was called with', sys.argv[1:])\nsys.exit(5 if '--break-{name}' in sys.argv else 0)\n"

OLLAMA = """
import http.server, json, os, sys
from pathlib import Path
here = Path(__file__).parent
with open(here / "calls", "a") as calls: calls.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "pull": sys.exit(1 if "glm" in sys.argv[2] else 0)
(here / "environment.json").write_text(json.dumps({k: v for k, v in os.environ.items() if k.startswith("OLLAMA")}))
class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"/api/version": {"version": "0.99"}, "/api/tags": {"models": [{"name": "qwen3:8b"}]}}[self.path]
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(body).encode())
    def log_message(self, *rest): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["OLLAMA_HOST"].split(":")[1])), Api).serve_forever()
"""


@dataclass
class Checkout:
    """One miniature checkout; ``bin`` is the first folder on PATH and holds the stand-ins."""

    root: Path
    bin: Path
    environment: dict[str, str] = field(default_factory=dict)

    def launch(self, *arguments: str, script: str = "launch.sh", **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / script, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.environment, **environment},
        )

    def run(self, *arguments: str, script: str = "launch.sh", **environment: str) -> tuple[int, str]:
        """Exit code and everything that was printed."""
        process = self.launch(*arguments, script=script, **environment)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    @contextlib.contextmanager
    def running(self, data: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """The app, started by the launcher and answering; ended by the stop script at the latest."""
        process = self.launch(*arguments, "--data", str(data), "--port", str(free_port()), **environment)
        try:
            wait_for(lambda: (data / "app.json").exists() or process.poll() is not None)
            yield process
        finally:
            self.run("--data", str(data), script="stop.sh", **environment)
            process.communicate(timeout=60)

    def stand_in(self, name: str, text: str) -> Path:
        file = self.bin / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)
        return file

    def stand_in_ollama(self, name: str = "ollama") -> Path:
        """An ``ollama`` whose server knows one model, and whose calls and environment are written down."""
        program = self.bin / "ollama-stand-in.py"
        program.write_text(OLLAMA, encoding="utf-8")
        return self.stand_in(name, f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')


def make(folder: Path) -> Checkout:
    """Lay out the checkout in ``folder`` (its path may hold anything)."""
    root, programs = folder / "checkout", folder / "bin"
    root.mkdir(parents=True)
    programs.mkdir()
    shutil.copytree(PROJECT / "launcher", root / "launcher", ignore=shutil.ignore_patterns("__pycache__"))
    for script in ("launch.sh", "stop.sh", "launch.bat", "stop.bat"):
        shutil.copy2(PROJECT / script, root / script)
    (root / "app.py").write_text(APP, encoding="utf-8")
    wheel(root / "runtime-1.0-py3-none-any.whl", {"runtime/__init__.py": ""})
    wheel(
        root / "weights-1.0-py3-none-any.whl",
        {"weights/__init__.py": ""},
        needs="a-package-that-does-not-exist",
    )
    tools = {f"{name}/__main__.py": TOOL.format(name=name) for name in ("pytest", "ruff", "mypy")}
    wheel(root / "tools-1.0-py3-none-any.whl", tools)
    for name, package in (
        ("requirements", "runtime"),
        ("requirements-models", "weights"),
        ("requirements-dev", "tools"),
    ):
        (root / f"{name}.txt").write_text(f"# why\n./{package}-1.0-py3-none-any.whl\n", encoding="utf-8")
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OLLAMA", "LOCALRLM", "PYTEST"))
        },
        "PYTHON": sys.executable,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "BROWSER": f'"{programs / "browser"}" %s',
        "OLLAMA_HOST": f"127.0.0.1:{free_port()}",
        "PIP_NO_INDEX": "1",
    }
    checkout = Checkout(root, programs, environment)
    checkout.stand_in("browser", f'#!/bin/sh\necho "$1" >> "{programs}/opened"\n')
    return checkout


def wheel(file: Path, modules: dict[str, str], needs: str | None = None) -> None:
    """Write a wheel by hand."""
    name, version = file.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {needs}\n" if needs else ""
    )
    files = {
        **modules,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the condition holds; an AssertionError when it never does."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "what was waited for did not happen"
        time.sleep(0.05)


def read(file: Path) -> dict[str, object]:
    values = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values

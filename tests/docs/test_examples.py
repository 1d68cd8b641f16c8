"""The examples in the documents are run as they stand, against the real app with the built-in model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, PROJECT, SETUP, Block
from tests.launcher.checkout import free_port, wait_for

pytestmark = pytest.mark.embedded
ADDRESS = "127.0.0.1:8000"
SHELL = [block for page in PAGES for block in page.blocks if block.language == "bash"]
PYTHON = [block for page in PAGES for block in page.blocks if block.language == "python"]
NOT_LISTED = re.compile(r"/(login|logout|account|page|docs)|/v1/models/\{")
"""Addresses of the log-in pages and of the page itself, which the setup guide does not list."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app answers; it ends with the module."""
    folder, port = tmp_path_factory.mktemp("docs"), free_port()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--backend", "embedded", "--port", str(port), "--no-browser",
         "--data", folder / "data", "--config", folder / "settings.json"],
        cwd=PROJECT,
    )  # fmt: skip
    try:
        wait_for(lambda: app.poll() is not None or _answers(port), seconds=120)
        assert app.poll() is None
        yield f"127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait(timeout=60)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5).close()
    except OSError:
        return False
    return True


def names(block: Block) -> str:
    return block.id


@pytest.mark.parametrize("block", SHELL, ids=names)
def test_shell_examples_succeed(block: Block, address: str) -> None:
    script = 'curl() { command curl --fail --show-error "$@"; echo; }\n' + block.text.replace(
        ADDRESS, address
    )
    run = subprocess.run(
        ["bash", "-e", "-c", script], capture_output=True, text=True, cwd=PROJECT, timeout=170
    )
    assert run.returncode == 0, run.stderr
    for line in filter(None, run.stdout.splitlines()):
        assert json.loads(line), f"an empty reply: {line}"


@pytest.mark.parametrize("block", PYTHON, ids=names)
def test_python_examples_succeed(block: Block, address: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(block.text.replace(ADDRESS, address), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    run = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=170
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def test_the_endpoints_of_the_setup_guide_are_those_of_the_app(address: str) -> None:
    with urllib.request.urlopen(f"http://{address}/openapi.json") as reply:
        paths = json.load(reply)["paths"]
    offered = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if not NOT_LISTED.match(path)
    }
    described = {code for code in SETUP.inline_code if re.fullmatch(r"(GET|POST|PATCH|DELETE) /\S*", code)}
    assert described - offered == set(), "described, but not there"
    assert offered - described == set(), "there, but not described"

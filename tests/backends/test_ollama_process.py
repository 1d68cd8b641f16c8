"""Starting and stopping Ollama, with a stand-in ``ollama`` on the path that speaks its protocol."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from rlm_core.backends.ollama_client import OllamaBackend
from rlm_core.backends.ollama_process import OllamaProcess
from rlm_core.errors import BackendError
from tests.scripted.ollama_server import ScriptedOllama
from tests.scripted.script import echo

ROOT = Path(__file__).resolve().parents[2]
SERVE = """#!{python}
import json, os, sys, threading
sys.path.insert(0, {root!r})
from tests.scripted.ollama_server import ScriptedOllama
from tests.scripted.script import echo

json.dump({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}, open({seen!r}, "w"))
print("listening", flush=True)
ScriptedOllama(echo, port=int(os.environ["OLLAMA_HOST"].rpartition(":")[2])).start()
threading.Event().wait()
"""
FAIL = """#!/bin/sh
echo "Error: listen tcp: address already in use"
exit 1
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    program = folder / "ollama"
    program.write_text(script.format(python=sys.executable, root=str(ROOT), seen=str(folder / "seen.json")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "seen.json"


async def test_it_is_started_with_our_settings_and_stopped_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = stand_in(tmp_path, monkeypatch, SERVE)
    monkeypatch.setenv("OLLAMA_KV_CACHE_TYPE", "f16")
    backend = OllamaBackend(f"http://127.0.0.1:{free_port()}")
    process = OllamaProcess(backend, tmp_path / "ollama.log")
    status = await process.start()
    assert status.running
    pid = process.pid
    assert pid is not None
    record = __import__("json").loads(seen.read_text())
    assert record["arguments"] == ["serve"]
    assert record["environment"]["OLLAMA_HOST"] == backend.base_url
    assert record["environment"]["OLLAMA_FLASH_ATTENTION"] == "1"
    assert record["environment"]["OLLAMA_NO_CLOUD"] == "1"
    assert record["environment"]["OLLAMA_KV_CACHE_TYPE"] == "f16"  # the user's own wins
    assert (tmp_path / "ollama.log").read_text() == "listening\n"
    assert (await process.start()).running
    assert process.pid == pid
    assert await process.stop()
    assert not psutil.pid_exists(pid)
    assert not (await backend.status()).running
    assert not await process.stop()
    await backend.close()


async def test_somebody_elses_server_is_never_stopped() -> None:
    with ScriptedOllama(echo) as server:
        backend = OllamaBackend(server.url)
        process = OllamaProcess(backend)
        assert (await process.start()).running
        assert process.pid is None
        assert not await process.stop()
        assert (await backend.status()).running
        await backend.close()


async def test_one_that_ends_at_once_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, FAIL)
    backend = OllamaBackend(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(BackendError, match="address already in use"):
        await OllamaProcess(backend, tmp_path / "ollama.log").start()
    await backend.close()


async def test_a_computer_without_ollama_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    backend = OllamaBackend(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(BackendError, match="not installed"):
        await OllamaProcess(backend).start()
    await backend.close()


async def test_a_server_on_another_computer_is_not_started_here() -> None:
    backend = OllamaBackend("http://192.0.2.1:11434")
    backend._http.get().timeout = 0.05
    with pytest.raises(BackendError, match="another computer"):
        await OllamaProcess(backend).start()
    await backend.close()

"""Starts, watches and stops the child process that runs llama.cpp. It knows nothing about chats."""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rlm_core.errors import BackendError, OutOfMemory

log = logging.getLogger(__name__)
SERVER = Path(__file__).with_name("llama_cpp_server.py")
STOP_SECONDS = 5.0
DYING_SECONDS = 1.0
ILLEGAL_INSTRUCTION = frozenset({-4, 0xC000001D, 0xC000001D - (1 << 32)})  # as POSIX and Windows report it


@dataclass(frozen=True)
class ChildConfig:
    """``window`` is in tokens and each of the ``slots`` has all of it."""

    model: str
    name: str
    window: int
    slots: int
    threads: int
    prompt_threads: int


@dataclass(frozen=True)
class Running:
    """Where a started server listens, and the key that it asks for."""

    address: str
    key: str
    pid: int


class LlamaChild:
    """At most one child process at a time. Methods block; they may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._running: Running | None = None

    @property
    def running(self) -> Running | None:
        """The server if its process is alive."""
        process = self._process
        return self._running if process is not None and process.poll() is None else None

    def ensure(self, config: ChildConfig) -> Running:
        """The running server, started if it is not there (which takes as long as loading the model).

        Raises OutOfMemory or BackendError when it cannot be started.
        """
        with self._lock:
            if (running := self.running) is not None:
                return running
            self._end()
            self._running = self._start(config)
            return self._running

    def is_gone(self, running: Running) -> bool:
        """Whether this server's process has ended, or does within a second (a dying one drops its connections first)."""
        process = self._process
        if process is None or process.pid != running.pid:
            return True
        try:
            process.wait(DYING_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        with self._lock:
            self._end()

    def _start(self, config: ChildConfig) -> Running:
        key = secrets.token_urlsafe(24)
        # -I: neither the environment nor the working folder can put other code in its way.
        process = self._process = subprocess.Popen(
            [sys.executable, "-I", str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        complaints: deque[str] = deque(maxlen=20)
        reader = threading.Thread(target=_collect, args=(process, complaints), daemon=True)
        reader.start()
        with suppress(OSError):  # a process that ended at once: what it said is read below
            process.stdin.write(json.dumps({**asdict(config), "key": key}) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            answer = _answer(line)
            if "address" in answer:
                log.info(
                    "The embedded model %s listens at %s (process %d).",
                    config.name,
                    answer["address"],
                    process.pid,
                )
                return Running(answer["address"], key, process.pid)
            if "error" in answer:
                complaints.append(answer["error"])
        self._end()
        reader.join(STOP_SECONDS)
        raise _start_problem(config, process.returncode, " ".join(list(complaints)[-3:]))

    def _end(self) -> None:
        process, self._process, self._running = self._process, None, None
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):  # a process that is gone does not take what is left in the pipe
                process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _collect(process: subprocess.Popen[str], complaints: deque[str]) -> None:
    """Drain what llama.cpp logs, so that it never blocks on a full pipe."""
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            complaints.append(line.strip())
            log.debug("llama.cpp: %s", line.rstrip())


def _answer(line: str) -> dict[str, str]:
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _start_problem(config: ChildConfig, code: int, said: str) -> BackendError:
    if code in ILLEGAL_INSTRUCTION:
        return BackendError(
            "The embedded model cannot run here: this computer's processor lacks AVX2. Install Ollama instead."
        )
    if "No module named" in said:
        return BackendError(
            "The embedded model cannot start: the package xllamacpp is missing. Run the launcher again."
        )
    if "libgomp" in said:
        return BackendError(
            "The embedded model cannot start: the system library libgomp.so.1 is missing (on Debian and Ubuntu: "
            "`apt-get install libgomp1`)."
        )
    if "alloc" in said or "memory" in said:
        return OutOfMemory(
            f"The model file {config.model} does not fit into memory with a window of {config.window:,} tokens. "
            "Choose a smaller file or lower num_ctx in Settings."
        )
    return BackendError(
        f"The model file {config.model} could not be loaded: {said or 'llama.cpp gave no reason'}."
    )

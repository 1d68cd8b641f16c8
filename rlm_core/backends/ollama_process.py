"""Starting and stopping ``ollama serve``. Only a server that we started is ever stopped."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from rlm_core.backends.base import BackendStatus
from rlm_core.backends.ollama_client import OllamaBackend
from rlm_core.errors import BackendError

log = logging.getLogger(__name__)

START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOG_TAIL = 400
# Less memory for the window at hardly any loss, and nothing that runs on other people's servers.
ENVIRONMENT = {
    "OLLAMA_FLASH_ATTENTION": "1",
    "OLLAMA_KV_CACHE_TYPE": "q8_0",
    "OLLAMA_NO_CLOUD": "1",
}


class OllamaProcess:
    """The ``ollama serve`` of one address; ``log_file`` receives what it writes (default: nothing is kept)."""

    def __init__(self, backend: OllamaBackend, log_file: Path | None = None) -> None:
        self._backend = backend
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process that we started, while it lives."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    async def start(self) -> BackendStatus:
        """Start Ollama if it does not answer yet, and wait until it does.

        Variables that the user set in the environment win over ours. Raises BackendError when it is not installed,
        ends at once, or does not answer within 30 seconds.
        """
        status = await self._backend.status()
        if status.running:
            return status
        if not is_here(self._backend.base_url):
            raise BackendError(f"Ollama at {self._backend.base_url} is on another computer: start it there.")
        program = shutil.which("ollama")
        if program is None:
            raise BackendError(
                "Ollama is not installed on this computer (no program `ollama`). Install it, then press Start again."
            )
        if self.pid is None:
            self._process = await asyncio.to_thread(self._spawn, program)
        try:
            async with asyncio.timeout(START_SECONDS):
                while not (status := await self._backend.status()).running:
                    if self.pid is None:
                        raise BackendError(
                            f"Ollama ended right after its start. {self._last_words()}".strip()
                        )
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise BackendError(
                f"Ollama was started but does not answer at {self._backend.base_url} after {START_SECONDS:.0f} s. "
                f"{self._last_words()}".strip()
            ) from None
        return status

    async def stop(self) -> bool:
        """Stop the server that we started. False if there is none: somebody else's is left alone."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return False
        await asyncio.to_thread(_end, process)
        return True

    def _spawn(self, program: str) -> subprocess.Popen[bytes]:
        environment = {**ENVIRONMENT, **os.environ, "OLLAMA_HOST": self._backend.base_url}
        out = self._log_file.open("ab") if self._log_file is not None else None
        try:
            process = subprocess.Popen(
                [program, "serve"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out or subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise BackendError(f"`{program} serve` cannot be started: {error.strerror}.") from None
        finally:
            if out is not None:
                out.close()
        log.info("Started %s serve (process %d).", program, process.pid)
        return process

    def _last_words(self) -> str:
        if self._log_file is None or not self._log_file.exists():
            return ""
        return "It last wrote: " + self._log_file.read_text("utf-8", "replace")[-LOG_TAIL:].strip()


def is_here(base_url: str) -> bool:
    """Whether this address is on this computer."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, with the runners that it started; after a while, force it."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGTERM)
    else:
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], check=False, capture_output=True)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()

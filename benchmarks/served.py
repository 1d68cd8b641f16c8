"""A server in a process of its own, for measurements from outside: started, waited for, watched, ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil


@dataclass(frozen=True)
class Served:
    """``url`` answers; ``start_seconds`` is how long it took from the start of the process until the page was whole, and
    ``processor_seconds`` how long of that the process itself worked, whatever else the machine did."""

    url: str
    pid: int
    start_seconds: float
    processor_seconds: float

    def worked(self) -> float:
        """Seconds that the processor has worked for the process."""
        return seconds_worked(self.pid)

    def memory(self) -> int:
        """Bytes of the process and its children that no other process shares."""
        process = psutil.Process(self.pid)
        family = [process, *process.children(recursive=True)]
        return sum(int(member.memory_full_info().uss) for member in family)


def seconds_worked(pid: int) -> float:
    """Seconds of the processor's time that a process has had."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(command: Sequence[str], port: int, folder: Path, *, patience: float = 600) -> Iterator[Served]:
    """Run ``command`` until the block ends. Raises RuntimeError when it ends by itself or does not answer in time."""
    url, began = f"http://127.0.0.1:{port}", time.monotonic()
    log = folder / "server.log"
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as users run it: modules are compiled once
    with log.open("w", encoding="utf-8") as out:
        child = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )
        try:
            with httpx.Client(trust_env=False, timeout=patience) as client:
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        client.get(url + "/").raise_for_status()
                        break
                    if child.poll() is not None or time.monotonic() - began > patience:
                        raise RuntimeError(f"it did not come up: {log.read_text('utf-8')[-500:]}")
                    time.sleep(0.01)
            yield Served(url, child.pid, time.monotonic() - began, seconds_worked(child.pid))
        finally:
            child.terminate()
            child.wait()

"""One engine at a time against a fake model server: what ``overhead`` and ``batches`` have in common.

Every engine gets the same replies in its own dialect, in a process of its own, with its caches, retries and logs off; ours with
its isolated REPL, its trace on disk and its events.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks.contender import QUESTION
from benchmarks.fake_server import Exchange, FakeServer, Reply

CONTENDER = Path(__file__).with_name("contender.py")
QUIET = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
"""No look at the internet while a peer is imported."""
PAUSE = 0.3
"""Seconds between two answers of a process: nobody asks again sooner, and some engines get ready for the next question."""
SHOWN = {"localrlm": "LocalRLM", "rlms": "`rlms`", "recursive-llm": "`recursive-llm`", "dspy": "`dspy.RLM`"}


@dataclass(frozen=True)
class Answered:
    """One answer of an engine: when it was asked for and given (``nan`` if it was not), and what it sent."""

    began: float
    ended: float
    exchanges: tuple[Exchange, ...]

    @property
    def whole(self) -> bool:
        return not math.isnan(self.ended)

    @property
    def roots(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.is_root]

    @property
    def turns(self) -> list[float]:
        """Milliseconds between a reply and the next request of the root."""
        roots = self.roots
        return [(b.arrived - a.answered) * 1000 for a, b in itertools.pairwise(roots)]


@dataclass(frozen=True)
class Trial:
    """One process of an engine that gave some answers, ``grown`` by so many bytes; ``problem`` says why it gave no more."""

    version: str
    import_seconds: float
    answers: tuple[Answered, ...]
    grown: int
    problem: str = ""


def attempt(
    python: str,
    engine: str,
    size: int,
    runs: int,
    cells: Sequence[str],
    *,
    parallel: int = 0,
    delay: float = 0.0,
    limit: float,
    weighed: bool = True,
) -> Trial:
    """Start an engine, let it answer ``runs`` times about a context of ``size`` characters, end it after ``limit`` seconds at
    the latest. Each answer runs the ``cells``; a sub-call's reply takes ``delay`` seconds. Memory is watched only if it is to be
    ``weighed``: that takes processor time from the fake server. RuntimeError if it does not start."""
    with (
        FakeServer(script(engine, cells, delay), QUESTION) as server,
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [python, str(CONTENDER), engine, server.url, str(size), str(runs), str(parallel)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=QUIET,
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        stop = threading.Timer(limit, end_tree, [child.pid])
        stop.start()
        answers: list[Answered] = []
        try:
            ready = _told(child.stdout)
            if not ready:
                raise RuntimeError(f"{engine} did not start: {_last_line(errors)}")
            memory = MemoryWatch(child.pid)
            with memory if weighed else contextlib.nullcontext():
                for number in range(runs):
                    time.sleep(PAUSE if number else 0)
                    _go_on(child.stdin)
                    began = _told(child.stdout)
                    told = _told(child.stdout)
                    if not began:
                        break
                    ended = told.get("ended", math.nan)
                    answers.append(Answered(began["began"], ended, tuple(server.take())))
                    if told.get("answer") != "done":
                        break
                _go_on(child.stdin)
                child.wait()
        finally:
            stop.cancel()
            end_tree(child.pid)
        problem = ""
        if len(answers) < runs or not answers[-1].whole:
            problem = f"{sum(one.whole for one in answers)} of {runs} answers in {limit:.0f} s"
            problem += f" ({_last_line(errors)[:200]})" if child.returncode > 0 else ""
        return Trial(
            ready["version"], ready["import_seconds"], tuple(answers), memory.peak - memory.base, problem
        )


def _told(stream: IO[str]) -> dict[str, Any]:
    """The next line, or nothing if the process is gone."""
    line = stream.readline()
    return json.loads(line) if line else {}


def _go_on(stream: IO[str]) -> None:
    with contextlib.suppress(BrokenPipeError):  # it is gone, which the next line shows
        os.write(stream.fileno(), b"\n")


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    return (errors.read().strip().splitlines() or ["it said nothing"])[-1]


def in_dialect(engine: str, code: str | None) -> str:
    """A root reply that runs ``code``, or that ends with the answer "done"."""
    if engine == "recursive-llm":
        return 'FINAL("done")' if code is None else f"```python\n{code}\n```"
    if engine == "dspy":
        code = 'SUBMIT(answer="done")' if code is None else code
        return f"[[ ## reasoning ## ]]\nNext.\n\n[[ ## code ## ]]\n```python\n{code}\n```\n\n[[ ## completed ## ]]"
    final = 'answer["content"] = "done"\nanswer["ready"] = True'
    return f"```repl\n{final if code is None else code}\n```"


def script(engine: str, cells: Sequence[str], delay: float) -> Reply:
    """The replies of one answer after the other: each cell, then the end."""
    asked = 0

    def reply(messages: Sequence[dict[str, Any]], is_root: bool) -> tuple[str, float]:
        nonlocal asked
        if not is_root:
            return "yes", delay
        place, asked = asked % (len(cells) + 1), asked + 1
        return in_dialect(engine, cells[place] if place < len(cells) else None), 0.0

    return reply


class MemoryWatch:
    """The largest memory of a process and its children together, in bytes, sampled while the block runs.

    Between fork and exec a child shows its parent's memory as its own: it counts from the second look on, and not while
    its address space has its parent's size. Children are looked for at every fifth look.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._seen: set[psutil.Process] = set()
        self._looks = itertools.count()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.base = self.peak = self._now()

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        total, seen = 0, self._seen
        with contextlib.suppress(psutil.Error):  # it has just ended
            if next(self._looks) % 5 == 0:  # it looks at all processes of the machine
                self._seen = set(self._root.children(recursive=True))
            own = self._root.memory_info()
            total = own.rss
            for process in self._seen & seen:
                with contextlib.suppress(psutil.Error):
                    memory = process.memory_info()
                    total += memory.rss if memory.vms != own.vms else 0
        return total


def end_tree(pid: int) -> None:
    """Kill a process that we started, and its children."""
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()

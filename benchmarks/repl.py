"""What the isolated REPL costs, against its targets. Each figure is the median of several runs."""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.report import Table
from rlm_core.repl import ReplLimits, ReplSession, WorkerPool

ROOT = Path(__file__).resolve().parents[1]
QUICK = {"times": 1, "megabytes": 1}
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One measured figure and its target, both in ``unit``."""

    name: str
    measured: float
    target: float
    unit: str

    @property
    def met(self) -> bool:
        """True if the target is reached."""
        return self.measured <= self.target


async def median(times: int, once: Callable[[], Awaitable[float]]) -> float:
    """The median of several runs of a measurement that returns its own figure."""
    return statistics.median([await once() for _ in range(times)])


def log_text(size: int) -> str:
    """Lines of a made-up log, the same every time."""
    chosen = random.Random(7)
    words = [f"word{n}" for n in range(2000)]
    lines: list[str] = []
    length = 0
    while length < size:
        level = chosen.choice(("INFO", "WARN", "ERROR"))
        lines.append(f"{level} {' '.join(chosen.choices(words, k=6))}")
        length += len(lines[-1]) + 1
    return "\n".join(lines)


async def start_cold() -> float:
    """Milliseconds from nothing to a session that can run a cell."""
    before = time.perf_counter()
    async with ReplSession():
        return (time.perf_counter() - before) * 1000


async def start_warm(pool: WorkerPool) -> float:
    """The same with a spare worker."""
    await asyncio.sleep(0.4)  # let the spare worker finish starting: that is what is measured
    before = time.perf_counter()
    async with ReplSession(pool=pool):
        return (time.perf_counter() - before) * 1000


async def send_context(pool: WorkerPool, text: str) -> float:
    """Milliseconds until a cell has a context that is handed over."""
    await asyncio.sleep(0.4)
    before = time.perf_counter()
    async with ReplSession(text, pool=pool) as repl:
        await repl.run("len(context)")
        return (time.perf_counter() - before) * 1000


async def go_on(pool: WorkerPool, text: str) -> float:
    """Milliseconds until the host goes on while a context is on its way."""
    await asyncio.sleep(0.4)
    before = time.perf_counter()
    async with ReplSession(text, pool=pool):
        return (time.perf_counter() - before) * 1000


async def call_round_trip(pool: WorkerPool) -> float:
    """Median milliseconds of one call of an async host function from a cell."""

    async def echo(value: str) -> str:
        return value

    code = """
import time
taken = []
for i in range(150):
    before = time.perf_counter()
    echo("x" * 100)
    taken.append(time.perf_counter() - before)
sorted(taken)[75] * 1000
"""
    async with ReplSession(pool=pool, functions={"echo": echo}) as repl:
        return float((await repl.run(code)).output)


async def soft_interrupt(pool: WorkerPool) -> float:
    """Milliseconds from the time limit to the result, for a loop."""
    async with ReplSession(pool=pool, limits=ReplLimits(seconds=0.2, grace_seconds=60)) as repl:
        before = time.perf_counter()
        result = await repl.run("while True: pass")
        assert result.interrupted
        assert not result.restarted
        return (time.perf_counter() - before - 0.2) * 1000


async def kill(pool: WorkerPool) -> float:
    """Milliseconds until a worker in an endless C loop is gone."""
    async with ReplSession(pool=pool) as repl:
        task = asyncio.ensure_future(repl.run("sum(range(10**13))"))
        await asyncio.sleep(0.05)
        worker = repl._worker
        assert worker is not None
        before = time.perf_counter()
        worker.kill()
        while worker.pid is not None and psutil.pid_exists(worker.pid):  # noqa: ASYNC110 - nothing to wait for
            await asyncio.sleep(0.0005)
        taken = (time.perf_counter() - before) * 1000
        await task
        return taken


async def restart(pool: WorkerPool, text: str) -> float:
    """Milliseconds from a dead worker to the next cell's result, with the context sent again."""
    async with ReplSession(text, pool=pool) as repl:
        await repl.run("kept = [1, 2, 3]")
        assert repl._worker is not None
        repl._worker.kill()
        before = time.perf_counter()
        result = await repl.run("len(kept)")
        assert result.restarted
        return (time.perf_counter() - before) * 1000


SCAN = "n = 0\nfor line in context.split('\\n'):\n    if 'ERROR' in line: n += 1"
METHODS = "n = 0\nfor line in context.split('\\n'):\n    if line.strip().lower().endswith('7'): n += 1"
COUNT = "d = {}\nfor w in context.split():\n    d[w] = d.get(w, 0) + 1"


async def slowdown(repl: ReplSession, text: str, code: str) -> float:
    """How many times slower a cell is than plain Python at module level."""

    def plain() -> float:
        before = time.perf_counter()
        exec(compile(code, "<plain>", "exec"), {"context": text})
        return time.perf_counter() - before

    sandboxed = statistics.median([(await repl.run(code)).seconds for _ in range(5)])
    return sandboxed / statistics.median([plain() for _ in range(5)])


async def host_growth(script: Path) -> float:
    """Megabytes by which the host grows while a worker that has been taken over floods it with frames."""
    pool = WorkerPool(script)
    process = psutil.Process()
    async with pool, ReplSession(pool=pool, limits=ReplLimits(seconds=1.0, grace_seconds=0.1)) as repl:
        await repl.run("result(cell)")
        before, highest = process.memory_info().rss, 0
        for code in (
            "while True: frame(protocol.CALL, b'{\"texts\": [], \"args\": [' + b'[],' * 80000 + b'[]]}')",
            "while True: send(b'x' * 10**6)",
            "send(protocol.PREFIX.pack(protocol.RESULT, 100, 16 * 1024 * 1024) + b' ' * 10**7)\nwhile True: pass",
        ):
            await repl.run(code)
            highest = max(highest, process.memory_info().rss)
    return max(highest - before, 0) / 1024 / 1024


async def measure(times: int, megabytes: int) -> list[Figure]:
    """All figures, in the order of the table: medians of ``times`` runs with contexts of ``megabytes`` and a fifth of it."""
    large = "a line of text\n" * (megabytes * MEGABYTE // 15)
    medium = log_text(megabytes * MEGABYTE // 5)
    figures = [Figure("worker ready", await median(times, start_cold), 60, "ms")]
    async with WorkerPool() as pool:
        for name, once, target in (
            ("worker ready, warm spare", lambda: start_warm(pool), 5),
            (f"context of {megabytes} MB", lambda: send_context(pool, large), 150),
            ("the host goes on meanwhile after", lambda: go_on(pool, large), 5),
            ("call round trip, p50", lambda: call_round_trip(pool), 0.5),
            ("soft interrupt", lambda: soft_interrupt(pool), 200),
            ("kill", lambda: kill(pool), 50),
            (f"restart with {megabytes} MB", lambda: restart(pool, large), 300),
        ):
            figures.append(Figure(name, await median(times, once), target, "ms"))
        async with ReplSession(medium, pool=pool) as repl:
            for name, code, target in (
                ("scan by lines", SCAN, 2),
                ("method-heavy code", METHODS, 5),
                ("word count", COUNT, 5),
            ):
                figures.append(Figure(name, await slowdown(repl, medium, code), target, "x plain Python"))
    hostile = ROOT / "tests" / "sandbox" / "breach" / "hostile.py"
    figures.append(Figure("host memory under hostile frames", await host_growth(hostile), 32, "MB"))
    return figures


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=7, help="runs of each figure (default 7)")
    parser.add_argument("--megabytes", type=int, default=50, help="of the large context (default 50)")


def run(arguments: argparse.Namespace) -> list[Table]:
    figures = asyncio.run(measure(arguments.times, arguments.megabytes))
    rows = tuple(
        (one.name, f"{one.measured:.2f} {one.unit}", f"{one.target:g}", "yes" if one.met else "no")
        for one in figures
    )
    return [Table(("figure", "measured", "target", "reached"), rows, (), [vars(one) for one in figures])]

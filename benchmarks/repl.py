"""What the REPL costs: ``python -m benchmarks.repl [--json FILE]``.

Measures the sandbox against its targets on this machine and prints a table. Each figure is the median of several runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from rlm_core.repl import ReplLimits, ReplSession, WorkerPool  # noqa: E402

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
    """Milliseconds to hand over a context."""
    async with ReplSession(text, pool=pool) as repl:
        before = time.perf_counter()
        await repl.prepare(query="", context=text)
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
    async with ReplSession(pool=pool, limits=ReplLimits(seconds=0.2)) as repl:
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
        await asyncio.sleep(0.4)  # the spare worker is ready, as it is in practice
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


async def measure() -> list[Figure]:
    """All figures, in the order of the table."""
    large, medium = "a line of text\n" * (50 * MEGABYTE // 15), log_text(10 * MEGABYTE)
    figures = [Figure("worker ready", await median(9, start_cold), 60, "ms")]
    async with WorkerPool() as pool:
        figures += [
            Figure("worker ready, warm spare", await median(7, lambda: start_warm(pool)), 5, "ms"),
            Figure("context of 50 MB", await median(5, lambda: send_context(pool, large)), 150, "ms"),
            Figure("call round trip, p50", await median(5, lambda: call_round_trip(pool)), 0.5, "ms"),
            Figure("soft interrupt", await median(5, lambda: soft_interrupt(pool)), 200, "ms"),
            Figure("kill", await median(5, lambda: kill(pool)), 50, "ms"),
            Figure("restart with 50 MB", await median(5, lambda: restart(pool, large)), 300, "ms"),
        ]
        async with ReplSession(medium, pool=pool) as repl:
            figures += [
                Figure("scan of 10 MB by lines", await slowdown(repl, medium, SCAN), 2, "x plain Python"),
                Figure("method-heavy code", await slowdown(repl, medium, METHODS), 5, "x plain Python"),
                Figure("word count", await slowdown(repl, medium, COUNT), 5, "x plain Python"),
            ]
    hostile = ROOT / "tests" / "sandbox" / "breach" / "hostile.py"
    figures.append(Figure("host memory under hostile frames", await host_growth(hostile), 32, "MB"))
    return figures


def main() -> int:
    """Print the table; the exit status says whether all targets are met."""
    parser = argparse.ArgumentParser(description="Measure the REPL sandbox.")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures = asyncio.run(measure())
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(f"REPL sandbox on {machine}\n")
    print(f"{'figure':36}{'measured':>10}{'target':>10}  unit")
    for figure in figures:
        flag = "" if figure.met else "   MISSED"
        print(f"{figure.name:36}{figure.measured:10.2f}{figure.target:10g}  {figure.unit}{flag}")
    if arguments.json:
        record = {
            "machine": machine,
            "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
        }
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())

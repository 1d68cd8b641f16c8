"""Workers come and go: nothing is left of them, and they do not outlive the host."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from rlm_core.repl import ReplLimits, ReplSession, WorkerPool

ROOT = Path(__file__).resolve().parents[2]


def children() -> set[psutil.Process]:
    """The workers that are alive. Other tests' fixtures may hold some: compare with those there were before."""
    return {
        child for child in psutil.Process().children(recursive=True) if "boot.py" in " ".join(child.cmdline())
    }


@pytest.mark.alone
async def test_two_hundred_sessions_leave_no_process_thread_descriptor_or_memory() -> None:
    process = psutil.Process()
    others, before_us = children(), process.children()

    async def use(pool: WorkerPool, number: int) -> None:
        async with ReplSession("text " * 1000, pool=pool, functions={"f": lambda x: x}) as repl:
            result = await repl.run(f"x = f({number})\nx + len(context)")
            assert result.output == f"{number + 5000}\n"

    async with WorkerPool() as pool:
        for number in range(10):
            await use(pool, number)
        gc.collect()
        before = (process.num_fds(), threading.active_count(), process.memory_info().rss)
        for start in range(0, 200, 4):
            await asyncio.gather(*(use(pool, start + i) for i in range(4)))
        gc.collect()
        after = (process.num_fds(), threading.active_count(), process.memory_info().rss)
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1] + 1
    assert after[2] - before[2] < 16 * 1024 * 1024
    assert children() <= others
    assert not any(
        child.status() == psutil.STATUS_ZOMBIE for child in process.children() if child not in before_us
    )


@pytest.mark.alone
async def test_a_cell_that_is_killed_again_and_again_leaves_nothing() -> None:
    process = psutil.Process()
    others = children()
    async with ReplSession(limits=ReplLimits(seconds=0.05, grace_seconds=0.05)) as repl:
        await repl.run("x = 1")
        before = (process.num_fds(), threading.active_count())
        for _ in range(10):
            assert (await repl.run("sum(range(10**13))")).restarted
        assert (await repl.run("x")).output == "1\n"
        assert process.num_fds() <= before[0] + 1
        assert threading.active_count() <= before[1] + 1
        assert len(children() - others) == 1
    assert children() <= others


HOST = """
import asyncio, sys
sys.path.insert(0, {root!r})
from rlm_core.repl import ReplSession
async def main():
    repl = ReplSession()
    await repl.start()
    asyncio.ensure_future(repl.run("sum(range(10**13))"))
    await asyncio.sleep(0.1)
    print(repl._worker.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel ends the worker only on Linux; Windows has the Job"
)
def test_a_host_that_is_killed_takes_its_worker_along() -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST.format(root=str(ROOT))], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    worker = psutil.Process(int(host.stdout.readline()))
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    host.stdout.close()
    _gone, alive = psutil.wait_procs([worker], timeout=10)
    if alive:  # inside a container nobody may reap it: a zombie is dead, too
        assert alive[0].status() == psutil.STATUS_ZOMBIE


async def test_many_sessions_run_at_once_and_call_the_host_at_the_same_time() -> None:
    together = asyncio.Barrier(6)

    async def meet(name: str) -> str:
        await together.wait()
        return name * 2

    async def one(pool: WorkerPool, name: str) -> str:
        async with ReplSession(name, pool=pool, functions={"meet": meet}) as repl:
            return (await repl.run("meet(context)")).output

    async with WorkerPool() as pool:
        results = await asyncio.gather(*(one(pool, name) for name in "abcdef"))
    assert results == [f"'{name * 2}'\n" for name in "abcdef"]


async def test_a_spare_worker_that_died_is_not_given_out() -> None:
    async with WorkerPool() as pool:
        spare = pool._spare
        assert spare is not None
        assert await spare.receive(30) is not None
        spare.kill()
        async with ReplSession(pool=pool) as repl:
            assert (await repl.run("1")).output == "1\n"
        await spare.ended()


async def test_the_memory_limit_follows_the_size_of_the_context() -> None:
    limits = ReplLimits(memory_mb=64, seconds=20)
    async with ReplSession("é" * 10_000_000, limits=limits) as repl:
        result = await repl.run(
            "spaced = context.replace('é', 'é ')\nlen(spaced.split()), len(context.upper())"
        )
        assert result.output == "(10000000, 10000000)\n", result.error
    async with ReplSession("small", limits=limits) as repl:
        assert "MemoryError" in ((await repl.run("x = 'x' * 100_000_000")).error or "")
        await repl.run("kept = 1")
        await repl.prepare(query="", context="y" * 20_000_000)  # more than this worker may hold: a new one
        result = await repl.run("z = context * 3\nlen(z), kept")
        assert result.output.endswith("(60000000, 1)\n")


def test_importing_the_package_is_cheap() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import rlm_core.repl; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "chromadb", "gradio", "RestrictedPython", "httpx"} & set(loaded)


async def test_idle_workers_use_no_cpu_time() -> None:
    async with ReplSession() as repl:
        assert repl._worker is not None
        assert repl._worker.pid is not None
        await repl.run("1")
        process = psutil.Process(repl._worker.pid)
        before = process.cpu_times()
        started = time.monotonic()
        await asyncio.sleep(0.3)
        after = process.cpu_times()
        assert (after.user + after.system) - (before.user + before.system) < (time.monotonic() - started) / 2

"""One engine under measurement, in a process of its own; started by ``benchmarks/trials.py``, also in the peers' environments.

It imports its engine, says "ready", waits for a line, then answers the same question several times and prints when each
began and ended. It uses nothing but the standard library and the engine itself: a peer's environment has no LocalRLM.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

QUESTION = "How long is the context?"
LINE = "The garden of the house opens at nine and closes at dusk, except on the first day.\n"
TURNS_AT_MOST = 40
CALLS = 64
"""Sub-calls in the batch of ``aiohttp_alone``."""


Engine = tuple[Callable[[str], str], Callable[[], object]]
"""What answers a question about a context, and what closes it."""


def localrlm(url: str, parallel: int) -> Engine:
    from rlm_core import RLMEngine, Settings

    limits = {"max_iterations": TURNS_AT_MOST, "max_llm_calls": 500}
    if parallel:
        limits["max_parallel"] = parallel
    models = dict.fromkeys(("fast", "tools", "quality"), "fake")
    settings = Settings(backend="openai", base_url=url, models=models, num_ctx=131_072, limits=limits)
    engine = RLMEngine(settings, data_dir=tempfile.mkdtemp(prefix="overhead-"))

    def answer(context: str) -> str:
        return engine.ask(QUESTION, context, mode="recursive", strategy="loop").answer

    return answer, lambda: engine.__exit__(None, None, None)


def rlms(url: str, parallel: int) -> Engine:
    from rlm import RLM

    kwargs = {"model_name": "fake", "base_url": url, "api_key": "x"}
    engine = RLM(backend="openai", backend_kwargs=kwargs, environment="local", max_iterations=TURNS_AT_MOST)
    return lambda context: engine.completion(context, root_prompt=QUESTION).response, lambda: None


def recursive_llm(url: str, parallel: int) -> Engine:
    from rlm import RLM

    engine = RLM(
        "openai/fake",
        api_base=url,
        api_key="x",
        max_iterations=TURNS_AT_MOST,
        repl_timeout=120,
        repl_max_snapshot_bytes=2**31,
        **({"max_concurrent_subcalls": parallel} if parallel else {}),
    )

    async def answer(context: str) -> str:
        # Each sub-call holds a thread of the loop's pool and needs another one for its request. The pool of asyncio has
        # four more threads than the machine has cores: with too few of them, all wait for each other for ever.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * parallel + 8))
        return await engine.acomplete(QUESTION, context)

    return lambda context: asyncio.run(answer(context)), lambda: None


def dspy(url: str, parallel: int) -> Engine:
    os.environ["DENO_DIR"] = os.path.join(sys.prefix, "deno")
    import dspy

    model = dspy.LM("openai/fake", api_base=url, api_key="x", cache=False, num_retries=0)
    engine = dspy.RLM("context, query -> answer", max_iters=TURNS_AT_MOST, max_llm_calls=500)

    def answer(context: str) -> str:
        with dspy.context(lm=model):
            return engine(context=context, query=QUESTION).answer

    return answer, lambda: None


def aiohttp_alone(url: str, parallel: int) -> Engine:
    """No engine at all, only the requests of one with a batch in its second turn: what Python's HTTP and the fake server take."""
    import aiohttp

    loop = asyncio.new_event_loop()

    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    session = loop.run_until_complete(opened())

    async def answer() -> str:
        slots = asyncio.Semaphore(parallel)

        async def ask(prompt: str) -> None:
            body = {"model": "fake", "messages": [{"role": "user", "content": prompt}]}
            async with slots, session.post(f"{url}/chat/completions", json=body) as response:
                await response.json()

        for _ in range(2):
            await ask(QUESTION)
        await asyncio.gather(*(ask(f"Is {number} a number?") for number in range(CALLS)))
        await ask(QUESTION)
        return "done"

    return lambda context: loop.run_until_complete(answer()), lambda: loop.run_until_complete(session.close())


ENGINES = {
    "localrlm": localrlm,
    "rlms": rlms,
    "recursive-llm": recursive_llm,
    "dspy": dspy,
    "aiohttp": aiohttp_alone,
}


def main() -> None:
    name, url, size, runs, parallel = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    began = time.monotonic()
    answer, close = ENGINES[name](url, parallel)
    version = "" if name == "localrlm" else importlib.metadata.version(name)
    print(json.dumps({"version": version, "import_seconds": time.monotonic() - began}), flush=True)
    sys.stdin.readline()
    context = LINE * (size // len(LINE) + 1)
    for _ in range(runs):
        gc.collect()
        gc.freeze()  # as app.py does: only what comes from now on is searched for garbage
        began = time.monotonic()
        print(json.dumps({"began": began}), flush=True)
        said = answer(context)
        ended = time.monotonic()
        print(json.dumps({"ended": ended, "answer": said}), flush=True)
        sys.stdin.readline()
    close()


if __name__ == "__main__":
    here = sys.path.pop(0)  # its modules are not meant to be imported by their short names
    if sys.argv[1] == "localrlm":
        sys.path.insert(0, os.path.dirname(here))
    main()

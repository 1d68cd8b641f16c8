"""One engine under measurement, in a process of its own; started by ``benchmarks/overhead.py``, also in the peers' environments.

It imports its engine, says "ready", waits for a line, then answers the same question several times and prints when each
began and ended. It uses nothing but the standard library and the engine itself: a peer's environment has no LocalRLM.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable

QUESTION = "How long is the context?"
LINE = "The garden of the house opens at nine and closes at dusk, except on the first day.\n"
TURNS_AT_MOST = 40


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
    return lambda context: engine.complete(QUESTION, context), lambda: None


ENGINES = {"localrlm": localrlm, "rlms": rlms, "recursive-llm": recursive_llm}


def main() -> None:
    name, url, size, runs, parallel = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    began = time.monotonic()
    answer, close = ENGINES[name](url, parallel)
    version = "this checkout" if name == "localrlm" else importlib.metadata.version(name)
    print(json.dumps({"version": version, "import_seconds": time.monotonic() - began}), flush=True)
    sys.stdin.readline()
    context = LINE * (size // len(LINE) + 1)
    for _ in range(runs):
        began = time.monotonic()
        said = answer(context)
        ended = time.monotonic()
        print(json.dumps({"began": began, "ended": ended, "answer": said}), flush=True)
        sys.stdin.readline()
    close()


if __name__ in ("__main__",):  # spelt so that `python -m benchmarks` does not list it
    here = sys.path.pop(0)  # its modules are not meant to be imported by their short names
    if sys.argv[1] == "localrlm":
        sys.path.insert(0, os.path.dirname(here))
    main()

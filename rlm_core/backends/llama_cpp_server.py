"""The child process of the embedded backend: llama.cpp's own server on loopback.

Run as a script, never imported: it needs nothing of this project. The first line on standard input is its configuration
as JSON (so the API key is on no command line), the one line on standard output is ``{"address": …}`` or ``{"error": …}``.

It ends when its parent does, however that ends: standard input closes, or the parent's process id changes. (Linux could
also send a signal, but that one fires when the *thread* that started the child ends.)
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any


def serve(config: dict[str, Any]) -> Any:
    """Start the server and return it; it runs in threads of its own. Raises whatever llama.cpp raises."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.model_alias = {config["name"]}
    params.n_ctx = config["window"] * config["slots"]
    params.n_parallel = config["slots"]
    # Between two batches a closed connection is noticed, and the other slots get their turn.
    params.n_batch = params.n_ubatch = 256
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = config["threads"]
    params.cpuparams_batch.n_threads = config["prompt_threads"]
    params.cpuparams.poll = params.cpuparams_batch.poll = 0  # threads that wait do not spin
    params.cache_ram_mib = 0  # its default keeps up to 8 GiB of old prompts; the slots keep theirs anyway
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["key"]]
    params.cors_origins = "http://127.0.0.1"
    params.cors_origins_explicit = True
    params.offline = True
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1
    return xllamacpp.Server(params)


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def main() -> None:
    config = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    try:
        server = serve(config)
    except Exception as error:
        _say({"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    _say({"address": server.listening_address})
    threading.Event().wait()


if __name__ == "__main__":
    main()

"""What the whole app adds to a simple message before its first token, beside the bare model server.

``app.py`` runs as a user runs it, with a fake model server on loopback that answers at once. A new conversation each time, and
another message each time (it is stored before it is answered, and memory is searched by words and by meaning, once the
embedding model is loaded); "bare" is the same message sent straight to the model server, from the same client. One bare, one
through the app, and so on, with a short pause after each: a person does not send the next message at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.fake_server import MODEL, FakeServer
from benchmarks.report import Spread, Table, shown
from benchmarks.served import free_port, served

ROOT = Path(__file__).resolve().parents[1]
MESSAGE = "Good morning, how are you?"
PAUSE_SECONDS = 0.2
QUICK = {"times": 2, "warm_up": 0}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=60, help="messages of each way (default 60)")
    text = "messages before those (default 5), and then a wait until the embedding model is loaded"
    parser.add_argument("--warm-up", type=int, default=5, help=text)


@dataclass
class Way:
    """A way to the model, and the milliseconds of each message until the first token and until the model server has the
    request."""

    name: str
    url: str
    body: Callable[[str], dict[str, Any]]
    is_token: Callable[[dict[str, Any]], bool]
    tokens: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)

    def send(self, client: httpx.Client, model: FakeServer, message: str) -> None:
        model.take()
        began, first = time.monotonic(), None
        with client.stream("POST", self.url, json=self.body(message)) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if first is None and line.startswith("data: {") and self.is_token(json.loads(line[6:])):
                    first = time.monotonic()
        if first is None:
            raise RuntimeError(f"{self.url} sent no token")
        self.tokens.append((first - began) * 1000)
        self.requests.append((model.take()[0].arrived - began) * 1000)

    def forget(self) -> None:
        self.tokens.clear()
        self.requests.clear()


def run(arguments: argparse.Namespace) -> list[Table]:
    with (
        FakeServer(lambda messages, is_root: ("I am well, thank you.", 0.0), MESSAGE) as model,
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(trust_env=False, timeout=60) as client,
    ):
        port = free_port()
        command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--port", str(port)]
        command += ["--data", folder, "--config", f"{folder}/settings.json"]
        command += ["--backend", "openai", "--base-url", model.url, "--model", MODEL]
        with served(command, port, Path(folder)) as app:
            ways = _ways(model.url, app.url)
            for number in range(arguments.warm_up + arguments.times):
                if 0 < number == arguments.warm_up:
                    _wait_for_memory(client, app.url)
                    for way in ways:
                        way.forget()
                for way in ways:
                    way.send(client, model, f"{MESSAGE} It is minute {number}.")
                    time.sleep(PAUSE_SECONDS)
    return [table(ways)]


def _wait_for_memory(client: httpx.Client, url: str) -> None:
    """Until the embedding model is loaded and has embedded what was said."""
    while True:
        memory = client.get(f"{url}/status").raise_for_status().json()["memory"]
        if memory["problem"] or (memory["embedder"].startswith("ready") and not memory["pending"]):
            return
        time.sleep(PAUSE_SECONDS)


def _ways(model: str, app: str) -> tuple[Way, Way]:
    def bare(message: str) -> dict[str, Any]:
        return {"model": MODEL, "messages": [{"role": "user", "content": message}], "stream": True}

    return (
        Way(
            "the bare model server",
            f"{model}/chat/completions",
            bare,
            lambda part: bool(part["choices"] and part["choices"][0]["delta"].get("content")),
        ),
        Way(
            "through `app.py`",
            f"{app}/chat",
            lambda message: {"message": message, "stream": True},
            lambda part: part.get("type") == "token",
        ),
    )


def table(ways: tuple[Way, Way]) -> Table:
    rows, figures = [], []
    for way in ways:
        tokens, requests = sorted(way.tokens), way.requests
        p95 = tokens[int(len(tokens) * 0.95)]
        rows.append((way.name, shown(Spread.of(tokens)), f"{p95:.1f}", shown(Spread.of(requests))))
        figures.append({"way": way.name, "first_token_ms": tokens, "until_request_ms": requests})
    added = [through - bare for bare, through in zip(*(way.tokens for way in ways), strict=True)]
    columns = ("way", "first token, ms", "p95", "until the model server has the request, ms")
    note = f"Added before the first token: {shown(Spread.of(added))} ms."
    return Table(columns, tuple(rows), (note,), figures)

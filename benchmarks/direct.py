"""What the whole app adds to a simple message before its first token, beside the bare model server.

    python -m benchmarks direct [--times 40] [--json FILE]

``app.py`` runs as a user runs it, with a fake model server on loopback that answers at once. A new conversation each time;
"bare" is the same message sent straight to the model server, from the same client.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.fake_server import MODEL, FakeServer
from benchmarks.served import free_port, served

ROOT = Path(__file__).resolve().parents[1]
MESSAGE = "Good morning, how are you?"
WARM_UP = 5


@dataclass(frozen=True)
class FirstToken:
    """Milliseconds until the first token, and until the model server has the request."""

    name: str
    median: float
    p95: float
    until_request: float


def measure(
    name: str,
    times: int,
    client: httpx.Client,
    model: FakeServer,
    url: str,
    body: dict[str, Any],
    is_token: Callable[[dict[str, Any]], bool],
) -> FirstToken:
    """Send the message some times, one after the other."""
    tokens, requests = [], []
    for number in range(WARM_UP + times):
        model.take()
        began = time.monotonic()
        with client.stream("POST", url, json=body) as response:
            response.raise_for_status()
            first = None
            for line in response.iter_lines():
                if first is None and line.startswith("data: {") and is_token(json.loads(line[6:])):
                    first = time.monotonic()
        if first is None:
            raise RuntimeError(f"{url} sent no token")
        if number >= WARM_UP:
            tokens.append((first - began) * 1000)
            requests.append((model.take()[0].arrived - began) * 1000)
    tokens.sort()
    return FirstToken(
        name, statistics.median(tokens), tokens[int(len(tokens) * 0.95)], statistics.median(requests)
    )


def compare(times: int) -> list[FirstToken]:
    """The bare server and the app."""
    with (
        FakeServer(lambda messages, is_root: ("I am well, thank you.", 0.0), MESSAGE) as model,
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(trust_env=False, timeout=60) as client,
    ):
        port = free_port()
        command = [
            sys.executable,
            str(ROOT / "app.py"),
            "--no-browser",
            "--port",
            str(port),
            "--data",
            folder,
        ]
        command += ["--config", f"{folder}/settings.json", "--backend", "openai"]
        command += ["--base-url", model.url, "--model", MODEL]
        messages = [{"role": "user", "content": MESSAGE}]
        bare = {"model": MODEL, "messages": messages, "stream": True}
        with served(command, port, Path(folder)) as app:
            return [
                measure(
                    "the bare model server",
                    times,
                    client,
                    model,
                    f"{model.url}/chat/completions",
                    bare,
                    lambda part: bool(part["choices"] and part["choices"][0]["delta"].get("content")),
                ),
                measure(
                    "through app.py (POST /chat, streamed)",
                    times,
                    client,
                    model,
                    f"{app.url}/chat",
                    {"message": MESSAGE, "stream": True},
                    lambda part: part.get("type") == "token",
                ),
            ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks direct", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--times", type=int, default=40, help="messages of each (default 40)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    found = compare(arguments.times)
    write = sys.stdout.write
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    write(f"{machine}, {time.strftime('%Y-%m-%d %H:%M')}\n\n")
    write(
        "| way | first token, median | p95 | until the model server has the request, median |\n|---|---|---|---|\n"
    )
    for way in found:
        write(f"| {way.name} | {way.median:.1f} ms | {way.p95:.1f} ms | {way.until_request:.1f} ms |\n")
    write(f"\nadded before the first token: {found[1].median - found[0].median:.1f} ms\n")
    if arguments.json:
        record = {"machine": machine, "ways": [asdict(way) for way in found]}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

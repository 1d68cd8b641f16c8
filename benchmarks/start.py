"""How long ``python app.py`` takes until the page answers, beside an empty Gradio page, and what memory it then has.

One start of the app, one of the empty page, and so on. The processor's seconds are those of the process until the page answers:
they depend little on what else the machine does. Idle memory is what no other process shares, three seconds after the page; the
idle processor's share is that of the five seconds after them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.report import Spread, Table, shown
from benchmarks.served import free_port, served

ROOT = Path(__file__).resolve().parents[1]
EMPTY = """
import os, sys
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    gr.Textbox()
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
"""
NAMES = ("`app.py`", "an empty Gradio page")
RESTING = 5.0
QUICK = {"times": 1, "warm_up": 0, "idle": 0.5}


class Start(NamedTuple):
    """Until the page answers: by the clock and of the processor's time, in seconds. When idle: megabytes, and percent of
    one core."""

    seconds: float
    worked: float
    memory: float
    resting: float


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=5, help="starts of each (default 5)")
    parser.add_argument(
        "--warm-up", type=int, default=1, help="starts beforehand, which fill the file cache (default 1)"
    )
    parser.add_argument(
        "--idle", type=float, default=3.0, help="seconds until memory is looked at (default 3)"
    )


def run(arguments: argparse.Namespace) -> list[Table]:
    for _ in range(arguments.warm_up):
        start(NAMES[0], 0)
    starts = [[start(name, arguments.idle) for name in NAMES] for _ in range(arguments.times)]
    rows, figures = [], []
    for name, of_name in zip(NAMES, zip(*starts, strict=True), strict=True):
        spreads = [Spread.of(values) for values in zip(*of_name, strict=True)]
        rows.append(
            (name, *(shown(spread, digits) for spread, digits in zip(spreads, (2, 2, 0, 1), strict=True)))
        )
        figures.append({"what": name, "starts": of_name})
    by_clock = shown(Spread.of([app.seconds / empty.seconds for app, empty in starts]), 2)
    by_work = shown(Spread.of([app.worked / empty.worked for app, empty in starts]), 2)
    columns = (
        "what", "until the page answers, s", "of the processor, s", "idle memory, MB", "of one core when idle, %"
    )  # fmt: skip
    note = f"{by_clock} times the empty page by the clock, {by_work} times by the processor's work."
    return [Table(columns, tuple(rows), (note,), figures)]


def start(name: str, idle: float) -> Start:
    """One start, looked at when it has been idle for so many seconds."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", EMPTY, str(port)]
        if name == NAMES[0]:
            command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--backend", "embedded"]
            command += ["--port", str(port), "--data", folder, "--config", f"{folder}/settings.json"]
        with served(command, port, Path(folder)) as server:
            time.sleep(idle)
            memory = server.memory() / 1e6
            worked = server.worked()
            time.sleep(RESTING)
            resting = (server.worked() - worked) / RESTING * 100
            return Start(server.start_seconds, server.processor_seconds, memory, resting)

"""How long ``python app.py`` takes until the page answers, beside an empty Gradio page, and what memory it then has.

One start of the app, one of the empty page, and so on. The processor's seconds are those of the process until the page answers:
they depend little on what else the machine does. Idle memory is what no other process shares, three seconds after the page.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

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
QUICK = {"times": 1, "warm_up": 0, "idle": 0.5}


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
        seconds, worked, memory = zip(*of_name, strict=True)
        rows.append(
            (name, shown(Spread.of(seconds), 2), shown(Spread.of(worked), 2), shown(Spread.of(memory), 0))
        )
        figures.append({"what": name, "seconds": seconds, "processor_seconds": worked, "megabytes": memory})
    by_clock = shown(Spread.of([app[0] / empty[0] for app, empty in starts]), 2)
    by_work = shown(Spread.of([app[1] / empty[1] for app, empty in starts]), 2)
    columns = ("what", "until the page answers, s", "of the processor, s", "idle memory, MB")
    note = f"{by_clock} times the empty page by the clock, {by_work} times by the processor's work."
    return [Table(columns, tuple(rows), (note,), figures)]


def start(name: str, idle: float) -> tuple[float, float, float]:
    """Seconds until the page answers, the processor's seconds, and megabytes when it has been idle for so many seconds."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", EMPTY, str(port)]
        if name == NAMES[0]:
            command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--backend", "embedded"]
            command += ["--port", str(port), "--data", folder, "--config", f"{folder}/settings.json"]
        with served(command, port, Path(folder)) as server:
            time.sleep(idle)
            return server.start_seconds, server.processor_seconds, server.memory() / 1e6

"""How long ``python app.py`` takes until the page answers, beside an empty Gradio page, and what memory it then has.

python -m benchmarks start [--times 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

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
IDLE_SECONDS = 3.0


@dataclass(frozen=True)
class Start:
    """Medians: seconds until the page answers, and megabytes (not shared with other processes) when idle after it."""

    name: str
    seconds: float
    megabytes: float


def measure(name: str, times: int) -> Start:
    seconds, memory = [], []
    for _ in range(times):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            if name == "app.py":
                command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--backend", "embedded"]
                command += ["--port", str(port), "--data", folder, "--config", f"{folder}/settings.json"]
            else:
                command = [sys.executable, "-c", EMPTY, str(port)]
            with served(command, port, Path(folder)) as server:
                seconds.append(server.start_seconds)
                time.sleep(IDLE_SECONDS)
                memory.append(server.memory() / 1e6)
    return Start(name, statistics.median(seconds), statistics.median(memory))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks start", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--times", type=int, default=5, help="starts of each (default 5)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    measure("app.py", 1)  # fills the file cache and compiles
    found = [measure(name, arguments.times) for name in ("app.py", "an empty Gradio page")]
    write = sys.stdout.write
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    write(
        f"{machine}, {time.strftime('%Y-%m-%d %H:%M')}\n\n| what | until the page answers | idle memory |\n|---|---|---|\n"
    )
    for start in found:
        write(f"| {start.name} | {start.seconds:.2f} s | {start.megabytes:.0f} MB |\n")
    write(f"\n{found[0].seconds / found[1].seconds:.2f} x the empty page\n")
    if arguments.json:
        record = {"machine": machine, "starts": [asdict(start) for start in found]}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The peers of ``overhead`` and ``batches``, each in an environment of its own: two of them call themselves ``rlm``.

``python -m benchmarks peers`` makes the environments under ``benchmarks/peers/``; it needs the internet, measuring does not.
A peer without an environment is left out of the tables.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).with_name("peers")
PACKAGES = {"rlms": "rlms==0.1.3", "recursive-llm": "recursive-llm==0.5.0", "dspy": "dspy[deno]==3.4.1"}

LINES = """// The lines that a reader gives, for runner.js.
export async function* readLines(reader) {
  const decoder = new TextDecoder();
  const piece = new Uint8Array(65536);
  let begun = [];
  for (let size; (size = await reader.read(piece)) !== null; ) {
    let from = 0;
    for (let end; (end = piece.subarray(0, size).indexOf(10, from)) !== -1; from = end + 1) {
      begun.push(decoder.decode(piece.subarray(from, end)));
      yield begun.join("");
      begun = [];
    }
    begun.push(decoder.decode(piece.subarray(from, size), { stream: true }));
  }
}
"""


def make() -> int:
    """Make the environments that are missing. Raises CalledProcessError when a package cannot be had."""
    for name, package in PACKAGES.items():
        home = FOLDER / name
        if not _python(home).exists():
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(_python(home)), "-m", "pip", "install", "--quiet", package], check=True)
        print(f"{name}: {home}", flush=True)
    _prepare_dspy(FOLDER / "dspy")
    return 0


def _prepare_dspy(home: Path) -> None:
    """Its runner, JavaScript, wants two things from the internet when it first starts: Pyodide, which stays in Deno's cache, and
    a reader of lines from the address of Deno's old standard library. The reader is replaced by a file beside it, because
    that address cannot be reached from everywhere."""
    (runner,) = home.glob("[Ll]ib/**/dspy/primitives/runner.js")
    runner.with_name("lines.js").write_text(LINES, encoding="utf-8")
    text = runner.read_text(encoding="utf-8")
    text = re.sub(r'(import \{ readLines \} from )"https:[^"]+"', r'\1"./lines.js"', text)
    runner.write_text(text, encoding="utf-8")
    once = "import dspy; print(dspy.PythonInterpreter().execute('print(6 * 7)'))"
    subprocess.run(
        [str(_python(home)), "-c", once], check=True, env=os.environ | {"DENO_DIR": str(home / "deno")}
    )


def pythons(wanted: str) -> dict[str, str]:
    """The Python of each engine among the ``wanted`` (names with commas between them) that is there."""
    found = {"localrlm": sys.executable, "aiohttp": sys.executable}
    if importlib.util.find_spec("rlm") is not None:  # the development requirements have it
        found["rlms"] = sys.executable
    found |= {name: str(_python(FOLDER / name)) for name in PACKAGES if _python(FOLDER / name).exists()}
    return {name: found[name] for name in wanted.split(",") if name in found}


def _python(home: Path) -> Path:
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

"""``python -m benchmarks NAME [options]`` runs one benchmark; without a name it lists them."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

HOME = Path(__file__).parent


def main() -> int:
    names = sorted(
        path.stem for path in HOME.glob("*.py") if 'if __name__ == "__main__"' in path.read_text("utf-8")
    )
    names.remove("__main__")
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        for name in names:
            about = ast.get_docstring(ast.parse((HOME / f"{name}.py").read_text("utf-8"))) or ""
            sys.stdout.write(f"{name:14} {about.splitlines()[0]}\n")
        return 2
    name = sys.argv.pop(1)
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

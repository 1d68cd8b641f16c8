"""The worker under every Python found on this machine: what an attribute leads to changes with each version."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlm_core.repl import launch
from tests.sandbox.catalogue import ATTEMPTS
from tests.sandbox.driving import Cells
from tests.sandbox.snippets import SNIPPETS
from tests.sandbox.test_catalogue import outcome
from tests.sandbox.test_everyday_code import NEEDS, REFUSED


def interpreters() -> dict[str, str]:
    """Version -> executable of each Python from 3.11 on: this one, those on the path, and those installed beside it."""
    own = launch.interpreter()
    beside = Path(own).resolve().parents[2].glob("*/bin/python3.1[1-9]")
    on_path = (shutil.which(f"python3.{minor}") for minor in range(11, 20))
    found: dict[str, str] = {f"{sys.version_info.major}.{sys.version_info.minor}": own}
    for candidate in (*map(str, beside), *filter(None, on_path)):
        asked = subprocess.run(
            [candidate, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
        )
        if asked.returncode == 0:
            found.setdefault(asked.stdout.strip(), candidate)
    return found


FOUND = interpreters()


@pytest.mark.parametrize("version", FOUND)
def test_the_catalogue_and_everyday_code_under(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "interpreter", lambda: FOUND[version])
    wrong: list[str] = []
    with Cells("some text") as cells:
        assert cells.session.level == "strict" or sys.platform != "linux"
        for attempt in ATTEMPTS:
            result = cells.run(attempt.code)
            allowed = ("ok",) if attempt.expected == "ok" else tuple(attempt.expected)
            if "REACHED" in result.output or result.restarted or outcome(result.error) not in allowed:
                wrong.append(f"{attempt.id}: {result.error or result.output}")
        number = tuple(map(int, version.split(".")))
        for name, code in SNIPPETS.items():
            refused = name in REFUSED or number < NEEDS.get(name, (3, 0))
            if (cells.run(code).error is not None) is not refused:
                wrong.append(name)
    assert wrong == []

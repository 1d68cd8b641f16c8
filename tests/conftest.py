"""What all tests share: ``alone``, the mark of a test that counts what the whole process holds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CHILD = "LOCALRLM_TEST_ALONE"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test marked ``alone`` in a pytest process of its own, where no other test's memory, threads or files count."""
    if pyfuncitem.get_closest_marker("alone") is None or CHILD in os.environ:
        return None
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    done = subprocess.run(
        command,
        cwd=pyfuncitem.config.rootpath,
        env={**os.environ, CHILD: "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    return True

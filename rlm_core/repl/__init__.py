"""The REPL sandbox: model-written Python in a locked worker process.

``async with ReplSession(context="...") as repl: result = await repl.run("len(context)")``. See SECURITY.md for what it
holds against, and :mod:`rlm_core.repl.session` for where to start reading.
"""

from rlm_core.repl.cells import ReplMemory
from rlm_core.repl.pool import WorkerPool
from rlm_core.repl.selftest import self_test
from rlm_core.repl.session import ReplSession
from rlm_core.repl.types import (
    CellResult,
    Level,
    ReplDocument,
    ReplError,
    ReplLimits,
    ReplTable,
    SandboxReport,
    SandboxTooWeak,
)

__all__ = [
    "CellResult",
    "Level",
    "ReplDocument",
    "ReplError",
    "ReplLimits",
    "ReplMemory",
    "ReplSession",
    "ReplTable",
    "SandboxReport",
    "SandboxTooWeak",
    "WorkerPool",
    "self_test",
]

"""A worker whose language wall is gone: cells are plain Python with every builtin and the dangerous modules in hand.

Only the operating system's layers are left (the tripwire is off). Started instead of boot.py by the assume-breach tests.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def serve_without_language_wall(*, tripwire: bool) -> None:
    """Serve with an unrestricted compiler and a namespace that hands everything out."""
    sys.path.insert(0, str(ROOT / "rlm_core" / "repl" / "worker"))
    import boot

    boot.make_importable(sys.argv[2])

    import ast
    import builtins
    import ctypes
    import gc
    import mmap
    import os
    import resource
    import signal
    import socket
    import subprocess
    import threading

    from rlm_core.repl.worker import audit, main, running
    from rlm_core.repl.worker.desugar import keep_last_value
    from rlm_core.repl.worker.namespace import Namespace

    given = dict(
        os=os, socket=socket, ctypes=ctypes, subprocess=subprocess, gc=gc, mmap=mmap, signal=signal, threading=threading,
        resource=resource, sys=sys, builtins=builtins, libc=ctypes.CDLL(None, use_errno=True),
    )  # fmt: skip

    class OpenNamespace(Namespace):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            self.builtins |= vars(builtins) | given | {"print": self.builtins["print"]}
            self._provided |= set(given)

    def compile_anything(source: str, filename: str, exports: object) -> object:
        tree = ast.parse(source, filename)
        keep_last_value(tree)
        return compile(tree, filename, "exec")

    running.Namespace = OpenNamespace  # type: ignore[misc]
    if not tripwire:
        audit.Tripwire.install = lambda self: None  # type: ignore[method-assign]
    main.serve(int(sys.argv[1]), compile_source=compile_anything)  # type: ignore[arg-type]


if __name__ == "__main__":
    serve_without_language_wall(tripwire=False)

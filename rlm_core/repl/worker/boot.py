"""The first file a worker process runs: ``python -I -S boot.py <host pid> <home of RestrictedPython> [event]``.

It makes ``rlm_core.repl.worker`` importable without running ``rlm_core/__init__`` and without the rest of
site-packages, then hands over to :mod:`rlm_core.repl.worker.main`.
"""

import gc
import os
import sys
from types import ModuleType


def make_importable(restricted_python_home: str) -> None:
    """Put empty parent packages in place of the host's, and RestrictedPython's home behind the standard library."""
    repl = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for name, path in (("rlm_core", os.path.dirname(repl)), ("rlm_core.repl", repl)):
        package = ModuleType(name)
        package.__path__ = [path]
        sys.modules[name] = package
    sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(__file__)]
    sys.path.append(restricted_python_home)


if __name__ == "__main__":
    gc.disable()  # nothing of what is imported is garbage
    make_importable(sys.argv[2])
    from rlm_core.repl.worker.main import serve

    serve(host_pid=int(sys.argv[1]), interrupt_event=int(sys.argv[3]) if len(sys.argv) > 3 else None)

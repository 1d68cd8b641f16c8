"""A worker that has been taken over: it starts as it should, then each cell decides which bytes the host gets to read."""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "rlm_core" / "repl" / "worker"))

import boot

boot.make_importable(sys.argv[2])

from rlm_core.repl import protocol  # noqa: E402 - importable only now
from rlm_core.repl.worker.channel import HostGone, take_standard_streams  # noqa: E402

channel = take_standard_streams()
out = channel._out


def send(data: bytes) -> None:
    """Raw bytes to the host."""
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]


def frame(kind: int, head: bytes, body: bytes = b"") -> None:
    """One frame with any header."""
    send(protocol.PREFIX.pack(kind, len(head), len(body)) + head + body)


def result(cell: str, **changes: Any) -> None:
    """A result of the right shape, with changes."""
    header = {
        "id": cell, "interrupted": False, "hidden": 0, "final": False, "draft": False, "names": [], "gone": [],
        "definitions": [], "values": [],
    }  # fmt: skip
    texts = changes.pop("texts", [b""] * 6)
    channel.send(protocol.RESULT, header | changes, texts)


layers = dict.fromkeys(("seccomp", "no new privileges", "resource limits", "Landlock", "audit hook"), "on")
channel.send(protocol.READY, {"layers": layers})
try:
    while True:
        received = channel.receive()
        if received.kind == protocol.RUN:
            given = {"cell": received.header["id"], "receive": channel.receive}
            exec(received.texts[0], globals() | given)
        elif received.kind not in (protocol.PIECE, protocol.ROWS):
            channel.send(protocol.DONE, {"memory": "on", "restored": []})
except (HostGone, BrokenPipeError):
    pass

"""Frames over the two private pipes of the worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import FileIO
from typing import Any

from rlm_core.repl.protocol import PREFIX, Frame, decode_frame, encode_frame


class HostGone(BaseException):
    """The host closed its end: the worker has nothing left to do. No ``except Exception`` of a cell may keep it."""


class Channel:
    """Reads and writes whole frames. Not interruptible inside a frame: callers hold interrupts back."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._in = FileIO(read_fd, closefd=False)
        self._out = write_fd

    def receive(self) -> Frame:
        """Wait for the next frame. Raises HostGone at the end of the stream."""
        kind, head_size, body_size = PREFIX.unpack(self._exactly(PREFIX.size))
        head = self._exactly(head_size)
        body = self._exactly(body_size)
        return decode_frame(kind, head, body, trusted=True)

    def send(self, kind: int, header: dict[str, Any], texts: Sequence[bytes] = ()) -> None:
        """Write one frame. Raises HostGone if nobody reads any more."""
        try:
            for part in encode_frame(kind, header, texts):
                view = memoryview(part)
                while view:
                    view = view[os.write(self._out, view) :]
        except BrokenPipeError:
            raise HostGone from None

    def _exactly(self, size: int) -> memoryview:
        view, filled = memoryview(bytearray(size)), 0
        while filled < size:
            count = self._in.readinto(view[filled:])
            if not count:
                raise HostGone
            filled += count
        return view


def take_standard_streams() -> Channel:
    """Move the pipes on 0 and 1 to private descriptors and point 0, 1 and 2 at the null device.

    Code that prints to the real stdout, or C code that writes a message to stderr, then cannot disturb the frames.
    """
    if sys.platform == "win32":
        import msvcrt

        for fd in (0, 1):
            msvcrt.setmode(fd, os.O_BINARY)
    read_fd, write_fd = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    return Channel(read_fd, write_fd)

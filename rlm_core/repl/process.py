"""The host's end of one worker process: a thread that owns it and reads its frames, and one that writes.

Everything that arrives is hostile input: sizes are checked before reading, at most two frames wait to be taken, and the
first thing that is not a valid frame ends the worker. Works from any event loop, also from several one after the other.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Final

from rlm_core.repl.launch import BOOT, Launched, launch
from rlm_core.repl.protocol import (
    BODY_LIMITS,
    HEADER_LIMIT,
    PREFIX,
    Frame,
    ProtocolError,
    decode_frame,
    encode_frame,
)
from rlm_core.repl.types import ReplError

log = logging.getLogger(__name__)

WAITING_FRAMES: Final = 2


class WorkerGone(Exception):
    """The worker process has ended, or was ended because of what it sent. The text says why."""


class WorkerProcess:
    """Starts at once in its own thread; the first frame to receive is READY."""

    def __init__(self, script: Path = BOOT) -> None:
        self._script = script
        self._launched: Launched | None = None
        self._frames: deque[Frame] = deque()
        self._end: str | None = None
        self._lock = threading.Lock()
        self._room = threading.Semaphore(WAITING_FRAMES)
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._outbox: queue.SimpleQueue[Iterable[bytes] | None] = queue.SimpleQueue()
        self._killed = False
        self.started_at = time.perf_counter()
        self._owner = threading.Thread(target=self._own, name="rlm-worker-reader", daemon=True)
        self._owner.start()

    # ---- for the session ----

    @property
    def pid(self) -> int | None:
        """The process id, once it is started."""
        return self._launched.popen.pid if self._launched else None

    @property
    def alive(self) -> bool:
        """False once the worker has ended."""
        return self._end is None and not self._killed

    async def receive(self, seconds: float | None = None) -> Frame | None:
        """The next frame; None after ``seconds`` or a nudge. Raises WorkerGone when there are no more."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._frames:
                self._room.release()
                return self._frames.popleft()
            if self._end is not None:
                raise WorkerGone(self._end)
            ready: asyncio.Future[None] = loop.create_future()
            self._waiter = (loop, ready)
        try:
            await asyncio.wait((ready,), timeout=seconds)
        finally:
            with self._lock:
                self._waiter = None
        with self._lock:
            if self._frames:
                self._room.release()
                return self._frames.popleft()
            return None

    def nudge(self) -> None:
        """Make a receive that is waiting now return None."""
        with self._lock:
            self._wake()

    async def ended(self) -> None:
        """Wait until the process is reaped and its threads have ended (after kill)."""
        while True:
            try:
                await self.receive()
            except WorkerGone:
                self._owner.join()
                return

    def send(self, kind: int, header: dict[str, Any], texts: Sequence[bytes] = ()) -> None:
        """Queue a frame; it is written by the worker's own thread, so a worker that does not read blocks nobody."""
        self._outbox.put(encode_frame(kind, header, texts))

    def send_made_late(self, parts: Iterable[bytes]) -> None:
        """Queue frames that are made while they are written, so that a large text is never there as bytes, too."""
        self._outbox.put(parts)

    def interrupt(self) -> None:
        """Ask the running cell to stop."""
        if self._launched and self.alive:
            self._launched.interrupt()

    def limit_memory(self, extra_bytes: int) -> str | None:
        """See Launched.limit_memory."""
        return self._launched.limit_memory(extra_bytes) if self._launched else "off: not started"

    @property
    def layers(self) -> dict[str, str]:
        """What the host put around the process: layer -> "on" or "off: reason"."""
        return dict(self._launched.layers) if self._launched else {}

    def kill(self) -> None:
        """End the process now; returns at once."""
        self._killed = True
        if self._launched:
            self._launched.kill()
        self._room.release()

    # ---- the owner thread ----

    def _own(self) -> None:
        try:
            launched = self._launched = launch(self._script)
        except (ReplError, OSError) as error:
            self._finish(str(error))
            return
        popen = launched.popen
        assert popen.stdin is not None
        assert popen.stdout is not None
        writer = threading.Thread(
            target=self._write, args=(popen.stdin,), name="rlm-worker-writer", daemon=True
        )
        writer.start()
        if self._killed:
            launched.kill()
        reason = "the sandbox worker ended"
        try:
            while True:
                self._deliver(_read_frame(popen.stdout))
        except EOFError:
            pass
        except ProtocolError as error:
            reason = f"the sandbox worker sent something that is not allowed ({error}) and was ended"
            log.warning("%s", reason)
        except OSError as error:
            reason = f"the sandbox worker's pipe broke: {error}"
        launched.kill()
        code = popen.wait()
        popen.stdout.close()
        self._outbox.put(None)
        writer.join()
        launched.close()
        self._finish(f"{reason} (exit status {code})" if not self._killed else "the sandbox worker was ended")

    def _deliver(self, frame: Frame) -> None:
        self._room.acquire()
        if self._killed:  # nobody takes frames any more: drop what is still in the pipe
            self._room.release()
            return
        with self._lock:
            self._frames.append(frame)
            self._wake()

    def _finish(self, reason: str) -> None:
        with self._lock:
            self._end = reason
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            loop, ready = self._waiter
            self._waiter = None

            def set_ready() -> None:
                if not ready.done():
                    ready.set_result(None)

            try:
                loop.call_soon_threadsafe(set_ready)
            except (
                RuntimeError
            ):  # that loop was closed while its task still waited here: nobody is left to wake
                log.debug("the event loop that waited for a worker is closed")

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            while (parts := self._outbox.get()) is not None:
                for part in parts:
                    view = memoryview(part)
                    while view:
                        view = view[pipe.write(view) or 0 :]
        except OSError:  # the worker is gone; the reader reports it
            pass
        finally:
            try:
                pipe.close()
            except OSError:
                log.debug("closing the pipe of an ended worker failed", exc_info=True)


def _read_frame(pipe: IO[bytes]) -> Frame:
    kind, head_size, body_size = PREFIX.unpack(_exactly(pipe, PREFIX.size))
    if kind not in BODY_LIMITS:
        raise ProtocolError(f"unknown kind of frame {kind}")
    if head_size > HEADER_LIMIT or body_size > BODY_LIMITS[kind]:
        raise ProtocolError(f"a frame of {head_size + body_size:,} bytes is too large")
    head = _exactly(pipe, head_size)
    return decode_frame(kind, head, _exactly(pipe, body_size), trusted=False)


def _exactly(pipe: Any, size: int) -> memoryview:
    view, filled = memoryview(bytearray(size)), 0
    while filled < size:
        count = pipe.readinto(view[filled:])
        if not count:
            raise EOFError
        filled += count
    return view

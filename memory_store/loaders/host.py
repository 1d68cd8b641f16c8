"""The parent's side of loading a file: start the worker, wait with a limit, read what it made.

What the worker sends is checked like any other input: a hostile file may have taken it over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from memory_store.errors import DocumentError, StorageError
from memory_store.loaders.confine import Confinement
from memory_store.loaders.limits import DEFAULT, NO_ROOM, LoadLimits
from memory_store.loaders.result import Loaded
from memory_store.records import Section

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def load_file(
    name: str,
    data: bytes | Path,
    limits: LoadLimits = DEFAULT,
    progress: Callable[[str, float], None] | None = None,
) -> Loaded:
    """Read one file in its own process. `progress` gets a sentence and a share of 1 while pages are read.

    Raises DocumentError with one sentence about what is wrong with the file, StorageError when there is no room for what is
    read meanwhile.
    """
    check_size(name, data, limits)
    try:
        with tempfile.TemporaryDirectory(prefix="localrlm-load-", ignore_cleanup_errors=True) as folder:
            scratch = Path(folder)
            source = scratch / "source"
            if isinstance(data, Path):
                source = data.resolve()
            else:
                source.write_bytes(data)
            _run(name, source, scratch, limits, progress)
            return _read(name, scratch / "result.json", limits)
    except OSError as error:
        raise _no_room(name, error.strerror or str(error)) from error


def _no_room(name: str, why: str) -> StorageError:
    return StorageError(
        f"{name} was not read: nothing can be written into {tempfile.gettempdir()}, where temporary files lie ({why}). Make"
        " room there, then add it again."
    )


def check_size(name: str, data: bytes | Path, limits: LoadLimits = DEFAULT) -> int:
    """The file's size in bytes. Raises DocumentError when it is empty, too large or cannot be opened."""
    try:
        if isinstance(data, Path) and not data.is_file():
            raise DocumentError(f"{name} is not a file.")
        size = data.stat().st_size if isinstance(data, Path) else len(data)
    except OSError as error:
        raise DocumentError(f"{name} could not be opened ({error.strerror}).") from error
    if size == 0:
        raise DocumentError(f"{name} is empty.")
    if size > limits.file_bytes:
        raise DocumentError(
            f"{name} is too large: {_megabytes(size)} MB, and the limit is {_megabytes(limits.file_bytes)} MB. "
            "Split it, or upload the part you need."
        )
    return size


def _run(
    name: str, source: Path, scratch: Path, limits: LoadLimits, progress: Callable[[str, float], None] | None
) -> None:
    job = {
        "source": str(source),
        "name": name,
        "result": str(scratch / "result.json"),
        "limits": asdict(limits),
    }
    environment = {
        key: value
        for key, value in os.environ.items()
        if key in {"PATH", "SYSTEMROOT", "SystemRoot", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
    }
    environment |= {
        "PYTHONPATH": str(_PACKAGE_ROOT),
        "PYTHONIOENCODING": "utf-8",
        "TMPDIR": str(scratch),
        "TEMP": str(scratch),
        "TMP": str(scratch),
        "OPENBLAS_NUM_THREADS": "1",  # each thread reserves address space, which the worker has little of
        "OMP_NUM_THREADS": "1",
    }
    with (
        (scratch / "errors.txt").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-s", "-m", "memory_store.loaders.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=scratch,
            env=environment,
        ) as worker,
        Confinement(worker, limits) as confinement,
    ):
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(json.dumps(job).encode("ascii"))
            worker.stdin.close()
            for line in worker.stdout:
                if progress is not None:
                    _report(progress, line)
        except BrokenPipeError:
            pass  # it died: its exit status below says why
        status = worker.wait()
        if confinement.timed_out:
            raise DocumentError(
                f"{name} could not be read within {limits.seconds:g} seconds, so reading it was stopped. "
                "The file may be damaged; saving it again in its own program often helps."
            )
    if status == NO_ROOM:
        raise _no_room(name, "the disk is full")
    if status != 0:
        raise DocumentError(
            f"{name} could not be read: the program part for this file type gave up (status {status}), most likely "
            f"because the file is damaged or needs more than {_megabytes(limits.memory_bytes)} MB of memory."
        )


def _report(progress: Callable[[str, float], None], line: bytes) -> None:
    what, _, share = line.decode("utf-8", "replace").rstrip().rpartition("\t")
    try:
        progress(what[:200], min(1.0, max(0.0, float(share))))
    except ValueError:
        return  # not a progress line: a library that prints


def _read(name: str, path: Path, limits: LoadLimits) -> Loaded:
    try:
        if path.stat().st_size > limits.characters * 12 + limits.cells * 64:
            raise ValueError("too long")
        reply = path.read_text("ascii")
        if reply.startswith("error "):
            raise DocumentError(f"{name} could not be read. {json.loads(reply[6:])}")
        loaded = Loaded.load(reply)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DocumentError(
            f"{name} could not be read: its content confused the program part for this file type."
        ) from error
    text = (
        loaded.text.replace("\x00", " ").encode("utf-8", "replace").decode("utf-8")
    )  # lengths stay the same
    end = len(text)
    sections = [
        Section(s.kind, s.label[:300], s.start, s.end, s.level)
        for s in loaded.sections
        if 0 <= s.start <= s.end <= end
    ]
    return replace(loaded, text=text, sections=sections)


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:,.0f}"

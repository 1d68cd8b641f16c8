"""The child process: limits first, then one file, then one JSON file with the result. Run by `host.py`."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

from memory_store.loaders.confine import limit_from_inside
from memory_store.loaders.kinds import load
from memory_store.loaders.limits import NO_ROOM, LoadLimits
from memory_store.loaders.result import Unreadable


def main() -> int:
    """Reads the job from stdin; returns the exit status. What a file is to blame for is a reply, not a status."""
    job = json.loads(sys.stdin.buffer.read())
    limits = LoadLimits(**job["limits"])
    limit_from_inside(limits.memory_bytes, limits.seconds)
    progress, sys.stdout = sys.stdout, sys.stderr  # libraries that print must not be taken for progress

    def say(what: str, share: float) -> None:
        print(f"{what}\t{share:.4f}", file=progress, flush=True)

    try:
        loaded = load(job["name"], Path(job["source"]), limits, say)
        if len(loaded.text) > limits.characters:
            raise Unreadable(f"It holds more than {limits.characters:,} characters of text. Split it.")
        if not loaded.text.strip():
            raise Unreadable("There is no text in it.")
        reply = loaded.dump()
    except Unreadable as problem:
        reply = "error " + json.dumps(str(problem))
    except MemoryError:
        reply = "error " + json.dumps("Reading it needs more memory than one file may use.")
    except RecursionError:
        reply = "error " + json.dumps("It is nested too deeply.")
    except Exception as error:  # whatever a parser raises on a damaged file: the person needs a sentence
        reply = "error " + json.dumps(
            f"It seems to be damaged or of another type ({type(error).__name__}: {str(error)[:200]})."
        )
    try:
        Path(job["result"]).write_text(reply, "ascii")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return NO_ROOM
    return 0


if __name__ == "__main__":
    sys.exit(main())

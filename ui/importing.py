"""Import Gradio without what only its developers need: a third of the time that the import takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_stubs() -> Iterator[None]:
    """At every import Gradio parses the source of each of its components and writes type stubs for editors beside it.
    It leaves out a component that has no source file, so for as long as the block runs, none has one."""
    getfile = inspect.getfile

    def no_file(thing: Any) -> str:
        if type(thing).__name__ == "ComponentMeta":
            raise OSError("no source, no stubs")
        return getfile(thing)

    inspect.getfile = no_file  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = getfile

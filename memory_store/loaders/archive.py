"""ZIP containers (Office files, EPUB), checked before anything in them is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

from memory_store.loaders.limits import LoadLimits
from memory_store.loaders.result import Unreadable

_MOST_FILES = 20_000
_RATIO = 200  # ordinary XML shrinks to a tenth, at most to a hundredth


class Archive:
    """A ZIP file whose contents are known to fit. Raises Unreadable for a bomb, zipfile.BadZipFile for a broken one."""

    def __init__(self, source: Path, limits: LoadLimits) -> None:
        self._zip = zipfile.ZipFile(source)
        entries = self._zip.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        packed = max(1, sum(entry.compress_size for entry in entries))
        if (
            unpacked > limits.unpacked_bytes
            or len(entries) > _MOST_FILES
            or (unpacked > 50_000_000 and unpacked / packed > _RATIO)
        ):
            self._zip.close()
            raise Unreadable(
                f"It would unpack to {unpacked / 1024 / 1024:,.0f} MB in {len(entries):,} parts, which looks like an attack "
                "(a ZIP bomb), so it was not opened."
            )
        self.names = frozenset(entry.filename for entry in entries)

    def read(self, name: str) -> bytes:
        """Raises Unreadable when the part is missing or damaged."""
        try:
            return self._zip.read(name)
        except (KeyError, zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
            raise Unreadable(f"Its part {name[:80]} is missing or damaged.") from error

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()

"""What the page notes about documents: which are used in all chats, and which go when an incognito conversation ends."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection
from pathlib import Path

from rlm_core.paths import replace_text

log = logging.getLogger(__name__)


class Marks:
    """Ids of documents in a small JSON file, so that they outlive the app. May be used from several threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._everywhere: dict[str, list[str]] = {}
        self._passing: list[str] = []
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            self._everywhere = {
                str(user): [str(item) for item in ids] for user, ids in kept["everywhere"].items()
            }
            self._passing = [str(item) for item in kept["passing"]]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read (%s); no document is used in all chats.", file, error)

    def everywhere(self, user: str) -> tuple[str, ...]:
        """The documents that each of this user's chats begins with."""
        with self._lock:
            return tuple(self._everywhere.get(user, ()))

    @property
    def passing(self) -> frozenset[str]:
        """The documents that were added in an incognito conversation."""
        with self._lock:
            return frozenset(self._passing)

    def use_everywhere(self, document_id: str, user: str, on: bool) -> None:
        with self._lock:
            others = [item for item in self._everywhere.get(user, ()) if item != document_id]
            self._everywhere[user] = [*others, document_id] if on else others
            self._save()

    def passes(self, document_id: str) -> None:
        """It is to go when its conversation ends, or at the next start."""
        with self._lock:
            self._passing.append(document_id)
            self._save()

    def stays(self, document_ids: Collection[str]) -> None:
        """These are no longer to go, or have gone."""
        with self._lock:
            left = [item for item in self._passing if item not in document_ids]
            if left != self._passing:
                self._passing = left
                self._save()

    def _save(self) -> None:
        values = {"everywhere": self._everywhere, "passing": self._passing}
        replace_text(self._file, json.dumps(values) + "\n")

"""Which slot of llama.cpp a call goes to, so that a growing conversation finds its prefix again."""

from __future__ import annotations

import threading


class Slots:
    """A named session keeps a slot of its own; the longest unused one makes room for a new session.

    The last slot belongs to no session: calls without one go there, and to slots that no session has claimed yet. A call
    on a busy slot waits for it in the server.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._busy = [0] * count
        self._session_of: dict[int, str] = {}  # in order of use, the longest unused first
        self._for_sessions = max(1, count - 1)

    def take(self, session: str | None) -> int:
        with self._lock:
            slot = self._any() if session is None else self._of(session)
            self._busy[slot] += 1
            return slot

    def give_back(self, slot: int) -> None:
        with self._lock:
            self._busy[slot] -= 1

    def _any(self) -> int:
        free = [slot for slot in range(len(self._busy)) if slot not in self._session_of]
        return min(reversed(free or range(len(self._busy))), key=lambda slot: self._busy[slot])

    def _of(self, session: str) -> int:
        mine = [slot for slot, owner in self._session_of.items() if owner == session]
        unclaimed = [slot for slot in range(self._for_sessions) if slot not in self._session_of]
        idle = [slot for slot in self._session_of if not self._busy[slot]]
        slot = (mine or unclaimed or idle or list(self._session_of))[0]
        self._session_of.pop(slot, None)
        self._session_of[slot] = session
        return slot

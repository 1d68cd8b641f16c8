"""Conversations that were just deleted: gone from every list, erased some seconds later unless they are brought back."""

from __future__ import annotations

import asyncio
import logging

from rlm_core.engine import RLMEngine
from ui.tab import PROBLEMS

log = logging.getLogger(__name__)

UNDO_SECONDS = 8.0


class Bin:
    """The deleted conversations of one engine that can still be brought back."""

    def __init__(self, engine: RLMEngine) -> None:
        self._engine = engine
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, conversation_id: str) -> bool:
        return conversation_id in self._tasks

    def put(self, conversation_id: str) -> None:
        self._tasks[conversation_id] = asyncio.create_task(self._erase_later(conversation_id))

    def bring_back(self, conversation_id: str) -> None:
        self._tasks.pop(conversation_id).cancel()

    async def close(self) -> None:
        """Erase what was not brought back."""
        for conversation_id, task in list(self._tasks.items()):
            task.cancel()
            await self._erase(conversation_id)

    async def _erase_later(self, conversation_id: str) -> None:
        await asyncio.sleep(UNDO_SECONDS)
        try:
            await self._erase(conversation_id)
        finally:
            self._tasks.pop(conversation_id, None)

    async def _erase(self, conversation_id: str) -> None:
        try:
            await self._engine.forget_conversation(conversation_id)
        except PROBLEMS as error:
            log.warning("The conversation %s could not be deleted: %s", conversation_id, error)

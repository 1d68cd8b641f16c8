"""What every route works on, and whose data it may touch.

Each lookup by id goes through here, because an id is no secret: what belongs to somebody else answers exactly like what
does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from rlm_core.security import Access, current_user

if TYPE_CHECKING:
    from memory_store import Conversation, Document, MemoryStore
    from rlm_core.engine import RLMEngine
    from rlm_core.jobs import Job, Jobs


class NotHere(Exception):
    """There is no such thing, or it is not this user's. The text is for the user."""


class Refused(Exception):
    """The request is understood and not granted. The text is for the user."""


@dataclass(frozen=True)
class House:
    """One engine with its jobs, the settings file it was started with, and the rules about who may come in."""

    engine: RLMEngine
    jobs: Jobs
    config_path: Path | None
    access: Access

    @property
    def store(self) -> MemoryStore:
        return self.engine.store

    def conversation(self, conversation_id: str, user: str) -> Conversation:
        """Raises :class:`NotHere`."""
        found = self.store.conversation(conversation_id)
        if found is None or found.user != user:
            raise NotHere(f"There is no conversation '{conversation_id}'.")
        return found

    def document(self, document_id: str, user: str) -> Document:
        """Raises :class:`NotHere`."""
        found = self.store.document(document_id)
        if found is None or found.user != user:
            raise NotHere(f"There is no document '{document_id}'.")
        return found

    def may_answer_in(self, conversation_id: str | None, documents: list[str] | None, user: str) -> None:
        """Check what a question refers to, before the engine takes it: the engine also accepts paths of files, a
        visitor may only name documents of their own. An unknown conversation is fine: it is begun.

        Raises :class:`NotHere`.
        """
        if conversation_id is not None:
            found = self.store.conversation(conversation_id)
            if found is not None and found.user != user:
                raise NotHere(f"There is no conversation '{conversation_id}'.")
        for document_id in documents or ():
            self.document(document_id, user)

    def job(self, message_id: str, user: str) -> Job:
        """The job that makes this answer. Raises :class:`NotHere`."""
        job = self.jobs.get(message_id)
        if job is None or job.user != user:
            raise NotHere(f"No answer '{message_id}' is in the making.")
        return job

    def owner_only(self, user: str) -> None:
        """Raises :class:`Refused` for everybody but the person this installation belongs to."""
        if not self.access.is_owner(user):
            raise Refused("Only the owner of this LocalRLM may do that.")


def _house(connection: HTTPConnection) -> House:
    house: House = connection.app.state.house
    return house


TheHouse = Annotated[House, Depends(_house)]
User = Annotated[str, Depends(current_user)]

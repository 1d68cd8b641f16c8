"""A question that was accepted, and the place of its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlm_core.backends.base import ChatMessage
from rlm_core.context import Material, MaterialSource, resolve
from rlm_core.errors import MaterialError
from rlm_core.run import new_id

if TYPE_CHECKING:
    from memory_store import MemoryStore


@dataclass(frozen=True)
class Turn:
    """A question that was accepted, and the place of its answer. ``stored`` is False for a question that leaves no
    trace in the conversations (``history`` is then what the caller says was said before)."""

    message: str
    question_id: str
    answer_id: str
    conversation_id: str | None
    materials: tuple[Material, ...] = ()
    user: str = "local"
    stored: bool = False
    incognito: bool = False
    history: tuple[ChatMessage, ...] = ()

    @property
    def documents(self) -> list[str]:
        """The ids of the stored documents that the question is about."""
        return [material.document_id for material in self.materials if material.document_id is not None]


def accept(
    store: Callable[[], MemoryStore],
    message: str,
    *,
    conversation_id: str | None,
    documents: Sequence[MaterialSource] | None,
    context: str | None,
    history: tuple[ChatMessage, ...],
    user: str,
    parent_id: str | None,
    question_id: str | None,
    incognito: bool,
) -> Turn:
    """Accept a question; see :meth:`rlm_core.RLMEngine.begin`. Blocks while files are read and the store commits."""
    if not message.strip():
        raise MaterialError("The message is empty.")
    if documents is None and conversation_id is not None:
        documents = _documents_before(store(), conversation_id, question_id)
    materials = resolve(documents or (), store, user=user, files_by_name=conversation_id is None)
    if context is not None:
        materials.append(Material("context", context))
    if conversation_id is None or incognito:
        return Turn(
            message,
            question_id=new_id(),
            answer_id=new_id(),
            conversation_id=conversation_id,
            materials=tuple(materials),
            user=user,
            incognito=incognito,
            history=history,
        )
    return _commit(store(), message, conversation_id, materials, user, parent_id, question_id)


def _commit(
    store: MemoryStore,
    message: str,
    conversation_id: str,
    materials: Sequence[Material],
    user: str,
    parent_id: str | None,
    question_id: str | None,
) -> Turn:
    """Store the question (unless ``question_id`` names one that is there) and an empty answer that is growing."""
    stored_ids = [material.document_id for material in materials if material.document_id is not None]
    if question_id is None:
        question_id = store.add_message(
            conversation_id,
            "user",
            message,
            parent_id=parent_id,
            metadata={"documents": stored_ids},
            user=user,
        )
    answer_id = store.add_message(
        conversation_id, "assistant", "", parent_id=question_id, status="streaming", user=user
    )
    return Turn(message, question_id, answer_id, conversation_id, tuple(materials), user, stored=True)


def _documents_before(
    store: MemoryStore, conversation_id: str, question_id: str | None
) -> list[MaterialSource]:
    """The documents of the last question (or of the one that is asked again) that are still there."""
    said = store.messages(conversation_id)
    if question_id is not None:
        asked = store.message(question_id)
        said = [asked] if asked is not None else []
    for message in reversed(said):
        ids = message.metadata.get("documents") if message.role == "user" else None
        if isinstance(ids, list):
            return [str(i) for i in ids if store.document(str(i)) is not None]
    return []

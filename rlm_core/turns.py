"""A question that was accepted, and the place of its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlm_core.context import Material, MaterialSource, resolve
from rlm_core.errors import MaterialError
from rlm_core.request import MessageRequest
from rlm_core.run import new_id

if TYPE_CHECKING:
    from memory_store import MemoryStore


@dataclass(frozen=True)
class Turn:
    """An accepted request: its material has been read, and both its messages have ids. When ``request.stored``, the
    store has the question, and an empty answer that is growing."""

    request: MessageRequest
    question_id: str
    answer_id: str
    materials: tuple[Material, ...] = ()


def accept(request: MessageRequest, store: Callable[[], MemoryStore]) -> Turn:
    """Read the material and, if it is to be stored, commit the question. Blocks meanwhile; ``store`` opens the store
    when needed. Raises MaterialError for an empty message and for material that is not there."""
    if not request.message.strip():
        raise MaterialError("The message is empty.")
    documents = request.documents
    if documents is None and request.conversation_id is not None:
        documents = _documents_before(store(), request.conversation_id, request.question_id)
    materials = resolve(
        documents or (), store, user=request.user, files_by_name=request.conversation_id is None
    )
    if request.context is not None:
        materials.append(Material("context", request.context))
    if request.stored:
        return _commit(request, materials, store())
    return Turn(request, new_id(), new_id(), tuple(materials))


def _commit(request: MessageRequest, materials: Sequence[Material], store: MemoryStore) -> Turn:
    """Store the question (unless the request names one that is there) and the empty answer."""
    conversation_id, user = request.conversation_id, request.user
    assert conversation_id is not None
    question_id = request.question_id
    if question_id is None:
        question_id, answer_id = store.add_question(
            conversation_id,
            request.message,
            parent_id=request.parent_id,
            metadata={"documents": [m.document_id for m in materials if m.document_id is not None]},
            user=user,
        )
    else:
        answer_id = store.add_message(
            conversation_id, "assistant", "", parent_id=question_id, status="streaming", user=user
        )
    return Turn(request, question_id, answer_id, tuple(materials))


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

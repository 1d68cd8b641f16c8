"""What was said before: conversations, their messages, what the memory finds again, and saved traces."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from memory_store import Conversation, Message
from rlm_core.doors.house import House, NotHere, TheHouse, User
from rlm_core.doors.library import Count, SearchText
from rlm_core.doors.schemas import (
    ConversationChange,
    ConversationDetail,
    ConversationHitOut,
    ConversationHitsOut,
    ConversationOut,
    ConversationsOut,
    Deleted,
    Id,
    MessageOut,
    NewConversation,
    Problem,
    RecallOut,
    RecallsOut,
    TraceOut,
)
from rlm_core.events import Event, to_json
from rlm_core.export import official_log
from rlm_core.jobs import ConversationBusy

router = APIRouter()


@router.get("/conversations", tags=["conversations"])
def all_conversations(house: TheHouse, user: User) -> ConversationsOut:
    """Pinned first, then the latest change first."""
    found = house.store.conversations(user=user)
    return ConversationsOut(conversations=[_short(conversation) for conversation in found])


@router.post("/conversations", status_code=201, tags=["conversations"])
def begin(house: TheHouse, user: User, wish: NewConversation | None = None) -> ConversationOut:
    """An empty conversation. (`POST /chat` begins one by itself.)"""
    return _short(house.store.create_conversation(wish.title if wish is not None else "", user=user))


@router.get("/conversations/search", tags=["conversations"])
def search(q: SearchText, house: TheHouse, user: User, k: Count = 50) -> ConversationHitsOut:
    """Conversations with all these words in their title or in one message."""
    hits = house.store.search_conversations(q, user=user, limit=k)
    return ConversationHitsOut(
        hits=[
            ConversationHitOut(
                conversation=_short(hit.conversation), message_id=hit.message_id, snippet=hit.snippet
            )
            for hit in hits
        ]
    )


@router.get("/conversations/{conversation_id}", tags=["conversations"], responses={404: {"model": Problem}})
def one(conversation_id: Id, house: TheHouse, user: User) -> ConversationDetail:
    """One conversation with the messages of its shown path, oldest first."""
    conversation = house.conversation(conversation_id, user)
    return ConversationDetail(
        **_short(conversation).model_dump(),
        messages=[_message(message) for message in house.store.messages(conversation_id)],
    )


@router.patch("/conversations/{conversation_id}", tags=["conversations"], responses={404: {"model": Problem}})
def change(conversation_id: Id, wish: ConversationChange, house: TheHouse, user: User) -> ConversationOut:
    """Rename, pin or unpin."""
    house.conversation(conversation_id, user)
    if wish.title is not None:
        house.store.rename_conversation(conversation_id, wish.title)
    if wish.pinned is not None:
        house.store.pin_conversation(conversation_id, wish.pinned)
    return _short(house.conversation(conversation_id, user))


@router.delete(
    "/conversations/{conversation_id}",
    tags=["conversations"],
    responses={404: {"model": Problem}, 409: {"model": Problem}},
)
async def delete(conversation_id: Id, house: TheHouse, user: User) -> Deleted:
    """Remove a conversation with all its messages and traces from the disk and from the memory."""
    await asyncio.to_thread(house.conversation, conversation_id, user)
    if house.jobs.running(conversation_id) is not None:
        raise ConversationBusy("An answer is being made in this conversation. Stop it first.")
    await house.engine.forget_conversation(conversation_id)
    return Deleted(deleted=conversation_id)


@router.get("/memory/search", tags=["memory"])
def recall(q: SearchText, house: TheHouse, user: User, k: Count = 5) -> RecallsOut:
    """The past messages that have most to do with ``q``, best first."""
    return RecallsOut(
        memories=[
            RecallOut(
                message_id=hit.message_id,
                conversation_id=hit.conversation_id,
                role=hit.role,
                text=hit.text,
                created_at=hit.created_at,
                score=hit.score,
            )
            for hit in house.store.recall(q, k, user=user)
        ]
    )


@router.get("/traces/{message_id}", tags=["traces"], responses={404: {"model": Problem}})
def trace(message_id: Id, house: TheHouse, user: User) -> TraceOut:
    """All saved events of one answer."""
    events = _events(message_id, house, user)
    return TraceOut(message_id=message_id, events=[to_json(event) for event in events])


@router.get(
    "/traces/{message_id}/rlm",
    tags=["traces"],
    response_model=None,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, 404: {"model": Problem}},
)
def official_trace(message_id: Id, house: TheHouse, user: User) -> PlainTextResponse:
    """The same answer as a log for the visualizer of the official `rlm`: one JSON object a line."""
    return PlainTextResponse(official_log(_events(message_id, house, user)))


def _events(message_id: str, house: House, user: str) -> list[Event]:
    """Raises :class:`NotHere` when there is no such answer of this user, or no trace of it."""
    message = house.store.message(message_id)
    if message is None:
        raise NotHere(f"There is no answer '{message_id}'.")
    house.conversation(message.conversation_id, user)
    try:
        return house.engine.trace(message_id)
    except (FileNotFoundError, ValueError):
        raise NotHere(f"There is no readable trace of the message '{message_id}'.") from None


def _short(conversation: Conversation) -> ConversationOut:
    return ConversationOut(
        id=conversation.id,
        title=conversation.title,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        pinned=conversation.pinned,
    )


def _message(message: Message) -> MessageOut:
    metadata: dict[str, Any] = dict(message.metadata)
    return MessageOut(
        id=message.id,
        parent_id=message.parent_id,
        role=message.role,
        text=message.text,
        created_at=message.created_at,
        status=message.status,
        metadata=metadata,
    )

"""The shapes that go over the wire (DESIGN.md 4.6), described once for validation and for the OpenAPI page.

Times are seconds since the epoch, sizes are bytes unless a name says characters or tokens, offsets count characters.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from rlm_core.settings import Mode, StrategyName

LARGEST_MESSAGE = 4_000_000
LARGEST_CONTEXT = 200_000_000

Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:-]+$")]


class Problem(BaseModel):
    """What went wrong and what to do about it; ``field`` names the value that was not accepted."""

    detail: str
    field: str | None = None


class Wish(BaseModel):
    """A request's body: unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "The message is empty")
    return text


class ChatRequest(Wish):
    """``documents`` are ids of uploaded documents (left out: those of the conversation's last question);
    ``context`` is material that is not kept; ``model`` overrules the three roles for this message."""

    message: Annotated[str, Field(max_length=LARGEST_MESSAGE), AfterValidator(_not_blank)]
    conversation_id: Id | None = None
    documents: list[Id] | None = Field(default=None, max_length=1000)
    context: str | None = Field(default=None, max_length=LARGEST_CONTEXT)
    mode: Mode = "auto"
    strategy: StrategyName | None = None
    model: str | None = Field(default=None, min_length=1, max_length=300)
    stream: bool = False


class Complexity(BaseModel):
    """Why the message went the way it went. ``score`` and ``threshold`` lie in 0..1."""

    score: float
    threshold: float
    reasons: list[str]
    asked_model: bool


class CitationOut(BaseModel):
    """``[number]`` in the answer: characters ``start`` to ``end`` of the document's text."""

    number: int
    document: str
    document_id: str | None
    start: int
    end: int
    text: str
    place: str
    verified: bool | None


class UsageOut(BaseModel):
    """The cost of the message, all model calls of its tree together."""

    llm_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    seconds: float = 0.0
    iterations: int = 0
    by_model: dict[str, int] = {}


class ChatReply(BaseModel):
    """``route`` is ``direct`` or ``recursive`` (None when the message was stopped before it was decided). ``coverage`` says
    which passages were read, "" unless passages were read."""

    conversation_id: str | None
    message_id: str
    answer: str
    route: str | None
    strategy: str | None
    complexity: Complexity | None
    citations: list[CitationOut]
    coverage: str
    usage: UsageOut
    partial: bool
    reason: str | None
    error: str | None
    trace_id: str


class Stopped(BaseModel):
    message_id: str
    stopped: bool


class ModelOut(BaseModel):
    """``roles`` are those it plays by the settings; sizes in bytes, ``context_length`` in tokens."""

    name: str
    size: int | None
    context_length: int | None
    parameters: str | None
    quantization: str | None
    family: str | None
    loaded: bool
    vram: int | None
    roles: list[str]


class ModelsOut(BaseModel):
    backend: str
    models: list[ModelOut]
    roles: dict[str, str]


class BackendOut(BaseModel):
    name: str
    running: bool
    sentence: str
    version: str | None
    address: str | None


class LoadedModel(BaseModel):
    name: str
    vram: int | None
    context: int | None


class QueueOut(BaseModel):
    """``active`` answers are being made or wait; ``waiting`` of them wait for their turn."""

    active: int
    waiting: int


class MemoryOut(BaseModel):
    conversations: int
    messages: int
    documents: int
    pending: int
    embedder: str
    index: str
    problem: str | None


class StatusOut(BaseModel):
    version: str
    user: str
    backend: BackendOut
    choice: str
    models_loaded: list[LoadedModel]
    vram: int | None
    queue: QueueOut
    memory: MemoryOut | None


class SectionOut(BaseModel):
    kind: str
    label: str
    start: int
    end: int


class DocumentOut(BaseModel):
    id: str
    name: str
    kind: str
    size: int
    characters: int
    tokens_estimate: int
    status: str
    created_at: float


class DocumentDetail(DocumentOut):
    sections: list[SectionOut]


class DocumentsOut(BaseModel):
    documents: list[DocumentOut]


class TextOut(BaseModel):
    """Characters ``start`` to ``end`` of a document, which has ``characters`` of them."""

    document_id: str
    start: int
    end: int
    characters: int
    text: str


class PassageOut(BaseModel):
    document_id: str
    document_name: str
    start: int
    end: int
    text: str
    score: float
    place: str


class PassagesOut(BaseModel):
    passages: list[PassageOut]


class ConversationOut(BaseModel):
    id: str
    title: str
    created_at: float
    updated_at: float
    pinned: bool


class ConversationsOut(BaseModel):
    conversations: list[ConversationOut]


class MessageOut(BaseModel):
    """``status`` is complete, streaming, interrupted or failed. ``metadata`` of an answer: route, usage, citations."""

    id: str
    parent_id: str | None
    role: str
    text: str
    created_at: float
    status: str
    metadata: dict[str, Any]


class ConversationDetail(ConversationOut):
    messages: list[MessageOut]


class NewConversation(Wish):
    title: str = Field(default="", max_length=300)


class ConversationChange(Wish):
    title: str | None = Field(default=None, max_length=300)
    pinned: bool | None = None


class ConversationHitOut(BaseModel):
    conversation: ConversationOut
    message_id: str | None
    snippet: str


class ConversationHitsOut(BaseModel):
    hits: list[ConversationHitOut]


class RecallOut(BaseModel):
    message_id: str
    conversation_id: str
    role: str
    text: str
    created_at: float
    score: float


class RecallsOut(BaseModel):
    memories: list[RecallOut]


class Deleted(BaseModel):
    deleted: str


class TraceOut(BaseModel):
    message_id: str
    events: list[dict[str, Any]]

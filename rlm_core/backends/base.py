"""What the engine asks of a model server, and nothing more.

A backend knows nothing about RLMs, roles, budgets or events: it is given a model's name, messages and options, and
streams back pieces of text. All of them raise the errors of :mod:`rlm_core.errors`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class ChatMessage:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class ChatOptions:
    """How a reply is to be made.

    ``num_ctx`` (tokens) is the window and must be the same for every call of a model: changing it reloads the model.
    ``max_tokens`` bounds the reply. ``schema`` is a JSON schema the reply has to follow. ``think`` asks a thinking model
    to think (True), not to (False), or leaves it to the model (None). ``session`` names a growing conversation whose
    prefix the server should keep apart from other calls (its own KV slot, where the server has slots).
    """

    num_ctx: int
    temperature: float = 0.7
    max_tokens: int | None = None
    schema: dict[str, Any] | None = None
    stop: tuple[str, ...] = ()
    think: bool | None = None
    keep_alive: str = "30m"
    seed: int | None = None
    session: str | None = None


@dataclass(frozen=True)
class CallUsage:
    """Token counts as the server reports them; ``tokens_in`` includes ``tokens_cached``. Times in seconds."""

    tokens_in: int
    tokens_out: int
    tokens_cached: int = 0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    reply_seconds: float = 0.0


@dataclass(frozen=True)
class ChatChunk:
    """A piece of a reply. The last one of a reply carries ``finish_reason`` ("stop", "length") and, if the server counts, ``usage``."""

    text: str = ""
    thinking: str = ""
    finish_reason: str | None = None
    usage: CallUsage | None = None


_PARAMETERS = re.compile(r"([\d.]+)\s*([KMBT])", re.IGNORECASE)
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@dataclass(frozen=True)
class ModelInfo:
    """A model that the server has. Sizes in bytes, ``context_length`` in tokens; None means the server does not say."""

    name: str
    size: int | None = None
    digest: str | None = None
    context_length: int | None = None
    parameters: str | None = None
    quantization: str | None = None
    family: str | None = None
    capabilities: tuple[str, ...] = ()
    loaded: bool = False
    vram: int | None = None
    loaded_context: int | None = None

    @property
    def parameter_count(self) -> float:
        """8.2e9 for "8.2B"; infinite when the server does not say."""
        match = _PARAMETERS.search(self.parameters or "")
        return float(match[1]) * _UNITS[match[2].upper()] if match else float("inf")


@dataclass(frozen=True)
class BackendStatus:
    """``sentence`` says in words how the server is and, when it is not well, what to do."""

    name: str
    running: bool
    sentence: str
    version: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class PullProgress:
    """``completed`` of ``total`` bytes; both 0 while the server does not know."""

    status: str
    completed: int = 0
    total: int = 0


class Backend(Protocol):
    """A model server. Methods may be called from several tasks at once; all raise :class:`rlm_core.errors.BackendError`."""

    @property
    def name(self) -> str:
        """``ollama``, ``openai`` or ``embedded``."""

    async def status(self) -> BackendStatus:
        """Never raises: a server that does not answer is a status too."""

    async def models(self) -> list[ModelInfo]:
        """The installed models, with what is loaded right now."""

    async def model(self, name: str) -> ModelInfo:
        """One model in full. Raises ModelMissing."""

    def chat(
        self, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncIterator[ChatChunk]:
        """Stream one reply. Closing the iterator, or cancelling the task that reads it, stops the server's work."""

    async def load(self, model: str, options: ChatOptions) -> None:
        """Bring a model into memory ahead of its first call."""

    async def unload(self, model: str) -> None:
        """Give the model's memory back."""

    def pull(self, model: str) -> AsyncIterator[PullProgress]:
        """Download a model. Closing the iterator stops the download; a later pull resumes it."""

    async def delete(self, model: str) -> None:
        """Remove a model from disk."""

    async def close(self) -> None:
        """Give back connections and child processes."""

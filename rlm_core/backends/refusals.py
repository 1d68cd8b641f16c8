"""What a model server's refusal means, as one of our errors with a sentence that a user can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from rlm_core.backends.base import ChatMessage
from rlm_core.errors import BackendError, ModelMissing, OutOfMemory, PromptTooLong

_COUNTED = re.compile(r"request \((\d+) tokens\) exceeds the available context size \((\d+) tokens\)")
_MAXIMUM = re.compile(r"maximum context length (?:is|of) (\d+)", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"exceed_context_size|context_length_exceeded|longer than the context length|maximum context length|"
    r"exceeds? the (?:available |maximum )?(?:context|model length)|larger than the max context size|"
    r"input length exceeds|prompt is too long",
    re.IGNORECASE,
)
_MEMORY = re.compile(
    r"out of memory|requires more system memory|insufficient memory|(?:unable|failed) to allocate|cudaMalloc",
    re.IGNORECASE,
)
_MISSING = re.compile(r"model\b.*\b(?:not found|does not exist|not available)", re.IGNORECASE)

SHORTER = "Ask about a smaller part, or raise num_ctx in Settings."


def error_text(body: str) -> str:
    """The message inside an error body: JSON, JSON in a string inside JSON, or plain text."""
    value: object = body.strip()
    for _ in range(5):
        if isinstance(value, dict):
            value = value.get("error") or value.get("message") or value.get("detail") or json.dumps(value)
        elif isinstance(value, str) and value.startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                break
        else:
            break
    return str(value)


def refusal(
    server: str,
    status: int,
    message: str,
    *,
    model: str,
    window: int,
    messages: Sequence[ChatMessage] = (),
    missing: str,
) -> BackendError:
    """The error for an answer of HTTP ``status`` (0: an error line in a stream) with this ``message``.

    ``window`` is the window in tokens that the call asked for, ``missing`` the remedy for a model that is not there.
    """
    if counted := _COUNTED.search(message):
        return PromptTooLong(int(counted[1]), int(counted[2]), SHORTER)
    if _TOO_LONG.search(message):
        stated = _MAXIMUM.search(message)
        limit = int(stated[1]) if stated else window
        guess = sum(len(each.content) for each in messages) // 4
        return PromptTooLong(max(guess, limit + 1), limit, SHORTER)
    if _MEMORY.search(message):
        return OutOfMemory(
            f"The model '{model}' does not fit into memory: {message}. "
            "Choose a smaller model, lower num_ctx in Settings, or close programs that use the graphics card."
        )
    if status == 404 or _MISSING.search(message):
        return ModelMissing(model, missing)
    said = f"answered with error {status}" if status else "reported an error"
    return BackendError(f"{server} {said} for the model '{model}': {message or 'it gave no reason'}.")

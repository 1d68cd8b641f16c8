"""A conversation as a file to keep."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from memory_store.records import Conversation, Message
from ui.answer_text import citations_of

FORMAT = "localrlm-conversation-1"


def as_markdown(conversation: Conversation, messages: Sequence[Message]) -> str:
    """The shown path, with the sources under each answer."""
    parts = [f"# {conversation.title or 'Conversation'}", f"*{_date(conversation.created_at)}*"]
    for message in messages:
        who = "You" if message.role == "user" else "LocalRLM"
        parts.append(f"## {who}\n\n{message.text.strip()}")
        sources = [
            f"[{item.number}] {item.document}{f', {item.place}' if item.place else ''}: “{' '.join(item.text.split())[:200]}”"
            for item in citations_of(message.metadata)
        ]
        if sources:
            parts.append("Sources:\n\n" + "\n".join(f"- {source}" for source in sources))
        if message.status == "interrupted" or message.metadata.get("partial"):
            parts.append("*(This answer is not complete.)*")
    return "\n\n".join(parts) + "\n"


def as_json(conversation: Conversation, messages: Sequence[Message]) -> str:
    """The shown path with everything that is known about each message."""
    values = {
        "format": FORMAT,
        "id": conversation.id,
        "title": conversation.title,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "messages": [
            {
                "id": message.id,
                "parent_id": message.parent_id,
                "role": message.role,
                "text": message.text,
                "created_at": message.created_at,
                "status": message.status,
                "metadata": message.metadata,
            }
            for message in messages
        ],
    }
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def file_name(conversation: Conversation, ending: str) -> str:
    """A name that every file system takes: ``budget-of-the-roof.md``."""
    words = re.sub(r"[^a-z0-9]+", "-", conversation.title.lower()).strip("-")[:60]
    return f"{words or 'conversation'}.{ending}"


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%d %B %Y, %H:%M")

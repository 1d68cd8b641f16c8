"""Conversations, long-term memory and documents of one installation, kept in one folder.

SQLite is the truth; the vector index (Chroma) and the keyword index (FTS5) are made from it and can be made again. This
package knows nothing about language models, prompts or pages: it stores what it is given and finds it again.

`import memory_store` is quick: torch, chromadb and pandas load when they are first needed, in the background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memory_store.embedding import Embedder
    from memory_store.errors import DocumentError, NotFound, StorageError, StoreError, StoreLocked
    from memory_store.records import (
        Added,
        Conversation,
        ConversationHit,
        Document,
        Message,
        Passage,
        Recall,
        Section,
        StoreStatus,
        Table,
    )
    from memory_store.store import ROOT, MemoryStore
    from memory_store.transfer import Imported

_HOME = {
    "MemoryStore": "store",
    "ROOT": "store",
    "Embedder": "embedding",
    "StorageError": "errors",
    "StoreError": "errors",
    "StoreLocked": "errors",
    "NotFound": "errors",
    "DocumentError": "errors",
    "Added": "records",
    "Imported": "transfer",
    "Conversation": "records",
    "ConversationHit": "records",
    "Document": "records",
    "Message": "records",
    "Passage": "records",
    "Recall": "records",
    "Section": "records",
    "StoreStatus": "records",
    "Table": "records",
}

__all__ = [
    "ROOT",
    "Added",
    "Conversation",
    "ConversationHit",
    "Document",
    "DocumentError",
    "Embedder",
    "Imported",
    "MemoryStore",
    "Message",
    "NotFound",
    "Passage",
    "Recall",
    "Section",
    "StorageError",
    "StoreError",
    "StoreLocked",
    "StoreStatus",
    "Table",
]


def __getattr__(name: str) -> object:
    import importlib

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

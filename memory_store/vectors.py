"""The vector index: Chroma, one collection for each user and kind of item. It can be thrown away and made again.

Chroma's own files are not crash-safe (a kill while it writes its HNSW files can make a collection unreadable), so it holds
nothing but numbers that SQLite has too: ids and vectors, no text. A damaged index is replaced by a new folder.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from memory_store.errors import StoreError

if TYPE_CHECKING:
    from memory_store.embedding import Vectors

log = logging.getLogger(__name__)

_BATCH = 1000  # Chroma refuses more than 5,461 at once, and a server has to reply in time
_SECONDS = 10.0  # to wait for a reply of a server
_STEP = 64  # vectors at once into a local index, which lets no other thread run meanwhile (50 to 100 ms)
# At every addition Chroma goes through all it has logged since it last wrote its files; these writes are what a kill can tear.
_SYNC_THRESHOLD = 2000


class IndexDamaged(Exception):
    """The index does not hold what it was given, or cannot be read."""


def check_server(url: str) -> None:
    """Raises StoreError with one sentence when no Chroma server answers at this address."""
    import httpx

    host, port, tls = _address(url)
    place = f"[{host}]" if ":" in host else host
    try:
        httpx.get(
            f"http{'s' * tls}://{place}:{port}/api/v2/heartbeat", timeout=5, trust_env=False
        ).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StoreError(
            f"No Chroma server answers at {url} ({type(error).__name__}). Start it there with `chroma run --port {port}`, or "
            "leave this empty to keep the index on this computer."
        ) from error


def _address(url: str) -> tuple[str, int, bool]:
    """Host, port and whether over TLS. Raises StoreError."""
    try:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts.hostname, parts.port or (443 if tls else 8000), tls
    except ValueError:  # such a port or such brackets there cannot be
        pass
    raise StoreError(f"{url!r} is not the address of a server. One looks like http://192.168.1.20:8000.")


class ChromaIndex:
    """Vectors of items known by number. Every method may raise IndexDamaged; then call `begin_again`."""

    def __init__(self, folder: Path, model: str, url: str | None) -> None:
        """`folder` holds the generations of the local index; with `url` a Chroma server keeps it instead."""
        self._folder, self._model, self._url = folder, model, url
        self.far_away = url is not None
        self._collections: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._client: Any = None
        self._prefix = "localrlm-"

    def open(self) -> None:
        """Open the current generation, or begin the first one. Raises StoreError when no server answers."""
        if self._url is not None:
            check_server(self._url)
            self._prefix = f"localrlm-{self._installation()}-"
        self._client = self._connect(self._generation())

    def add(self, kind: str, user: str, seqs: Sequence[int], vectors: Vectors) -> None:
        with _damage():
            collection = self._collection(kind, user, int(vectors.shape[1]))
            step = _STEP if self._url is None else _BATCH
            for first in range(0, len(seqs), step):
                part = slice(first, first + step)
                collection.upsert(ids=[str(seq) for seq in seqs[part]], embeddings=vectors[part])

    def delete(self, kind: str, user: str, seqs: Sequence[int]) -> None:
        """Unknown numbers are ignored."""
        with _damage():
            collection = self._collection(kind, user, None)
            for first in range(0, len(seqs), _BATCH):
                if collection is not None:
                    collection.delete(ids=[str(seq) for seq in seqs[first : first + _BATCH]])

    def nearest(self, kind: str, user: str, vector: Vectors, count: int) -> list[int]:
        """The items closest to the vector (cosine), best first."""
        with _damage():
            collection = self._collection(kind, user, None)
            if collection is None or not collection.count():
                return []
            found = collection.query(
                query_embeddings=[vector], n_results=min(count, collection.count()), include=[]
            )
            return [int(item) for item in found["ids"][0]]

    def holds(self, kind: str, user: str) -> set[int]:
        with _damage():
            collection = self._collection(kind, user, None)
            return set() if collection is None else {int(item) for item in collection.get(include=[])["ids"]}

    def begin_again(self) -> None:
        """Throw everything away and start an empty generation; fill it with `add`."""
        with self._lock:
            self._collections.clear()
        if self._url is not None:
            with _damage():
                for collection in self._client.list_collections():
                    if collection.name.startswith(self._prefix):
                        self._client.delete_collection(collection.name)
            return
        old = self._generation()
        self.close()
        self._client = self._connect(old + 1)
        (self._folder / "current.new").write_text(str(old + 1), "ascii")
        (self._folder / "current.new").replace(self._folder / "current")
        for leftover in self._folder.glob("generation-*"):
            if leftover.name != f"generation-{old + 1}":
                shutil.rmtree(
                    leftover, ignore_errors=True
                )  # on Windows a file may still be open: next time then

    def erase(self) -> None:
        """Delete all vectors where they are kept; `open` begins anew. Raises StoreError when a server does not answer."""
        if self._url is None:
            self.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        self.open()
        self.begin_again()
        self.close()

    def close(self) -> None:
        with self._lock:
            self._collections.clear()
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _installation(self) -> str:
        """What tells our collections from those of another LocalRLM on the same server; kept beside the local index."""
        file = self._folder.with_name(f"{self._folder.name}-id")
        try:
            return file.read_text("ascii")
        except FileNotFoundError:
            file.write_text(secrets.token_hex(6), "ascii")
            return file.read_text("ascii")

    def _generation(self) -> int:
        try:
            return int((self._folder / "current").read_text("ascii"))
        except (OSError, ValueError):
            return 0

    def _connect(self, generation: int) -> Any:
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        with _damage():
            if self._url is not None:
                host, port, tls = _address(self._url)
                client = chromadb.HttpClient(host=host, port=port, ssl=tls, settings=settings)
                client._server._session.timeout = _SECONDS  # type: ignore[attr-defined]  # else for ever
                return client
            path = self._folder / f"generation-{generation}"
            path.mkdir(parents=True, exist_ok=True)
            return chromadb.PersistentClient(str(path), settings=settings)

    def _collection(self, kind: str, user: str, dimension: int | None) -> Any:
        """Made when first added to; None when asked for before that."""
        # One collection a user: no filter that could be forgotten stands between two users.
        name = f"{self._prefix}{kind}-{hashlib.sha256(user.encode()).hexdigest()[:24]}"
        with self._lock:
            if name in self._collections:
                return self._collections[name]
            known = {collection.name for collection in self._client.list_collections()}
            if name in known:
                collection = self._client.get_collection(name, embedding_function=None)
                if (collection.metadata or {}).get("model") != self._model:
                    raise IndexDamaged(f"collection {name} holds vectors of {collection.metadata}")
            elif dimension is None:
                return None
            else:
                collection = self._client.create_collection(
                    name,
                    embedding_function=None,  # else Chroma would download a model
                    configuration={
                        "hnsw": {"space": "cosine", "ef_search": 200, "sync_threshold": _SYNC_THRESHOLD}
                    },
                    metadata={"model": self._model, "dimension": dimension},
                )
            self._collections[name] = collection
            return collection


class _damage:
    """Everything Chroma raises (InternalError, Rust panics, SQLite errors, HTTP errors) becomes IndexDamaged."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, IndexDamaged | KeyboardInterrupt | SystemExit | GeneratorExit):
            return
        raise IndexDamaged(f"{type(error).__name__}: {str(error)[:300]}") from error

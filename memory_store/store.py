"""`MemoryStore`: the one door to conversations, long-term memory and documents. It wires the parts and decides little."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from memory_store import transfer
from memory_store.choosing import choose
from memory_store.conversations import Conversations, clean
from memory_store.database import Database
from memory_store.documents import Progress, Shelf, files_below
from memory_store.embedding import Embedder, estimate_tokens
from memory_store.errors import DocumentError, StoreError
from memory_store.indexer import Indexer
from memory_store.items import CHUNKS, MESSAGES
from memory_store.lock import FolderLock
from memory_store.messages import ROOT, Messages
from memory_store.moments import Moment
from memory_store.records import (
    Added,
    Conversation,
    ConversationHit,
    Document,
    Json,
    Message,
    Passage,
    Recall,
    StoreStatus,
    Table,
)
from memory_store.retrieval import (
    OF_MESSAGES,
    OF_PASSAGES,
    Rankings,
    message_scope,
    passage_scope,
    recall,
    search_passages,
)
from memory_store.scrubbing import Scrubber
from memory_store.transfer import Imported
from memory_store.vectors import check_server

__all__ = ["ROOT", "MemoryStore"]


class MemoryStore:
    """Everything the user made, in one folder. Safe from any thread; one process a folder.

    Whatever a writing method acknowledged by returning survives kill -9. Search by words sees it at once, search by
    meaning as soon as the background thread has embedded it. Every method may raise StorageError: the disk is full, say.
    What was stored stays, and the next call works again when the circumstances do.
    """

    def __init__(
        self,
        data_dir: str | Path,
        *,
        embedder: Embedder | str | None = "minilm",
        chroma_url: str | None = None,
        resume: bool = True,
        reader_tokens: Callable[[str], int] | None = None,
    ) -> None:
        """Open or create the folder. `embedder`: see `choosing.choose`. `chroma_url`: a Chroma server for the vectors.
        `reader_tokens` says how long a document is for whoever reads it; without it, the embedder's tokens are told.
        `resume` False: what the last process left to embed waits for `resume`, or for the first addition or question.

        Raises StoreLocked when another process has the folder open, StoreError when it cannot be used.
        """
        self.data_dir = Path(data_dir).resolve()
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The data folder {self.data_dir} cannot be made ({error.strerror}).") from error
        self._embedder, self._chroma_url = choose(embedder), chroma_url
        self._reader_tokens = reader_tokens
        self._lock = FolderLock(self.data_dir)
        try:
            self._db = Database(self.data_dir / "memory.sqlite3")
        except BaseException:
            self._lock.release()
            raise
        self._conversations = Conversations(self._db)
        self._messages = Messages(self._db)
        self._scrubber = Scrubber(self._db)
        self._changing = threading.Lock()  # held while one indexer takes the place of another, or none does
        self._closed = False
        self._shelf = self._new_shelf()
        self._indexer = self._new_indexer()
        if resume:
            self.resume()

    def resume(self) -> None:
        """Go on with what the last process left, in the background: embedding, and scrubbing what was deleted."""
        self._scrubber.resume()
        if self._indexer.pending():
            self._indexer.wake()

    def use_embedder(self, embedder: Embedder | str | None) -> None:
        """Search by meaning with another model from now on. What the last one embedded is embedded again in the
        background; `status` says how far it is, or why the model cannot be used. Search by words goes on meanwhile.
        A store that was closed in the meantime stays closed.
        """
        with self._changing:
            if self._closed:
                return
            self._embedder = choose(embedder)
            self._shelf = self._new_shelf()
            self._indexer.close()
            self._indexer = self._new_indexer()
            self._indexer.wake()

    def use_index(self, chroma_url: str | None) -> None:
        """Keep the vectors on this Chroma server from now on, or with None in the data folder. They are brought there in the
        background and deleted where they were; until then they are compared one by one. A store that was closed in the
        meantime stays closed.

        Raises StoreError when no Chroma server answers there; then nothing has changed.
        """
        if chroma_url is not None:
            check_server(chroma_url)
        with self._changing:
            if self._closed:
                return
            self._chroma_url = chroma_url
            self._indexer.close()
            self._indexer.erase()
            self._indexer = self._new_indexer()
            self._indexer.wake()

    def _new_shelf(self) -> Shelf:
        count = self._embedder.count_tokens if self._embedder else estimate_tokens
        return Shelf(self._db, count, self._reader_tokens)

    def _new_indexer(self) -> Indexer:
        return Indexer(self._db, self._embedder, self.data_dir / "index", self._chroma_url)

    # conversations

    def create_conversation(
        self, title: str = "", *, user: str = "local", conversation_id: str | None = None
    ) -> Conversation:
        """Raises StoreError when the id is taken."""
        return self._conversations.create(title, user, conversation_id)

    def conversations(self, *, user: str = "local") -> list[Conversation]:
        """Pinned first, then the latest change first."""
        return self._conversations.all(user)

    def conversation(self, conversation_id: str) -> Conversation | None:
        return self._conversations.get(conversation_id)

    def rename_conversation(self, conversation_id: str, title: str) -> None:
        """Raises NotFound."""
        self._conversations.set(conversation_id, "title", clean(title))

    def pin_conversation(self, conversation_id: str, pinned: bool = True) -> None:
        """Raises NotFound."""
        self._conversations.set(conversation_id, "pinned", int(pinned))

    def delete_conversation(self, conversation_id: str) -> None:
        """Remove it and its messages from the database, the indexes and the disk (see `scrubbing`). Raises NotFound."""
        home = self._conversations.get(conversation_id)
        with self._db.deletion():
            seqs = self._conversations.delete(conversation_id)
        self._scrubber.deleted()
        if home is not None:
            self._indexer.forget(MESSAGES, home.user, seqs)

    def search_conversations(
        self, text: str, *, user: str = "local", limit: int = 50
    ) -> list[ConversationHit]:
        """Conversations with all these words in their title or in one message; the last word may be unfinished."""
        return self._conversations.search(clean(text), user, limit)

    # messages

    def add_message(
        self,
        conversation_id: str,
        role: str,
        text: str,
        created_at: Moment | None = None,
        *,
        parent_id: str | None = None,
        status: str = "complete",
        metadata: Mapping[str, Json] | None = None,
        user: str = "local",
    ) -> str:
        """Store one message and return its id; it is on the disk when this returns.

        An unknown conversation is created. `parent_id` None: after the last message of the shown path; ROOT: another
        version of the first message; otherwise a version below that message, which is shown from now on. `created_at`:
        seconds since the epoch or a date as text, None for now. Raises NotFound for an unknown parent, ValueError for an
        unknown status or date, StoreError when the conversation belongs to another user.
        """
        new = self._messages.add(
            conversation_id, role, text, created_at, parent_id, status, metadata or {}, user
        )
        if status != "streaming":
            self._indexer.wake()
        return new

    def add_question(
        self,
        conversation_id: str,
        text: str,
        *,
        parent_id: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        user: str = "local",
    ) -> tuple[str, str]:
        """Store a question and, below it, the empty answer that is going to grow; returns their ids. Both are on the disk,
        in one commit, when this returns. A conversation without a title is named after it. The question is embedded once the
        answer is there: somebody is waiting now.

        Raises as :meth:`add_message`.
        """
        return self._messages.ask(conversation_id, text, parent_id, metadata or {}, user)

    def update_message(
        self,
        message_id: str,
        *,
        text: str | None = None,
        status: str | None = None,
        metadata: Mapping[str, Json] | None = None,
    ) -> None:
        """Change what is given; `metadata` is merged key by key. A streaming message is indexed once it is not any more.

        Raises NotFound, or ValueError for an unknown status.
        """
        if self._messages.update(message_id, text, status, metadata):
            self._indexer.wake()

    def delete_message(self, message_id: str) -> None:
        """Remove one message from the database, the indexes and the disk (see `scrubbing`); what follows it now follows its
        parent. Raises NotFound.
        """
        with self._db.deletion():
            seq, user = self._messages.delete(message_id)
        self._scrubber.deleted()
        self._indexer.forget(MESSAGES, user, [seq])
        self._indexer.wake()

    def message(self, message_id: str) -> Message | None:
        return self._messages.get(message_id)

    def messages(self, conversation_id: str) -> list[Message]:
        """The shown path, oldest first; empty for an unknown conversation."""
        return self._messages.path(conversation_id)

    def message_ids(self, conversation_id: str) -> list[str]:
        """The ids of all messages of a conversation, also of the versions that are not shown."""
        return self._messages.ids(conversation_id)

    def siblings(self, message_id: str) -> list[Message]:
        """All versions of this message, itself included, oldest first. Raises NotFound."""
        return self._messages.siblings(message_id)

    def select_version(self, message_id: str) -> None:
        """Show this version and the path below it. Raises NotFound."""
        self._messages.select_version(message_id)

    def fork_conversation(self, message_id: str) -> Conversation:
        """A new conversation with copies of everything up to and including this message. Raises NotFound."""
        fork = self._messages.fork(message_id)
        self._indexer.wake()
        return fork

    def mark_interrupted(self) -> int:
        """Call at start: what the last process was still writing becomes `interrupted`; returns how many."""
        return self._messages.mark_interrupted()

    def recall(
        self,
        query: str,
        k: int = 5,
        conversation_id: str | None = None,
        *,
        user: str = "local",
        exclude: Collection[str] = (),
        neighbours: int = 0,
        since: Moment | None = None,
        until: Moment | None = None,
        speaker: str | None = None,
        rankings: Rankings = OF_MESSAGES,
    ) -> list[Recall]:
        """The `k` (at most 100) messages that have most to do with the query, best first.

        `exclude`: ids of messages that are in the prompt anyway. `neighbours`: how many messages before and after each
        hit to return with it. `since`, `until`: as in `add_message`. `speaker`: a role, or the name before the colon.
        `rankings`: how much words and meaning count.
        """
        scope = message_scope(user, conversation_id, exclude, since, until, speaker)
        nearest = self._indexer.nearest
        return recall(
            self._db, lambda *ask: nearest(MESSAGES, *ask), clean(query), k, scope, neighbours, rankings
        )

    def expect(self, query: str) -> None:
        """A recall or a search with these very words comes soon: do now what does not depend on what is stored.

        Takes as long as embedding one text; call it in a thread, beside other work."""
        self._indexer.expect(clean(query))

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything is embedded (or cannot be: see `status`). `timeout` in seconds raises TimeoutError."""
        self._indexer.flush(timeout)

    # documents

    def add_document(
        self, name: str, data: bytes | Path, *, user: str = "local", progress: Progress | None = None
    ) -> Document:
        """Read a file and store its text; it can be searched by words when this returns.

        The same bytes again return the document that is there. `progress` gets a sentence and a share of 1.
        Raises DocumentError with one sentence; nothing is stored then.
        """
        document = self._shelf.add(name, data, user, progress)
        self._indexer.wake()
        return document

    def add_files(
        self, paths: Iterable[Path], *, user: str = "local", progress: Progress | None = None
    ) -> list[Added]:
        """Add files and whole folders (hidden ones are left out), one after the other; a failing file fails alone."""
        added = []
        for name, path in files_below(paths):
            try:
                added.append(Added(name, self.add_document(name, path, user=user, progress=progress), None))
            except DocumentError as error:
                added.append(Added(name, None, str(error)))
        return added

    def documents(self, *, user: str = "local") -> list[Document]:
        """Newest first. Their texts are not loaded."""
        return self._shelf.all(user)

    def document(self, document_id: str) -> Document | None:
        return self._shelf.get(document_id)

    def delete_document(self, document_id: str) -> None:
        """Remove it from the database, the indexes and the disk (see `scrubbing`). Raises NotFound."""
        document = self._shelf.get(document_id)
        with self._db.deletion():
            seqs = self._shelf.delete(document_id)
        self._scrubber.deleted()
        if document is not None:
            self._indexer.forget(CHUNKS, document.user, seqs)

    def search_documents(
        self,
        query: str,
        k: int = 8,
        document_ids: Collection[str] | None = None,
        *,
        user: str = "local",
        rankings: Rankings = OF_PASSAGES,
    ) -> list[Passage]:
        """The `k` (at most 100) passages that have most to do with the query, best first. `document_ids` None: all of the user's."""
        scope = passage_scope(user, document_ids)
        nearest = self._indexer.nearest
        return search_passages(
            self._db, lambda *ask: nearest(CHUNKS, *ask), self.place, clean(query), k, scope, rankings
        )

    def place(self, document_id: str, offset: int) -> str:
        """Where this offset lies: `page 12`, `sheet Orders, row 7`, a heading, `line 120`. Raises NotFound."""
        return self._shelf.place(document_id, offset)

    def tables(self, document_ids: Collection[str]) -> list[Table]:
        """The tables of these documents, typed, for SQL."""
        return self._shelf.tables(document_ids)

    # the whole store

    def status(self) -> StoreStatus:
        """Counts and states, over all users."""

        def count(table: str) -> int:
            with self._db.read() as sql:
                return int(sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

        return StoreStatus(
            data_dir=self.data_dir,
            conversations=count("conversations"),
            messages=count("messages"),
            documents=count("documents"),
            chunks=count("chunks"),
            pending=self._indexer.pending(),
            embedder=self._indexer.model_state,
            index=self._indexer.index_state,
            bytes_on_disk=_bytes_below(self.data_dir),
            problem=self._indexer.problem,
        )

    def export_all(self, path: str | Path) -> None:
        """Write everything of all users into one file. Raises StoreError when it cannot be written."""
        transfer.export_all(self._db, Path(path))

    def import_all(self, path: str | Path) -> Imported:
        """Add what an export holds and this store does not, all or nothing. Raises StoreError when it is no export."""
        imported = transfer.import_all(self._db, self._shelf, Path(path))
        self._indexer.wake()
        return imported

    def erase_all(self) -> None:
        """Delete everything of all users, here and on the disk. There is no way back. Raises StorageError, and deletes nothing,
        when that is not possible."""
        with self._changing:
            self._db.check_open()
            self._indexer.close()
            self._indexer.erase()
            try:
                self._db.erase()
                self._scrubber.now()
            finally:
                self._indexer = self._new_indexer()

    def close(self) -> None:
        """Stop the background work and give the folder free. What is not embedded yet continues at the next start."""
        with self._changing:
            if self._closed:
                return
            self._closed = True
            self._scrubber.close()
            self._indexer.close()
            self._db.close()
            self._lock.release()

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _bytes_below(folder: Path) -> int:
    """Of all files that are there: traces, exports and generations of the index come and go meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(place, name)).st_size
    return total

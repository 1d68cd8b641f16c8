"""The work in the background: embed what was added, keep the vector index in step, answer questions by meaning.

One thread does all writing to the vector index. Questions are answered in the caller's thread and never wait for a model
that is still loading: until then, and whenever something here fails, recall goes by words alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from memory_store.database import Database
from memory_store.embedding import Embedder, EmbedderError, Turns
from memory_store.errors import StorageError, StoreError
from memory_store.items import CHUNKS, MESSAGES, Kind, compare_all, size_up_to, users_of, vectors_of
from memory_store.retrieval import Scope
from memory_store.vectors import ChromaIndex, IndexDamaged

if TYPE_CHECKING:
    from memory_store.embedding import Vectors

log = logging.getLogger(__name__)

_FETCH = 256  # items a round: sorted by length together, committed together
_STEP = 16  # items the model gets at once: the longest a question waits for
_EXACT = 5000  # as many vectors are compared one by one, which is exact and takes about 10 ms
_SAMPLES, _SAMPLE_DEPTH = (
    5,
    20,
)  # vectors looked up at start to see whether the index works, and how many hits each
_ASKED = 16  # questions whose vectors are kept: one question is searched for in several places
_RETRY = 30.0  # seconds before a model that failed is tried again, when there is new work
# One item costs the index almost as much as thirty together, so work waits until so many seconds nothing more has come:
_QUIET, _QUIET_AT_MOST = 0.5, 5.0
_PATIENCE = 2.0  # seconds that closing waits for vectors in the making, which are kept then


class _Abandoned(Exception):
    """The store was closed while this thread was in the model: it must not touch database or index any more."""


class Indexer:
    """Starts its thread when there is first something to do. `close` stops it at the next step."""

    def __init__(
        self, database: Database, embedder: Embedder | None, folder: Path, chroma_url: str | None
    ) -> None:
        self._db, self._embedder = database, embedder
        self._index = ChromaIndex(folder, embedder.name if embedder else "", chroma_url)
        self._turns = Turns()
        self._asked: dict[str, Vectors] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._work = self._hurry = False
        self._idle = True
        self._closing = self._abandoned = self._ended = False
        self._in_model: Literal["", "loading", "embedding"] = ""
        self._again = 0  # items that had a vector of another model when this one was loaded
        self._model_ready = False
        self._index_ready = False
        self._model_failed_at = self._index_failed_at = float("-inf")
        self._problems: dict[str, str] = {}  # what is wrong now, by part
        self.model_state = "off: recall by words only" if embedder is None else "not loaded yet"
        self.index_state = "off" if embedder is None else "not opened yet"

    # for the store

    @property
    def problem(self) -> str | None:
        """What is wrong now, in sentences; None when all is well."""
        return " ".join(self._problems.values()) or None

    def wake(self, *, hurry: bool = False) -> None:
        """There may be something to embed, or somebody will soon ask by meaning. `hurry`: somebody waits for it."""
        if self._embedder is None:
            return
        with self._change:
            if self._closing:
                return
            self._work, self._idle = True, False
            self._hurry |= hurry
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="memory-indexer", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def flush(self, timeout: float | None) -> None:
        """Wait until everything is embedded and in the index, or cannot be. Raises TimeoutError."""
        self._model_failed_at = self._index_failed_at = float("-inf")
        self.wake(hurry=True)
        with self._change:
            if not self._change.wait_for(lambda: self._idle or self._closing, timeout):
                raise TimeoutError(f"{self.pending()} items were not embedded within {timeout:g} seconds.")

    def forget(self, kind: Kind, user: str, seqs: Sequence[int]) -> None:
        """Take deleted items out of the vector index. What it misses is found at the next start."""
        if not self._index_ready:
            return
        try:
            self._index.delete(kind.name, user, seqs)
        except IndexDamaged as error:
            self._mark_damaged(error)

    def pending(self) -> int:
        with self._db.read() as sql:
            return sum(
                int(sql.execute(f"SELECT count(*) FROM {kind.pending}").fetchone()[0])
                for kind in (MESSAGES, CHUNKS)
            )

    def index_holds(self) -> tuple[int, int]:
        """How many messages and passages the vector index has, over all users."""
        held = [
            sum(len(self._index.holds(kind.name, user)) for user in users_of(self._db, kind))
            for kind in (MESSAGES, CHUNKS)
        ]
        return held[0], held[1]

    def close(self) -> None:
        """Stop. A model that is being loaded (20 s of torch) or does not answer is not waited for."""
        with self._change:
            self._closing = True
            self._change.notify_all()
            if self._thread is not None:
                self._change.wait_for(lambda: self._ended or self._in_model == "loading", _PATIENCE)
                # a server that does not answer is not waited for either
                longest = _PATIENCE if self._index.far_away else None
                self._change.wait_for(lambda: self._ended or self._in_model, longest)
                self._abandoned = True
        self._index.close()

    def erase(self) -> None:
        """Delete all vectors of a closed indexer from its index."""
        try:
            self._index.erase()
        except (StoreError, IndexDamaged, ImportError) as error:
            log.warning("the vectors of the old index could not be deleted: %s", error)

    # asking

    def nearest(self, kind: Kind, question: str, scope: Scope, count: int) -> list[int]:
        """The items of the scope closest to the question, best first; empty while the model is not there."""
        if not self._model_ready:
            self.wake(hurry=True)
            return []
        vector = self._vector_of(question)
        if vector is None:
            return []
        assert self._embedder is not None
        if not scope.narrow or size_up_to(self._db, kind, scope, _EXACT + 1) > _EXACT:
            found = self._ask_index(kind, vector, scope, count)
            if found is not None:
                return found
        return compare_all(self._db, kind, scope, self._embedder.name, vector, count)

    def expect(self, question: str) -> None:
        """This will soon be asked: make its vector meanwhile. Takes as long as that takes."""
        if self._model_ready:
            self._vector_of(question)

    def _vector_of(self, question: str) -> Vectors | None:
        """None when it cannot be made."""
        assert self._embedder is not None
        if not question.strip():
            return None
        known = self._asked.get(question)
        if known is not None:
            return known
        try:
            with self._turns.take(question=True):
                if question not in self._asked:  # somebody else may have asked the same meanwhile
                    self._asked[question] = self._embedder.embed([question])[0]
                    while len(self._asked) > _ASKED:
                        del self._asked[next(iter(self._asked))]
                return self._asked[question]
        except EmbedderError as error:
            log.warning("%s", error)
            return None

    def _ask_index(self, kind: Kind, vector: Vectors, scope: Scope, count: int) -> list[int] | None:
        if not self._index_ready:
            return None
        try:
            found = self._index.nearest(kind.name, scope.user, vector, count * 4 if scope.narrow else count)
        except IndexDamaged as error:
            self._mark_damaged(error)
            return None
        if not found:
            return []
        marks = ", ".join("?" * len(found))
        with self._db.read() as sql:
            allowed = {
                int(row[0])
                for row in sql.execute(
                    f"SELECT m.seq FROM {kind.source} WHERE m.seq IN ({marks}) AND {scope.condition}",
                    (*found, *scope.values),
                )
            }
        return [seq for seq in found if seq in allowed][:count]

    # the thread

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                try:
                    self._round()
                    self._problems.pop("work", None)
                except EmbedderError as error:
                    self._model_failed(error)
                except _Abandoned:
                    return
                except StorageError as error:
                    if self._abandoned:
                        return
                    self._problems["work"] = f"What is new is not found by meaning yet. {error}"
                    log.warning("indexing stopped: %s", error)
                except Exception as error:  # the thread must outlive anything: recall by words goes on
                    if self._abandoned:
                        return
                    self._problems["work"] = f"Indexing stopped ({type(error).__name__}: {error})."
                    log.exception("indexing stopped")
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _wait_for_work(self) -> bool:
        """False when it is time to end."""
        with self._change:
            while not self._work and not self._closing:
                self._idle, self._hurry = True, False
                self._change.notify_all()
                self._change.wait()
            latest = time.monotonic() + _QUIET_AT_MOST
            while self._work and not (self._hurry or self._closing) and time.monotonic() < latest:
                self._work = False
                self._change.wait(_QUIET)
            self._work = False
            return not self._closing

    @contextmanager
    def _model(self, doing: Literal["loading", "embedding"]) -> Iterator[None]:
        """What happens inside touches neither database nor index, so that `close` need not wait for it."""
        with self._change:
            self._in_model = doing
            self._change.notify_all()
        try:
            yield
        finally:
            with self._change:
                self._in_model = ""
                if self._abandoned:
                    raise _Abandoned

    def _round(self) -> None:
        if not self._model_ready and not self._load():
            return
        if not self._index_ready and time.monotonic() - self._index_failed_at > _RETRY:
            self._open_index()
        for kind in (MESSAGES, CHUNKS):
            while not self._closing and self._embed_some(kind):
                self._say_how_far()
        self._again = 0
        self._say_how_far()

    def _load(self) -> bool:
        if self._closing or time.monotonic() - self._model_failed_at < _RETRY:
            return False
        assert self._embedder is not None
        self.model_state = "loading"
        with self._model("loading"):
            self._embedder.load()
        self._ask_for_vectors_of_another_model()
        self._model_ready = True
        self._say_how_far()
        self._problems.pop("model", None)
        return True

    def _say_how_far(self) -> None:
        assert self._embedder is not None
        self.model_state = f"ready ({self._embedder.name})"
        if self._again and (left := self.pending()):
            done = max(0, self._again - left)
            self.model_state += (
                f", embedding again what another model had embedded: {done:,} of {self._again:,}"
            )

    def _model_failed(self, error: EmbedderError) -> None:
        log.warning("%s", error)
        self._model_ready, self._model_failed_at = False, time.monotonic()
        self.model_state, self._problems["model"] = "not available: recall by words only", str(error)

    def _ask_for_vectors_of_another_model(self) -> None:
        """Vectors of the model used before say nothing to this one: embed those items again."""
        assert self._embedder is not None
        self._again = 0
        with self._db.write() as sql:
            for kind in (MESSAGES, CHUNKS):
                sql.execute(
                    f"INSERT OR IGNORE INTO {kind.pending}(seq) SELECT seq FROM {kind.vectors} WHERE model != ?",
                    (self._embedder.name,),
                )
                others = f"SELECT count(*) FROM {kind.vectors} WHERE model != ?"
                self._again += int(sql.execute(others, (self._embedder.name,)).fetchone()[0])

    def _embed_some(self, kind: Kind) -> bool:
        """One round of pending items, oldest first; False when there are none left."""
        import numpy as np

        assert self._embedder is not None
        with self._db.read() as sql:
            rows = sql.execute(
                f"SELECT {kind.columns} FROM {kind.source} JOIN {kind.pending} p ON p.seq = m.seq ORDER BY p.seq LIMIT ?",
                (_FETCH,),
            ).fetchall()
        if not rows:
            return False
        rows.sort(key=lambda row: len(row["text"]))  # equal lengths together: little padding
        vectors: dict[int, Vectors] = {}
        for first in range(0, len(rows), _STEP):
            if self._closing:
                break
            step = rows[first : first + _STEP]
            with self._turns.take(question=False), self._model("embedding"):
                made = self._embedder.embed([kind.text(row) for row in step])
            vectors.update((int(row["seq"]), vector) for row, vector in zip(step, made, strict=True))
        with self._db.write() as sql:
            for row in rows:
                seq = int(row["seq"])
                # unless it was deleted or changed while it was embedded
                same = sql.execute(f"SELECT text FROM {kind.name}s WHERE seq = ?", (seq,)).fetchone()
                if seq in vectors and same is not None and same["text"] == row["text"]:
                    sql.execute(
                        f"INSERT OR REPLACE INTO {kind.vectors}(seq, model, vector) VALUES (?, ?, ?)",
                        (seq, self._embedder.name, vectors[seq].tobytes()),
                    )
                    sql.execute(f"DELETE FROM {kind.pending} WHERE seq = ?", (seq,))
                else:
                    vectors.pop(seq, None)
        if self._index_ready:
            try:
                for user in {str(row["user"]) for row in rows}:
                    seqs = [int(row["seq"]) for row in rows if row["user"] == user and row["seq"] in vectors]
                    if seqs:
                        self._index.add(kind.name, user, seqs, np.stack([vectors[seq] for seq in seqs]))
            except IndexDamaged as error:
                self._mark_damaged(error)
        return True

    def _mark_damaged(self, error: Exception) -> None:
        log.warning("the vector index is damaged and will be made again: %s", error)
        self._index_ready, self.index_state = False, "damaged: searching without it"
        self.wake()

    def _open_index(self) -> None:
        """Open the index and bring it in step with SQLite; make it again when it is damaged."""
        self.index_state = "opening"
        try:
            self._index.open()
            self._catch_up()
        except (ImportError, StoreError) as error:
            self._index_failed(error)
            return
        except IndexDamaged as error:
            log.warning("the vector index is made again: %s", error)
            try:
                self._index.begin_again()
                self._catch_up()
            except IndexDamaged as again:
                self._index_failed(again)
                return
        if not self._closing:
            self._index_ready, self.index_state = True, "ready (Chroma)"
            self._problems.pop("index", None)

    def _index_failed(self, error: Exception) -> None:
        log.warning("Chroma cannot be used: %s", error)
        self._index_failed_at = time.monotonic()
        self.index_state = "not available: comparing vectors one by one"
        self._problems["index"] = f"Chroma cannot be used ({error})."

    def _catch_up(self) -> None:
        import numpy as np

        assert self._embedder is not None
        for kind in (MESSAGES, CHUNKS):
            for user in users_of(self._db, kind):
                with self._db.read() as sql:
                    wanted = [
                        int(row[0])
                        for row in sql.execute(
                            f"""SELECT v.seq FROM {kind.source} JOIN {kind.vectors} v ON v.seq = m.seq
                                WHERE {kind.user} = ? AND v.model = ? ORDER BY v.seq""",
                            (user, self._embedder.name),
                        )
                    ]
                held = self._index.holds(kind.name, user)
                missing = [seq for seq in wanted if seq not in held]
                surplus = sorted(held.difference(wanted))
                if surplus:
                    self._index.delete(kind.name, user, surplus)
                for first in range(0, len(missing), 1000):
                    if self._closing:
                        return
                    if len(missing) > 1000:
                        self.index_state = f"being made again: {first:,} of {len(missing):,}"
                    part = missing[first : first + 1000]
                    vectors = vectors_of(self._db, kind, part)
                    if vectors:
                        self._index.add(kind.name, user, list(vectors), np.stack(list(vectors.values())))
                self._probe(kind, user, wanted)

    def _probe(self, kind: Kind, user: str, seqs: Sequence[int]) -> None:
        """Raise IndexDamaged when the index finds too little, or none of a few vectors by itself.

        One may well be missed: the search is approximate, and a thousand times "Thanks!" is a thousand equal vectors.
        """
        samples = vectors_of(self._db, kind, seqs[:: max(1, len(seqs) // _SAMPLES)])
        hits = 0
        for vector in samples.values():
            found = self._index.nearest(kind.name, user, vector, _SAMPLE_DEPTH)
            if len(found) < min(_SAMPLE_DEPTH, len(seqs)):
                raise IndexDamaged(f"it found {len(found)} of {len(seqs)} items")
            hits += any(float(vector @ other) > 0.999 for other in vectors_of(self._db, kind, found).values())
        if samples and not hits:
            raise IndexDamaged(f"none of {len(samples)} vectors is found by itself")

"""A Chroma server that accepts a connection and then says nothing holds nobody up: search goes on without it, and one sentence
says why."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from memory_store import MemoryStore, StoreError
from tests.memory.toy import WordHashes

OpenStore = Callable[..., MemoryStore]


class Server(ThreadingHTTPServer):
    """It says that it is alive, answers who asks for a tenant or a database, and is silent about all else; while ``mute``, about
    everything. Whoever waits is let go when it closes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mute, self.over = True, threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        known = {
            "heartbeat": {"nanosecond heartbeat": 1},
            "identity": {"user_id": "", "tenant": "default_tenant", "databases": ["default_database"]},
            "default_tenant": {"name": "default_tenant"},
            "default_database": {"id": "0" * 32, "name": "default_database", "tenant": "default_tenant"},
        }.get(self.path.rsplit("/", 1)[-1])
        if self.server.mute or known is None:
            self.server.over.wait()
            return
        body = json.dumps(known).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *values: object) -> None:
        """Not on the terminal."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("memory_store.vectors._SECONDS", 0.2)
    with Server() as silent:
        thread = threading.Thread(target=silent.serve_forever)
        thread.start()
        yield silent
        silent.over.set()
        silent.shutdown()
        thread.join()


@pytest.mark.parametrize("mute", [True, False])
def test_what_is_asked_and_stored_does_not_wait_for_it(
    mute: bool, server: Server, open_store: OpenStore
) -> None:
    server.mute = mute
    store = open_store(embedder=WordHashes(), chroma_url=server.url)
    store.add_message("c", "user", "the walrus sleeps")
    document = store.add_document("seal.txt", b"the seal swims")
    assert store.recall("walrus")[0].text == "the walrus sleeps"
    store.flush(60)
    assert store.recall("walrus")[0].text == "the walrus sleeps"
    assert store.search_documents("seal")[0].document_id == document.id
    status = store.status()
    assert status.index == "not available: comparing vectors one by one"
    assert status.problem is not None
    assert status.problem.count("Chroma cannot be used") == 1
    store.delete_conversation("c")
    store.close()


def test_a_silent_server_is_refused_or_can_be_left_again(server: Server, open_store: OpenStore) -> None:
    store = open_store(embedder=WordHashes())
    store.add_message("c", "user", "the walrus sleeps")
    store.flush(60)
    with pytest.raises(StoreError, match="No Chroma server answers"):
        store.use_index(server.url)
    assert store.status().index == "ready (Chroma)"
    server.mute = False
    store.use_index(server.url)
    store.flush(60)
    assert store.recall("walrus")[0].text == "the walrus sleeps"
    store.use_index(None)
    store.flush(60)
    assert (store.status().index, store.status().problem) == ("ready (Chroma)", None)

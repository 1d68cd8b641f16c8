"""Other embedding models and other places for the vectors: Ollama's protocol, a Chroma server."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from memory_store import MemoryStore, StoreError
from memory_store.choosing import choose
from memory_store.embedding import Turns
from memory_store.minilm import package_folder
from memory_store.vectors import check_server
from tests.memory.toy import WordHashes

OpenStore = Callable[..., MemoryStore]


class OllamaLike(BaseHTTPRequestHandler):
    """Answers `POST /api/embed` as Ollama does; model `missing` is not there."""

    asked: list[dict[str, object]]

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append(question)
        missing = question["model"] == "missing"
        reply = (
            {"error": 'model "missing" not found, try pulling it first'}
            if missing
            else {"embeddings": WordHashes().embed(question["input"]).tolist()}
        )
        body = json.dumps(reply).encode()
        self.send_response(404 if missing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def ollama() -> Iterator[str]:
    OllamaLike.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), OllamaLike)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_ollama_model_embeds_instead_of_the_bundled_one(open_store: OpenStore, ollama: str) -> None:
    store = open_store(embedder=f"ollama:nomic-embed-text@{ollama}")
    store.add_message("c", "user", "the walrus sleeps")
    store.flush()
    assert store.status().embedder == "ready (ollama:nomic-embed-text)"
    assert store.status().pending == 0
    assert store.recall("walrus", k=1)[0].text == "the walrus sleeps"
    assert {question["model"] for question in OllamaLike.asked} == {"nomic-embed-text"}


def test_an_ollama_model_that_is_not_pulled_is_named_with_the_command(
    open_store: OpenStore, ollama: str
) -> None:
    store = open_store(embedder=f"ollama:missing@{ollama}")
    store.add_message("c", "user", "the walrus sleeps")
    store.flush()
    problem = store.status().problem
    assert problem is not None
    assert "`ollama pull missing`" in problem
    assert store.recall("walrus")[0].text == "the walrus sleeps"


def test_an_ollama_that_does_not_run_is_named_and_tried_again_later(
    open_store: OpenStore, ollama: str
) -> None:
    port = free_port()
    store = open_store(embedder=f"ollama:nomic-embed-text@http://127.0.0.1:{port}")
    store.add_message("c", "user", "the walrus sleeps")
    store.flush()
    problem = store.status().problem
    assert problem is not None
    assert f"http://127.0.0.1:{port}" in problem
    OllamaLike.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", port), OllamaLike)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        store.flush()
        assert (store.status().problem, store.status().pending) == (None, 0)
    finally:
        server.shutdown()
        server.server_close()


def test_the_folder_of_a_model_can_be_chosen() -> None:
    folder = package_folder()
    chosen = choose(str(folder))
    assert chosen is not None
    assert chosen.name == f"local:{folder.resolve()}"
    assert list(chosen.count_tokens(["two words"])) == [2]


@contextmanager
def chroma_server(folder: Path) -> Iterator[str]:
    """A real Chroma server with its files in `folder`; its address."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--host", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--path", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder.parent,
    )
    try:
        url, give_up = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while time.monotonic() < give_up:
            try:
                check_server(url)
                break
            except StoreError:
                time.sleep(0.1)
        else:
            raise AssertionError("the Chroma server did not start")
        yield url
    finally:
        server.kill()
        server.wait()


def test_vectors_can_live_on_a_chroma_server_and_come_back_when_it_forgets(
    open_store: OpenStore, tmp_path: Path
) -> None:
    for folder in ("first", "second"):  # the second has never heard of the vectors
        with chroma_server(tmp_path / folder) as url:
            store = open_store(embedder=WordHashes(), chroma_url=url)
            store.add_message("c", "user", f"the walrus sleeps in the {folder} house")
            store.flush()
            assert (store.status().index, store.status().problem) == ("ready (Chroma)", None)
            assert store._indexer.index_holds()[0] == store.status().messages
            store.close()


def test_the_vectors_move_to_a_chroma_server_and_back_while_the_store_is_open(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(embedder=WordHashes())
    store.add_message("c", "user", "the walrus sleeps")
    store.flush()
    local = store.data_dir / "index"
    assert local.exists()
    with chroma_server(tmp_path / "server") as url:
        store.use_index(url)
        store.flush()
        assert (store.status().index, store.status().problem) == ("ready (Chroma)", None)
        assert store._indexer.index_holds() == (1, 0)
        assert not local.exists()
        on_server = store._indexer
        store.use_index(None)
        store.flush()
        assert store._indexer.index_holds() == (1, 0)
        assert local.exists()
        on_server._index.open()
        assert on_server.index_holds() == (0, 0)
        on_server._index.close()


def test_two_installations_share_a_chroma_server_and_leave_each_other_alone(tmp_path: Path) -> None:
    with chroma_server(tmp_path / "server") as url:
        here = MemoryStore(tmp_path / "here", embedder=WordHashes(), chroma_url=url)
        there = MemoryStore(tmp_path / "there", embedder=WordHashes(), chroma_url=url)
        here.add_message("c", "user", "the walrus sleeps")
        there.add_message("c", "user", "the badger digs")
        there.add_message("c", "user", "the otter swims")
        here.flush()
        there.flush()
        assert (here._indexer.index_holds(), there._indexer.index_holds()) == ((1, 0), (2, 0))
        here.erase_all()
        assert there._indexer.index_holds() == (2, 0)
        here.close()
        there.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "http://127.0.0.1:9",
            "No Chroma server answers at http://127.0.0.1:9 (ConnectError). Start it there",
        ),
        ("chroma.home", "'chroma.home' is not the address of a server. One looks like http"),
        ("http://[", "'http://[' is not the address of a server."),
        ("http://a:99999", "'http://a:99999' is not the address of a server."),
    ],
)
def test_an_address_without_a_chroma_server_is_refused_and_nothing_changes(
    open_store: OpenStore, url: str, sentence: str
) -> None:
    store = open_store(embedder=WordHashes())
    store.add_message("c", "user", "the walrus sleeps")
    with pytest.raises(StoreError, match=re.escape(sentence)):
        store.use_index(url)
    store.flush()
    assert store._indexer.index_holds() == (1, 0)


def test_a_question_passes_before_the_work_in_the_background() -> None:
    turns, order = Turns(), list[str]()
    inside, waiting = threading.Event(), threading.Event()

    def work(name: str) -> None:
        with turns.take(question=False):
            order.append(name)
            inside.set()
            waiting.wait(10)

    def ask() -> None:
        with turns.take(question=True):
            order.append("question")

    first = threading.Thread(target=work, args=("first",))
    first.start()
    inside.wait(10)
    second, question = threading.Thread(target=work, args=("second",)), threading.Thread(target=ask)
    second.start()
    question.start()
    while turns._questions == 0:
        time.sleep(0.001)
    waiting.set()
    for thread in (first, second, question):
        thread.join(10)
    assert order == ["first", "question", "second"]

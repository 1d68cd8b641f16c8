"""Other embedding models and other places for the vectors: Ollama's protocol, a Chroma server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from memory_store import MemoryStore
from memory_store.choosing import choose
from memory_store.embedding import Turns
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
    from memory_store.local_embedding import MiniLM

    folder = MiniLM()._folder
    chosen = choose(str(folder))
    assert chosen is not None
    assert chosen.name == f"local:{folder.resolve()}"
    assert list(chosen.count_tokens(["two words"])) == [2]


def test_vectors_can_live_on_a_chroma_server_and_come_back_when_it_forgets(
    open_store: OpenStore, tmp_path: Path
) -> None:
    port = free_port()
    program = Path(sys.executable).with_name("chroma")
    command = [str(program), "run", "--host", "127.0.0.1", "--port", str(port), "--path"]

    def serve(folder: str) -> subprocess.Popen[bytes]:
        server = subprocess.Popen(
            [*command, str(tmp_path / folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
        )
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            try:
                httpx.get(f"http://127.0.0.1:{port}/api/v2/heartbeat", trust_env=False).raise_for_status()
                return server
            except httpx.HTTPError:
                time.sleep(0.1)
        server.kill()
        raise AssertionError("the Chroma server did not start")

    for folder in ("first", "second"):  # the second has never heard of the vectors
        server = serve(folder)
        try:
            store = open_store(embedder=WordHashes(), chroma_url=f"http://127.0.0.1:{port}")
            store.add_message("c", "user", f"the walrus sleeps in the {folder} house")
            store.flush()
            assert (store.status().index, store.status().problem) == ("ready (Chroma)", None)
            assert store._indexer.index_holds()[0] == store.status().messages
            store.close()
        finally:
            server.kill()
            server.wait()
    shutil.rmtree(tmp_path / "first", ignore_errors=True)


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

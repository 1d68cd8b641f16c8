"""The HTTP client against a server that says exactly what a test wants, byte by byte."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import weakref
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from rlm_core.backends import http_client
from rlm_core.backends.http_client import BrokenOff, HttpClient, NotConnected, PerLoop, Silent

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """``heads`` are the request heads that came in, ``connections`` counts who came."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.closed = asyncio.Event()

    async def request(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        size = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0")
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(int(size.partition(":")[2])))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each answer in turn; an empty one closes the connection instead."""
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                await self.request(reader)
                answer = self.answers.pop(0)
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
                if b"until the end" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.closed.set()


def whole(body: bytes, status: str = "200 OK", extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status.encode(), extra, len(body), body)


@asynccontextmanager
async def serving(server: Server, serve: Answering | None = None) -> AsyncIterator[str]:
    listening = await asyncio.start_server(serve or server.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for writer in server.writers:
            writer.close()


async def test_one_connection_answers_call_after_call() -> None:
    server = Server(*[whole(b'{"n": %d}' % n) for n in range(4)])
    async with serving(server) as url:
        client = HttpClient(url, {"X-Key": "abc"})
        assert [(await client.ask("POST", "/api", {"n": n})).json() for n in range(4)] == [
            {"n": n} for n in range(4)
        ]
        await client.close()
    assert server.connections == 1
    assert server.heads[0].startswith("POST /api HTTP/1.1\r\n")
    assert "X-Key: abc\r\n" in server.heads[0]
    assert json.loads(server.bodies[3]) == {"n": 3}


async def test_many_calls_at_once_use_their_connections_again() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        server.writers.append(writer)
        try:
            while True:
                await server.request(reader)
                if len(server.bodies) % 40 == 0:
                    everybody.set()
                await everybody.wait()
                writer.write(whole(b"yes"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server, everybody = Server(), asyncio.Event()
    async with serving(server, echo) as url:
        client = HttpClient(url)
        for _ in range(2):
            everybody.clear()
            answers = await asyncio.gather(*(client.ask("POST", "/", n) for n in range(40)))
            assert {answer.text for answer in answers} == {"yes"}
        await client.close()
    assert server.connections == 40


async def test_chunks_are_put_together_and_an_interim_answer_is_passed_over() -> None:
    chunked = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    )
    server = Server(chunked, whole(b"again"))
    async with serving(server) as url:
        client = HttpClient(url)
        response = await client.send("GET", "/")
        assert response.headers["transfer-encoding"] == "chunked"
        assert await response.read() == b"hello world"
        assert (await client.ask("GET", "/")).text == "again"
        await client.close()
    assert server.connections == 1


async def test_an_answer_without_a_size_lasts_until_the_connection_ends() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", whole(b"new"))
    async with serving(server) as url:
        client = HttpClient(url)
        assert (await client.ask("GET", "/")).text == "until the end"
        assert (await client.ask("GET", "/")).text == "new"
        await client.close()
    assert server.connections == 2


async def test_a_server_that_closes_after_its_answer_gets_a_new_connection() -> None:
    server = Server(whole(b"one", extra=b"Connection: close\r\n"), whole(b"two"))
    async with serving(server) as url:
        client = HttpClient(url)
        assert (await client.ask("GET", "/")).text == "one"
        assert (await client.ask("GET", "/")).text == "two"
        await client.close()
    assert server.connections == 2


async def test_a_kept_connection_that_is_closed_when_the_next_request_comes_is_replaced() -> None:
    server = Server(whole(b"one"), b"", whole(b"two"))
    async with serving(server) as url:
        client = HttpClient(url)
        assert (await client.ask("GET", "/")).text == "one"
        assert (await client.ask("GET", "/")).text == "two"
        await client.close()
    assert (server.connections, len(server.heads)) == (2, 3)


async def test_a_new_connection_that_is_closed_before_the_answer_is_broken_off() -> None:
    server = Server(b"", b"")
    async with serving(server) as url:
        client = HttpClient(url)
        with pytest.raises(BrokenOff):
            await client.send("POST", "/")
        await client.close()
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nuntil the end\r\n",
        b"SSH-2.0 until the end\r\n",
    ],
)
async def test_half_an_answer_or_none_in_http_is_broken_off(answer: bytes) -> None:
    async with serving(Server(answer)) as url:
        client = HttpClient(url)
        with pytest.raises(BrokenOff):
            await client.ask("GET", "/")
        await client.close()


async def test_what_had_arrived_is_handed_over_before_the_break() -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nuntil the end")) as url:
        client = HttpClient(url)
        pieces = aiter(await client.send("GET", "/"))
        assert await anext(pieces) == b"until the end"
        with pytest.raises(BrokenOff):
            await anext(pieces)
        await client.close()


async def test_closing_a_response_in_the_middle_closes_its_connection() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", whole(b"next"))
    async with serving(server) as url:
        client = HttpClient(url)
        response = await client.send("GET", "/")
        assert await anext(aiter(response)) == b"half"
        response.close()
        await server.closed.wait()
        assert (await client.ask("GET", "/")).text == "next"
        await client.close()
    assert server.connections == 2


async def test_a_server_that_speaks_without_being_asked_is_left() -> None:
    server = Server(whole(b"one") + b"HTTP/1.1 408 Request Timeout\r\n\r\n", whole(b"two"))
    async with serving(server) as url:
        client = HttpClient(url)
        assert (await client.ask("GET", "/")).text == "one"
        await server.closed.wait()
        assert (await client.ask("GET", "/")).text == "two"
        await client.close()
    assert server.connections == 2


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "SILENCE_SECONDS", 0.05)
    async with serving(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as url:
        client = HttpClient(url)
        with pytest.raises(Silent):
            await client.ask("GET", "/")
        await client.close()


async def test_an_answer_that_takes_too_long_is_given_up() -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as url:
        client = HttpClient(url)
        with pytest.raises(Silent):
            await client.ask("GET", "/", seconds=0.05)
        await client.close()


async def test_a_connection_that_lay_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(whole(b"one"), whole(b"two"))
    async with serving(server) as url:
        monkeypatch.setattr(http_client, "KEPT_SECONDS", 0.0)
        client = HttpClient(url)
        await client.ask("GET", "/")
        await client.ask("GET", "/")
        await client.close()
    assert server.connections == 2


async def test_a_reader_that_takes_its_time_holds_the_server_back() -> None:
    size = 64 << 20

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        server.writers.append(writer)
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while poured < size:
            writer.write(b"x" * (1 << 18))
            poured += 1 << 18
            await writer.drain()

    server, poured = Server(), 0
    async with serving(server, pour) as url:
        client = HttpClient(url)
        response = await client.send("GET", "/")
        seen = -1
        while seen != poured:  # until nothing more goes into the pipe
            seen = poured
            for _ in range(200):
                await asyncio.sleep(0)
        assert poured < size
        assert len(await response.read()) == size
        await client.close()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1",
        "localhost:8000",
        "ftp://127.0.0.1",
        "http://",
        "http://h:99999",
        "",
        "http://[::1",
    ],
)
async def test_what_is_no_address_or_has_no_server_is_not_connected(address: str) -> None:
    client = HttpClient(address)
    with pytest.raises(NotConnected):
        await client.send("GET", "/")
    await client.close()


async def test_a_login_and_a_path_in_the_address_are_sent() -> None:
    server = Server(whole(b""))
    async with serving(server) as url:
        client = HttpClient(url.replace("http://", "http://ann:p%40ss@") + "/models here/")
        assert (await client.ask("GET", "/api")).status == 200
        await client.close()
    assert server.heads[0].startswith("GET /models%20here/api HTTP/1.1\r\n")
    assert "Authorization: Basic YW5uOnBAc3M=\r\n" in server.heads[0]
    assert "@" not in server.heads[0].partition("Host:")[2].partition("\r\n")[0]


async def test_half_a_character_in_a_text_does_not_stop_the_request() -> None:
    server = Server(whole(b""))
    async with serving(server) as url:
        client = HttpClient(url)
        await client.ask("POST", "/", {"text": "ä\ud83d"})
        await client.close()
    assert json.loads(server.bodies[0]) == {"text": "ä?"}


class LoopBound:
    """Holds on to its event loop, as a client with connections does."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()


def test_what_was_made_for_a_closed_event_loop_is_let_go() -> None:
    per_loop = PerLoop(LoopBound)

    async def made() -> weakref.ref[LoopBound]:
        return weakref.ref(per_loop.get())

    first, second = asyncio.run(made()), asyncio.run(made())
    gc.collect()
    assert first() is None
    assert second() is not None


ASKS_AND_ENDS = """
import asyncio, sys, threading
from rlm_core.backends.http_client import HttpClient, PerLoop

per_loop = PerLoop(lambda: HttpClient(sys.argv[1]))

async def ask():
    return (await per_loop.get().ask("GET", "/")).text

print(asyncio.run(ask()), asyncio.run(ask()))
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
print(asyncio.run_coroutine_threadsafe(ask(), loop).result())
"""


async def test_a_script_that_asks_and_ends_hears_no_complaint() -> None:
    async with serving(Server(whole(b"a"), whole(b"b"), whole(b"c"))) as url:
        script = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ASKS_AND_ENDS, url, stdout=PIPE, stderr=PIPE
        )
        said, complained = await script.communicate()
    assert (said.split(), complained) == ([b"a", b"b", b"c"], b"")

"""The guards that hold also without a log-in: hosts, origins, headers, sizes, and what Gradio must not do."""

from __future__ import annotations

import json
import os
import socket
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from rlm_core.security import gradio_paths
from rlm_core.security.gradio_paths import GradioPaths
from rlm_core.security.headers import CONTENT_SECURITY_POLICY
from rlm_core.security.hosts import HostAndOrigin
from rlm_core.security.limits import BodyLimit, LoginAttempts, WriteRate
from tests.api.server import RunningApp


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil", "",
     "192.168.1.77", "[::2]", "localhost/../x", "127.0.0.1:99999999"],
)  # fmt: skip
def test_a_foreign_host_is_refused(client: httpx.Client, host: str) -> None:
    for path in ("/", "/status", "/login", "/docs", "/gradio_api/info"):
        assert client.get(path, headers={"Host": host}).status_code == 400


def test_two_hosts_or_none_are_refused(app: RunningApp) -> None:
    for lines in (b"Host: localhost\r\nHost: evil.example\r\n", b""):
        with socket.create_connection(("127.0.0.1", app.port)) as raw:
            raw.sendall(b"GET /status HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
            assert b" 400 " in raw.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
def test_this_computer_is_known_by_its_names(client: httpx.Client, app: RunningApp, host: str) -> None:
    assert client.get("/settings", headers={"Host": f"{host}:{app.port}"}).status_code == 200


WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/chat", {"json": {"message": "Hi"}}),
    ("POST", "/settings", {"json": {"temperature": 0.1}}),
    ("POST", "/documents", {"files": {"file": ("x.txt", b"x")}}),
    ("DELETE", "/documents/x", {}),
    ("POST", "/conversations", {"json": {}}),
    ("PATCH", "/conversations/x", {"json": {}}),
    ("DELETE", "/conversations/x", {}),
    ("POST", "/v1/chat/completions", {"json": {"messages": []}}),
    ("POST", "/api/chat", {"json": {"messages": []}}),
    ("POST", "/mcp", {"json": {}}),
    ("POST", "/login", {"data": {}}),
    ("POST", "/gradio_api/upload", {"files": {"files": ("x.txt", b"x")}}),
]


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_a_page_of_another_site_cannot_write(client: httpx.Client, foreign: dict[str, str]) -> None:
    for method, path, body in WRITES:
        response = client.request(method, path, headers=foreign, **body)
        assert response.status_code == 403, (method, path)
        assert "access-control-allow-origin" not in response.headers


def test_a_page_of_another_site_cannot_read_but_may_link(client: httpx.Client) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert client.get("/settings", headers={**foreign, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert client.get("/settings", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/docs", headers={**foreign, "Sec-Fetch-Mode": "navigate"}).status_code == 200


def test_our_own_page_may_write(client: httpx.Client, app: RunningApp) -> None:
    for origin in (f"http://127.0.0.1:{app.port}", f"http://localhost:{app.port}"):
        host = origin.removeprefix("http://")
        headers = {"Origin": origin, "Host": host, "Sec-Fetch-Site": "same-origin"}
        assert client.post("/conversations", json={}, headers=headers).status_code == 201


@pytest.mark.parametrize("path", ["/docs", "/status", "/nothing", "/login", "/openapi.json"])
def test_every_response_carries_the_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_refusals_carry_the_headers_too(client: httpx.Client) -> None:
    response = client.get("/status", headers={"Host": "evil.example"})
    assert "content-security-policy" in response.headers


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/documents/..%2f..%2fsettings.json",
        "/documents/..%2f..%2fsettings.json/text",
        "/conversations/..%2fx",
        "/traces/..%2f..%2fsettings.json",
        "/chat/..%2f/events",
        "/v1/models/..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_path_leads_out_of_the_house(client: httpx.Client, path: str) -> None:
    response = client.send(httpx.Request("GET", str(client.base_url).rstrip("/") + path))
    assert response.status_code in (404, 422)
    assert "root:" not in response.text
    assert "temperature" not in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/file=http://example.com/x",
        "/gradio_api/file=https:%2f%2fexample.com",
        "/gradio_api/file=%68ttps://example.com",
        "/gradio_api/file=%2568ttps://example.com",
        "/gradio_api/file=//example.com/x",
        "/gradio_api/proxy=http://example.com",
        "/gradio_api/vibe-code/",
        "/gradio_api/run-history/buckets",
        "//monitoring",
    ],
)
def test_gradio_fetches_nothing_and_is_not_monitored(client: httpx.Client, path: str) -> None:
    response = client.send(httpx.Request("GET", str(client.base_url).rstrip("/") + path))
    assert response.status_code == 404


def test_a_large_body_is_refused_before_it_is_read(app: RunningApp) -> None:
    with socket.create_connection(("127.0.0.1", app.port)) as raw:
        raw.sendall(
            b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999999\r\n\r\n"
        )
        assert b" 413 " in raw.recv(4096).split(b"\r\n")[0]


async def _answered(app: Any, scope: Scope, messages: list[Message]) -> int:
    """The status with which an ASGI application answers a request of these messages."""
    sent: list[Message] = []
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        sent.append(message)

    base = {"type": "http", "method": "POST", "path": "/chat", "headers": [], "client": ("192.0.2.7", 1)}
    await app({**base, **scope}, receive, send)
    return int(sent[0]["status"])


async def _reader(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body and says 200."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_a_body_that_does_not_say_its_size_is_counted() -> None:
    limited = BodyLimit(_reader, upload=20, other=10)
    small = [{"type": "http.request", "body": b"12345", "more_body": False}]
    large = [{"type": "http.request", "body": b"12345678", "more_body": True}] * 3
    assert await _answered(limited, {}, small) == 200
    assert await _answered(limited, {}, large) == 413
    two = [{"type": "http.request", "body": b"12345678", "more_body": more} for more in (True, False)]
    assert await _answered(limited, {}, two) == 413
    assert await _answered(limited, {"path": "/documents"}, two) == 200


async def test_an_address_of_the_network_may_only_write_so_fast() -> None:
    now = 0.0
    limited = WriteRate(_reader, rate=1, burst=3, clock=lambda: now)
    body: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    assert [await _answered(limited, {}, body) for _ in range(4)] == [200, 200, 200, 429]
    assert await _answered(limited, {"client": ("192.0.2.8", 1)}, body) == 200
    assert await _answered(limited, {"method": "GET"}, body) == 200
    now = 2.0
    assert [await _answered(limited, {}, body) for _ in range(3)] == [200, 200, 429]


async def test_neighbours_of_one_ipv6_network_share_their_limit() -> None:
    limited = WriteRate(_reader, rate=1, burst=1, clock=lambda: 0.0)
    body: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    assert await _answered(limited, {"client": ("2001:db8::1", 1)}, body) == 200
    assert await _answered(limited, {"client": ("2001:db8::2", 1)}, body) == 429
    assert await _answered(limited, {"client": ("2001:db8:1::2", 1)}, body) == 200


def test_wrong_passwords_cost_longer_and_longer_waits() -> None:
    now = 0.0
    attempts = LoginAttempts(clock=lambda: now)
    for _ in range(4):
        attempts.failed("192.0.2.7")
    assert attempts.wait("192.0.2.7") == 0
    attempts.failed("192.0.2.7")
    assert attempts.wait("192.0.2.7") == 30
    assert attempts.wait("192.0.2.8") == 0
    now = 30.0
    assert attempts.wait("192.0.2.7") == 0
    attempts.failed("192.0.2.7")
    assert attempts.wait("192.0.2.7") == 60
    attempts.succeeded("192.0.2.7")
    assert attempts.wait("192.0.2.7") == 0


@pytest.fixture
def uploads() -> GradioPaths:
    """The guard around a stand-in for Gradio's upload and file routes."""

    async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(["/tmp/gradio/abc/diary.txt"]).encode()})

    return GradioPaths(gradio)


async def test_an_upload_is_served_to_the_one_who_made_it_only(uploads: GradioPaths) -> None:
    file = {"method": "GET", "path": "/gradio_api/file=/tmp/gradio/abc/diary.txt"}
    anna, owner = {"localrlm.user": "anna"}, {"localrlm.user": "local"}
    assert await _answered(uploads, {"path": "/gradio_api/upload", **anna}, []) == 200
    assert await _answered(uploads, {**file, **anna}, []) == 200
    for path in ("/tmp/gradio/abc/diary.txt", "/tmp/gradio/x/../abc/diary.txt", "//tmp//gradio/abc/./diary.txt",
                 "/tmp/gradio/abc%2fdiary.txt", "/tmp/gradio/%2e/abc/diary.txt"):  # fmt: skip
        asked = {"method": "GET", "path": f"/gradio_api/file={path}", **owner}
        assert await _answered(uploads, asked, []) == 404, path
    assert await _answered(uploads, {"path": "/gradio_api/upload", **owner}, []) == 200
    assert await _answered(uploads, {**file, **owner}, []) == 200


async def test_a_file_that_is_named_is_not_looked_at(
    uploads: GradioPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows the computer would log in wherever ``//elsewhere/share`` is."""
    touched: list[str] = []
    look = os.lstat

    def lstat(path: Any, **more: Any) -> os.stat_result:
        touched.append(str(path))
        return look(path, **more)

    monkeypatch.setattr(os, "lstat", lstat)
    asked = {
        "method": "GET",
        "path": "/gradio_api/file=//elsewhere/share/x",
        "localrlm.user": "local",
    }
    assert await _answered(uploads, asked, []) == 404
    event = {"path": "/gradio_api/queue/join", "localrlm.user": "local"}
    said = json.dumps({"data": [{"path": "//elsewhere/share/x"}]}).encode()
    assert await _answered(uploads, event, [{"type": "http.request", "body": said}]) == 403
    assert not [path for path in touched if "elsewhere" in path]


async def test_an_address_is_decoded_a_few_times_only(
    uploads: GradioPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of another site can lead the browser to ``/%252525...``, as long as it likes."""
    times: list[str] = []

    def counted(path: str) -> str:
        times.append(path)
        return unquote(path)

    monkeypatch.setattr(gradio_paths, "unquote", counted)
    asked = {"method": "GET", "path": "/%" + "25" * 500, "localrlm.user": "local"}
    assert await _answered(uploads, asked, []) == 404
    assert len(times) < 10


async def test_the_name_of_a_tab_is_short(uploads: GradioPaths) -> None:
    event = {"path": "/gradio_api/queue/join", "localrlm.user": "anna"}
    for length, status in ((11, 200), (36, 200), (10_000, 404)):
        said = json.dumps({"session_hash": "x" * length}).encode()
        assert await _answered(uploads, event, [{"type": "http.request", "body": said}]) == status


async def test_an_event_may_hide_a_file_anywhere_in_its_data(uploads: GradioPaths) -> None:
    event = {"path": "/gradio_api/queue/join", "localrlm.user": "anna"}
    assert await _answered(uploads, {"path": "/gradio_api/upload", "localrlm.user": "anna"}, []) == 200
    mine, theirs = "/tmp/gradio/abc/diary.txt", "/tmp/gradio/abc/other.txt"
    for said, status in (
        ({"data": [{"files": [{"path": mine}]}]}, 200),
        ({"data": [[[{"text": "x", "files": [{"path": mine}, {"path": theirs}]}]]]}, 403),
        ({"event_data": {"a": {"path": theirs}}}, 403),
    ):
        whole = json.dumps(said).encode()
        halves = [{"body": whole[:20], "more_body": True}, {"body": whole[20:]}]
        assert (
            await _answered(uploads, event, [{"type": "http.request", **half} for half in halves]) == status
        )
    nested = {"type": "http.request", "body": b"[" * 100_000 + b'{"path": "/x"}' + b"]" * 100_000}
    assert await _answered(uploads, event, [nested]) == 403
    no_json = {"type": "http.request", "body": b"not JSON"}
    assert await _answered(uploads, event, [no_json]) == 200, "Gradio itself refuses that"


async def test_a_websocket_from_elsewhere_is_closed_before_it_opens() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    guard = HostAndOrigin(_reader, knows_host=lambda name: name == "localhost")
    headers = [(b"host", b"localhost:8000"), (b"origin", b"http://evil.example")]
    await guard({"type": "websocket", "path": "/ws/chat", "headers": headers}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]

"""The real clients and the real Gradio against a running `app.py --lan`: one process, one port, every door."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import ollama as ollama_client
import openai
import pytest
from websockets.sync.client import connect

from rlm_core.security.headers import CONTENT_SECURITY_POLICY
from tests.api.test_mcp_client import call, over_http
from tests.scripted.ollama_server import ScriptedOllama

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Running:
    """`app.py --lan` as a child process, with keys of its owner and of anna."""

    url: str
    folder: Path
    owner_key: str
    anna_key: str

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else None
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def running(ollama: ScriptedOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("script")
    (folder / "uploads").mkdir()
    (folder / "uploads" / "export-left.zip").write_bytes(b"what a run that was killed left behind")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-u", "app.py", "--lan", "--no-browser", "--port", str(port)),
        *("--data", str(folder), "--config", str(folder / "settings.json")),
        *("--backend", "ollama", "--base-url", ollama.url),
    ]
    log = folder / "app.log"
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_for(url, process, log)
        found = re.search(r"password  ([a-z0-9-]+)  ", log.read_text(encoding="utf-8"))
        assert found is not None
        with httpx.Client(base_url=url, timeout=60) as owner:
            owner.post("/login", data={"name": "owner", "password": found[1]}).raise_for_status()
            owner_key = owner.post("/account/keys", json={}).json()["key"]
            new = {"name": "anna", "password": "annas-own-password"}
            owner.post("/account/users", json=new).raise_for_status()
        with httpx.Client(base_url=url, timeout=60) as anna:
            anna.post("/login", data=new).raise_for_status()
            anna_key = anna.post("/account/keys", json={}).json()["key"]
            anna.post("/chat", json={"message": "Good evening."}).raise_for_status()
        yield Running(url, folder, owner_key, anna_key)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    said = log.read_text(encoding="utf-8")
    assert "Traceback" not in said
    traces = [file.read_text(encoding="utf-8") for file in (folder / "traces").glob("*.jsonl")]
    assert traces
    for secret in (found[1], owner_key, anna_key, new["password"]):
        assert said.count(secret) == (secret == found[1]), (
            "the made-up password is announced once, nothing else ever"
        )
        assert not any(secret in trace for trace in traces)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            httpx.get(f"{url}/login")
            return
        except httpx.TransportError:
            text = log.read_text(encoding="utf-8")
            assert process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.1)


def test_the_openai_client(running: Running) -> None:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.owner_key, max_retries=0) as client:
        completion = client.chat.completions.create(
            model="rlm", messages=[{"role": "user", "content": "Hi!"}]
        )
        assert completion.choices[0].message.content == "Hello there, friend."


def test_the_ollama_client(running: Running) -> None:
    headers = {"Authorization": f"Bearer {running.owner_key}"}
    client = ollama_client.Client(host=running.url, headers=headers)
    assert client.chat("rlm", [{"role": "user", "content": "Hi!"}]).message.content == "Hello there, friend."


async def test_the_mcp_client(running: Running) -> None:
    async with over_http(running.url, running.owner_key) as session:
        assert (await call(session, "ask", question="Hi!"))["answer"] == "Hello there, friend."


def test_the_websockets_client(running: Running) -> None:
    headers = {"Authorization": f"Bearer {running.owner_key}"}
    with connect(
        running.url.replace("http", "ws") + "/ws/chat", additional_headers=headers, proxy=None
    ) as socket_:
        socket_.send(json.dumps({"message": "Hi!"}))
        types = []
        while types[-1:] != ["done"]:
            types.append(json.loads(socket_.recv(timeout=30))["type"])
    assert "answer" in types


def test_the_page_is_at_the_root_with_the_policy_and_only_after_a_log_in(running: Running) -> None:
    with running.client(running.owner_key) as client, running.client() as anonymous:
        page = client.get("/")
        assert page.status_code == 200
        assert "gradio" in page.text.lower()
        assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert anonymous.get("/").status_code == 401
        assert "gradio" not in anonymous.get("/login").text.lower()


@pytest.mark.parametrize(
    "path",
    ["/config", "/theme.css", "/manifest.json", "/robots.txt", "/static/x", "/assets/x", "/svelte/x", "/page/page.js",
     *(f"/gradio_api/{name}" for name in ("info", "app_id", "startup-events", "heartbeat/x", "queue/data", "openapi.json",
                                          "file=x", "user", "token", "login_check", "config"))],
)  # fmt: skip
def test_gradio_says_nothing_to_strangers(running: Running, path: str) -> None:
    with running.client() as anonymous:
        response = anonymous.get(path)
        assert response.status_code == 401
        assert "gradio" not in response.text.lower()


@pytest.mark.parametrize(
    "path",
    ["/monitoring", "/monitoring/summary", "/gradio_api/proxy=http://127.0.0.1:1/", "/gradio_api/runs",
     "/gradio_api/file=http://127.0.0.1:1/x", "/gradio_api/vibe-code", "/gradio_api/call/x", "/gradio_api/component_server"],
)  # fmt: skip
def test_what_gradio_could_do_beyond_the_page_is_closed_to_everybody(running: Running, path: str) -> None:
    with running.client(running.owner_key) as client:
        assert client.get(path).status_code == 404


def test_no_file_of_this_computer_can_be_fetched(running: Running) -> None:
    secrets = [
        "/etc/passwd",
        str(ROOT / "app.py"),
        *(str(running.folder / name) for name in ("access.sqlite3", "settings.json", "app.log", "app.json")),
    ]
    with running.client(running.owner_key) as client:
        for file in secrets:
            for path in (f"/gradio_api/file={file}", f"/gradio_api/file/{file}", f"/static/..%2f..%2f{file}"):
                response = client.send(client.build_request("GET", running.url + path))
                assert response.status_code in (403, 404), path


def test_an_upload_belongs_to_the_one_who_made_it_and_markup_is_never_shown(running: Running) -> None:
    with running.client(running.anna_key) as anna, running.client(running.owner_key) as owner:
        for name, data in (
            ("diary.txt", b"secret"),
            ("page.html", b"<script>alert(1)</script>"),
            ("picture.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
            ("code.js", b"alert(1)"),
        ):
            path = anna.post("/gradio_api/upload", files={"files": (name, data)}).json()[0]
            mine = anna.get(f"/gradio_api/file={path}")
            assert mine.status_code == 200
            if name != "diary.txt":
                harmless = mine.headers["content-type"].startswith("text/plain")
                assert harmless or "attachment" in mine.headers["content-disposition"]
            assert mine.headers["x-content-type-options"] == "nosniff"
            theirs = owner.get(f"/gradio_api/file={path}")
            assert theirs.status_code == 404
            assert data not in theirs.content


def test_no_event_of_the_page_is_an_endpoint_for_programs(running: Running) -> None:
    with running.client(running.owner_key) as client:
        described = client.get("/gradio_api/info").json()
        assert (described["named_endpoints"], described["unnamed_endpoints"]) == ({}, {})


def test_what_the_page_links_to_is_for_the_one_whose_it_is(running: Running) -> None:
    with running.client(running.anna_key) as anna, running.client(running.owner_key) as owner:
        said = owner.post("/chat", json={"message": "ECHO the heirloom"}).json()
        links = [
            f"/page/text/{said['message_id']}",
            *(f"/page/conversations/{said['conversation_id']}.{ending}" for ending in ("md", "json")),
            *(f"/page/traces/{said['message_id']}.{ending}" for ending in ("csv", "jsonl", "rlm.jsonl")),
        ]
        for link in links:
            assert owner.get(link).status_code == 200, link
            assert anna.get(link).status_code == 404, link
        assert anna.get("/page/everything.zip").status_code == 403


def test_everything_comes_as_one_file_of_which_nothing_is_left_in_the_data_folder(running: Running) -> None:
    with running.client(running.owner_key) as owner:
        said = owner.post("/chat", json={"message": "ECHO the almanac"}).json()
        export = owner.get("/page/everything.zip")
    with zipfile.ZipFile(io.BytesIO(export.content)) as file:
        assert said["conversation_id"] in file.read("conversations.jsonl").decode()
    deadline = time.monotonic() + 60
    while left := list(running.folder.rglob("export-*")):  # the last one goes when all of it was sent
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def join(client: httpx.Client, file: str, *, tab: str, key: str = "path") -> httpx.Response:
    """Send the event of files that were dropped on the Upload tab, as the page does."""
    page = client.get("/config").json()
    drop = next(part["id"] for part in page["components"] if part["props"].get("elem_id") == "drop")
    event = next(d["id"] for d in page["dependencies"] if [drop, "upload"] in d["targets"])
    dropped = [{key: file, "orig_name": "x.txt", "meta": {"_type": "gradio.FileData"}}]
    body = {"data": [dropped, None], "fn_index": event, "trigger_id": drop, "session_hash": tab}
    return client.post("/gradio_api/queue/join", json=body)


def test_an_event_names_only_files_that_the_same_user_uploaded(running: Running) -> None:
    with running.client(running.anna_key) as anna, running.client(running.owner_key) as owner:
        diary = anna.post("/gradio_api/upload", files={"files": ("diary.txt", b"Dear diary.")}).json()[0]
        foreign = join(owner, diary, tab="owners-tab")
        assert foreign.status_code == 403
        assert foreign.json()["detail"] == "This file was not uploaded by you. Add it again."
        roundabout = str(Path(diary).parent / ".." / Path(diary).parent.name / "diary.txt")
        for file in (
            roundabout,
            "/etc/passwd",
            str(running.folder / "access.sqlite3"),
            "http://127.0.0.1:1/x",
            "",
        ):
            assert join(owner, file, tab="owners-tab").status_code == 403, file
        assert join(anna, diary, tab="annas-tab").status_code == 200
    with running.client(running.owner_key) as owner:
        assert owner.get("/documents").json() == {"documents": []}


def test_a_browser_tab_belongs_to_the_one_who_opened_it(running: Running) -> None:
    with running.client(running.anna_key) as anna, running.client(running.owner_key) as owner:
        mine = anna.post("/gradio_api/upload", files={"files": ("mine.txt", b"Mine.")}).json()[0]
        theirs = owner.post("/gradio_api/upload", files={"files": ("theirs.txt", b"Theirs.")}).json()[0]
        assert join(anna, mine, tab="a-tab-of-anna").status_code == 200
        assert join(owner, theirs, tab="a-tab-of-anna").status_code == 404
        for path in ("queue/data?session_hash=a-tab-of-anna", "heartbeat/a-tab-of-anna"):
            assert owner.get(f"/gradio_api/{path}").status_code == 404, path
        stolen = {"session_hash": "a-tab-of-anna", "fn_index": 0, "event_id": "x"}
        assert owner.post("/gradio_api/cancel", json=stolen).status_code == 404


def test_gradio_takes_no_uploads_and_no_events_from_pages_of_other_sites(running: Running) -> None:
    with running.client(running.owner_key) as client:
        evil = {"Origin": "https://evil.example"}
        upload = client.post("/gradio_api/upload", files={"files": ("x", b"x")}, headers=evil)
        assert upload.status_code == 403
        assert client.post("/gradio_api/queue/join", json={}, headers=evil).status_code == 403
        own = client.get("/gradio_api/info", headers={"Origin": running.url})
        assert own.headers.get("access-control-allow-origin") in (None, running.url)


def test_no_route_answers_under_a_foreign_name(running: Running) -> None:
    with running.client(running.owner_key) as client:
        for path in ("/", "/config", "/gradio_api/info", "/login", "/status"):
            assert client.get(path, headers={"Host": "evil.example"}).status_code == 400

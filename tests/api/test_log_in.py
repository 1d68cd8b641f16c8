"""The home network: who may come in, and what is whose."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from rlm_core.doors.login import local_path
from rlm_core.security import Access, Accounts, AccountsError
from rlm_core.security.accounts import SESSION_SECONDS
from rlm_core.security.gate import COOKIE
from tests.api.conftest import PASSWORD, Home
from tests.api.server import RunningApp
from tests.scripted.ollama_server import ScriptedOllama


def every_route(client: httpx.Client) -> list[tuple[str, str]]:
    """All methods and paths of the interface's own description, and those that are not in it."""
    described = client.get("/openapi.json").json()["paths"]
    routes = [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, methods in described.items()
        for method in methods
        if path != "/login"
    ]
    hidden = ["/", "/docs", "/openapi.json", "/mcp", "/config", "/info", "/theme.css", "/favicon.ico"]
    gradio = [
        "config",
        "info",
        "app_id",
        "file=x",
        "queue/data",
        "heartbeat/x",
        "startup-events",
        "login_check",
    ]
    return [
        *routes,
        *(("GET", path) for path in hidden),
        *(("GET", f"/gradio_api/{path}") for path in gradio),
        *(("POST", f"/gradio_api/{path}") for path in ("upload", "queue/join", "cancel", "reset", "call/x")),
        ("POST", "/mcp"),
        ("HEAD", "/"),
        ("OPTIONS", "/chat"),
    ]


def test_no_route_answers_without_a_log_in(home: Home, owner: httpx.Client) -> None:
    routes = every_route(owner)
    assert len(routes) > 50
    with home.anonymous() as anonymous:
        for method, path in routes:
            response = anonymous.request(method, path)
            assert response.status_code == 401, (method, path, response.text[:200])


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer rlm-wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic b3duZXI6eA=="},
        {"Cookie": f"{COOKIE}=wrong"},
        {"Cookie": f"{COOKIE}=' OR 1=1 --"},
    ],
)
def test_wrong_keys_and_cookies_open_nothing(home: Home, headers: dict[str, str]) -> None:
    with home.anonymous() as anonymous:
        assert anonymous.get("/status", headers=headers).status_code == 401


def test_a_browser_is_led_to_the_log_in_and_back(home: Home) -> None:
    with home.anonymous() as browser:
        response = browser.get("/docs", headers={"Accept": "text/html"})
        assert (response.status_code, response.headers["location"]) == (303, "/login?next=/docs")
        page = browser.get("/login")
        assert page.status_code == 200
        assert "http://" not in page.text
        assert "https://" not in page.text
        logged_in = browser.post("/login", data={"name": "Owner", "password": PASSWORD, "next": "/docs"})
        assert logged_in.json() == {"name": "owner", "next": "/docs"}
        cookie = logged_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert browser.get("/docs").status_code == 200


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "evil"]
)
def test_the_way_back_stays_on_this_server(target: str) -> None:
    assert local_path(target) == "/"


def test_wrong_names_and_passwords_get_the_same_answer(home: Home) -> None:
    with home.anonymous() as browser:
        wrong = browser.post("/login", data={"name": "owner", "password": "wrong"})
        unknown = browser.post("/login", data={"name": "nobody", "password": "wrong"})
        assert wrong.status_code == unknown.status_code == 401
        assert wrong.json() == unknown.json()
        assert browser.post("/login", data={"name": "owner", "password": PASSWORD}).status_code == 200


def test_guessing_passwords_is_stopped_and_the_right_one_must_wait_too(
    ollama: ScriptedOllama, tmp_path: Path
) -> None:
    access = Access.home_network(tmp_path, password=PASSWORD)
    access.host = "127.0.0.1"
    with RunningApp(tmp_path, ollama.url, access=access) as app, httpx.Client(base_url=app.url) as guesser:
        codes = [
            guesser.post("/login", data={"name": "owner", "password": f"guess {number}"}).status_code
            for number in range(8)
        ]
        assert codes == [401] * 5 + [429] * 3
        refused = guesser.post("/login", data={"name": "owner", "password": PASSWORD})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        spoofed = guesser.post(
            "/login",
            data={"name": "owner", "password": PASSWORD},
            headers={"X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.9"},
        )
        assert spoofed.status_code == 429
        assert guesser.post("/login", data={"token": "guessed"}).status_code == 429


def test_an_invitation_works_once(home: Home) -> None:
    url = home.app.access.invitation_url("anna")
    address, _, token = url.partition("#token=")
    assert address.endswith("/login")
    with home.anonymous() as phone, home.anonymous() as thief:
        assert phone.post("/login", data={"token": token}).json()["name"] == "anna"
        assert phone.get("/status").json()["user"] == "anna"
        assert thief.post("/login", data={"token": token}).status_code == 401


def test_an_invitation_ends_with_the_password_and_with_the_account(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "access.sqlite3")
    accounts.add("anna", "annas-own-password")
    beside = Accounts(tmp_path / "access.sqlite3")  # the command line, while the app runs
    for changed in (
        lambda: accounts.set_password("anna", "another-password"),
        lambda: beside.set_password("anna", "a-third-password"),
        lambda: (beside.remove("anna"), beside.add("anna", "another-annas-password")),
        lambda: accounts.remove("anna"),
    ):
        old = accounts.invite("anna")
        unused = accounts.invite("anna")
        assert accounts.accept(unused) is not None
        changed()
        assert accounts.accept(old) is None
    beside.close()
    accounts.close()


def test_the_qr_code_is_an_invitation(owner: httpx.Client, anna: httpx.Client) -> None:
    invitation = owner.post("/account/invitations", json={"name": "anna"}).json()
    assert invitation["qr"].startswith("<svg")
    assert "#token=" in invitation["url"]
    assert anna.post("/account/invitations", json={"name": "anna"}).status_code == 200
    assert anna.post("/account/invitations", json={"name": "owner"}).status_code == 403


def test_sessions_and_keys_survive_a_restart_and_can_be_ended(ollama: ScriptedOllama, tmp_path: Path) -> None:
    def start(password: str | None) -> RunningApp:
        access = Access.home_network(tmp_path, password=password)
        access.host = "127.0.0.1"
        return RunningApp(tmp_path, ollama.url, access=access)

    with start(PASSWORD) as app:
        first, second = Home(app).log_in(), Home(app).log_in()
        key = first.post("/account/keys", json={"label": "script"}).json()
    cookies = [client.cookies[COOKIE] for client in (first, second)]

    with start(None) as app, httpx.Client(base_url=app.url) as client:
        assert app.access.made_up_password is None
        this, other = ({"Cookie": f"{COOKIE}={cookie}"} for cookie in cookies)
        bearer = {"Authorization": f"Bearer {key['key']}"}
        assert client.get("/status", headers=bearer).status_code == 200
        sessions = client.get("/account/me", headers=this).json()["sessions"]
        assert len(sessions) == 2
        for session in sessions:
            client.delete(f"/account/sessions/{session['id']}", headers=bearer)
        assert client.get("/status", headers=this).status_code == 401
        assert client.get("/status", headers=other).status_code == 401
        assert client.delete(f"/account/keys/{key['id']}", headers=bearer).status_code == 200
        assert client.get("/status", headers=bearer).status_code == 401


def test_logging_out_ends_the_session_on_the_server(home: Home) -> None:
    client = home.log_in()
    cookie = client.cookies[COOKIE]
    assert client.post("/logout").status_code == 303
    with home.anonymous() as thief:
        assert thief.get("/status", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401


def test_nobody_opens_the_home_network_from_elsewhere(home: Home, owner: httpx.Client) -> None:
    before = owner.get("/settings").json()
    refused = owner.post("/settings", json={"server": {"lan": True}})
    assert refused.status_code == 403
    assert "on the computer that runs" in refused.json()["detail"]
    assert owner.post("/settings", json={"server": before["server"]}).is_success, "nothing has changed"
    assert owner.get("/settings").json() == before


def test_a_new_password_ends_all_sessions(home: Home, owner: httpx.Client) -> None:
    assert owner.post("/account/users", json={"name": "ben", "password": "first-password"}).status_code == 201
    ben = home.log_in("ben", "first-password")
    wrong = ben.post("/account/password", json={"current": "no", "new": "second-password"})
    assert wrong.status_code == 403
    assert ben.post(
        "/account/password", json={"current": "first-password", "new": "second-password"}
    ).is_success
    assert ben.get("/status").status_code == 401
    assert home.log_in("ben", "second-password").get("/status").is_success
    assert owner.delete("/account/users/ben").is_success


def test_only_the_owner_changes_settings_and_users(owner: httpx.Client, anna: httpx.Client) -> None:
    assert anna.post("/settings", json={"temperature": 0.1}).status_code == 403
    assert anna.post("/account/users", json={"name": "eve", "password": "eves-password"}).status_code == 403
    assert anna.delete("/account/users/owner").status_code == 403
    assert anna.get("/account/me").json()["users"] == []
    assert owner.get("/account/me").json()["users"][0] == "owner"
    assert owner.delete("/account/users/owner").status_code == 422


@pytest.mark.parametrize("name", ["local", "Local", "a/b", "../x", "", "x" * 33, "a b", "<b>", "anna"])
def test_names_that_would_mix_things_up_are_refused(owner: httpx.Client, name: str) -> None:
    response = owner.post("/account/users", json={"name": name, "password": "long-enough"})
    assert response.status_code == 422


def test_what_belongs_to_one_user_does_not_exist_for_another(
    home: Home, owner: httpx.Client, anna: httpx.Client
) -> None:
    document = owner.post("/documents", files={"file": ("will.txt", b"The heirloom goes to Clara.")}).json()
    said = owner.post(
        "/chat", json={"message": "ECHO heirloom", "documents": [document["id"]], "mode": "direct"}
    ).json()
    with owner.stream("POST", "/chat", json={"message": "HOLD it", "stream": True}) as response:
        line = next(line for line in response.iter_lines() if line.startswith("data: "))
    running = json.loads(line[6:])

    conversation, message, holding = said["conversation_id"], said["message_id"], running["message_id"]
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/documents/{document['id']}", {}),
        ("GET", f"/documents/{document['id']}/text", {}),
        ("DELETE", f"/documents/{document['id']}", {}),
        ("GET", f"/documents/search?q=heirloom&document_id={document['id']}", {}),
        ("GET", f"/conversations/{conversation}", {}),
        ("PATCH", f"/conversations/{conversation}", {"title": "mine"}),
        ("DELETE", f"/conversations/{conversation}", {}),
        ("GET", f"/traces/{message}", {}),
        ("GET", f"/traces/{message}/rlm", {}),
        ("GET", f"/chat/{holding}/events", {}),
        ("POST", f"/chat/{holding}/cancel", {}),
        ("POST", "/chat", {"message": "And?", "conversation_id": conversation}),
        ("POST", "/chat", {"message": "And?", "documents": [document["id"]]}),
        (
            "POST",
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "x"}], "conversation_id": conversation},
        ),
        (
            "POST",
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "x"}], "documents": [document["id"]]},
        ),
    ]
    for method, path, body in attempts:
        response = anna.request(method, path, json=body or None)
        assert response.status_code == 404, (method, path, response.text)
        assert "Clara" not in response.text

    assert anna.get("/documents").json() == {"documents": []}
    assert conversation not in anna.get("/conversations").text
    for path in ("/documents/search", "/conversations/search", "/memory/search"):
        assert "heirloom" not in anna.get(path, params={"q": "heirloom"}).text

    cookie = {"Cookie": f"{COOKIE}={anna.cookies[COOKIE]}"}
    with connect(home.app.ws_url, additional_headers=cookie) as socket:
        socket.send(json.dumps({"type": "follow", "message_id": holding}))
        assert json.loads(socket.recv(timeout=30))["code"] == "not_found"

    assert owner.get(f"/documents/{document['id']}").is_success
    assert owner.post(f"/chat/{holding}/cancel").json()["stopped"] is True


def test_a_user_finds_what_is_in_their_own_documents(anna: httpx.Client, ollama: ScriptedOllama) -> None:
    long = "\n\n".join(f"Day {number}: fog." for number in range(3000)) + "\n\nThe lantern hangs in the barn."
    document = anna.post("/documents", files={"file": ("log.txt", long.encode())}).json()
    question = {"message": "Where does the lantern hang?", "documents": [document["id"]], "mode": "direct"}
    assert anna.post("/chat", json=question).is_success
    assert "hangs in the barn" in str(ollama.requests[-1]["messages"])


def test_the_owner_keeps_what_was_there_before_the_home_network(
    ollama: ScriptedOllama, tmp_path: Path
) -> None:
    with RunningApp(tmp_path, ollama.url) as app, httpx.Client(base_url=app.url) as client:
        before = client.post("/chat", json={"message": "Hi!"}).json()["conversation_id"]
    access = Access.home_network(tmp_path, password=PASSWORD)
    access.host = "127.0.0.1"
    with RunningApp(tmp_path, ollama.url, access=access) as app:
        assert Home(app).log_in().get(f"/conversations/{before}").is_success


def test_the_password_is_made_up_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    first = Access.home_network(tmp_path)
    password = first.made_up_password
    assert password is not None
    assert password in first.announcement()
    assert password not in first.invitation_url()
    assert first.accounts is not None
    assert first.accounts.check("owner", password) is not None
    second = Access.home_network(tmp_path)
    assert second.made_up_password is None
    assert password not in second.announcement()
    for file in tmp_path.glob("access.sqlite3*"):
        assert password.encode() not in file.read_bytes()
        if sys.platform != "win32":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_tokens_are_kept_as_hashes_only(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "access.sqlite3")
    accounts.add("anna", "long-enough")
    session = accounts.begin_session("anna")
    _, key = accounts.add_key("anna", "script")
    stored = (tmp_path / "access.sqlite3").read_bytes()
    assert session.encode() not in stored
    assert key.encode() not in stored
    assert accounts.by_session(session) == accounts.by_key(key) == accounts.account("anna")


def test_a_session_that_is_not_used_for_a_month_is_over(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "access.sqlite3")
    accounts.add("anna", "long-enough")
    session = accounts.begin_session("anna")
    with sqlite3.connect(tmp_path / "access.sqlite3") as database:
        database.execute("UPDATE sessions SET seen_at = seen_at - ?", (SESSION_SECONDS,))
    assert accounts.by_session(session) is None


def test_removing_a_user_ends_sessions_and_keys(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "access.sqlite3")
    accounts.add("anna", "long-enough")
    session = accounts.begin_session("anna")
    _, key = accounts.add_key("anna", "script")
    accounts.remove("anna")
    assert accounts.by_session(session) is None
    assert accounts.by_key(key) is None


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AccountsError, match="at least 8"):
        Access.home_network(tmp_path, password="short")

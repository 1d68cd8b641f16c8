"""The home network opened and closed while the app runs: who needs no log-in, where it listens, what is cut off."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rlm_core import RLMEngine, Settings
from rlm_core.errors import LocalRLMError
from rlm_core.security import Access
from rlm_core.security import access as access_module
from rlm_core.security.gate import COOKIE, Gate
from rlm_core.security.hosts import HostAndOrigin
from tests.api.conftest import PASSWORD, Home
from tests.launcher.checkout import free_port
from ui import home as home_module
from ui.control import Control
from ui.home import NOTHING_NEW, HomeNetwork, NotAllowed
from ui.network import home_network
from ui.serve import ended
from ui.server import Server
from ui.start import access_of, parse
from ui.tab import Tab

HERE, PHONE, OWN = ("127.0.0.1", 50000), ("192.168.7.20", 50000), ("192.168.7.9", 8000)
LOOPBACK = ("127.0.0.1", 8000)


def request(
    client: Any = HERE, server: Any = LOOPBACK, host: str = "127.0.0.1:8000", user: str = "local"
) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/status",
        "scheme": "http",
        "headers": [(b"host", host.encode())],
        "client": client,
        "server": server,
        "localrlm.user": user,
    }


async def admitted(access: Access, scope: Scope) -> str | int:
    """Under which name the gate lets a request in, or the status with which it refuses."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["localrlm.user"])

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        seen.append(message.get("status"))

    del scope["localrlm.user"]
    await Gate(app, access)(scope, receive, send)
    return seen[0]  # type: ignore[no-any-return]


async def test_with_the_switch_only_this_computer_under_its_own_name_needs_no_log_in(tmp_path: Path) -> None:
    access = Access.loopback()
    access.open_home(tmp_path)
    assert await admitted(access, request()) == "local"
    assert await admitted(access, request(host="localhost:8000")) == "local"
    assert (
        await admitted(access, request(client=("::1", 5), server=("::1", 8000), host="[::1]:8000")) == "local"
    )
    assert await admitted(access, request(client=PHONE, server=OWN, host="192.168.7.9:8000")) == 401
    assert await admitted(access, request(client=PHONE, server=OWN)) == 401, "a name is easily forged"
    assert await admitted(access, request(client=OWN, server=OWN, host="192.168.7.9:8000")) == 401
    assert await admitted(access, request(host="192.168.7.9:8000")) == 401, (
        "a tunnel to this computer's own address"
    )
    assert await admitted(access, request(client=("::ffff:192.168.7.20", 5))) == 401
    for name in (
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"forwarded",
        b"via",
        b"x-real-ip",
    ):
        passed_on = request()
        passed_on["headers"].append((name, b"192.168.7.20"))
        assert await admitted(access, passed_on) == 401


async def test_a_connection_of_which_an_end_is_unknown_is_nobodys(tmp_path: Path) -> None:
    """A client that hangs up at once has no address any more when the server looks."""
    access = Access.loopback()
    for refused in (401, 403):
        access.open_home(tmp_path) if refused == 401 else access.close_home()
        assert await admitted(access, request(client=None)) == refused
        assert await admitted(access, request(server=None)) == refused
        assert await admitted(access, request(client=None, server=None)) == refused
        assert await admitted(access, request(client=None, server=OWN)) == refused
        assert await admitted(access, request(client=None, server=("/run/localrlm.sock", None))) == "local"


async def test_with_lan_this_computer_logs_in_too(tmp_path: Path) -> None:
    access = Access.home_network(tmp_path)
    assert await admitted(access, request()) == 401
    access.close_home()
    assert await admitted(access, request()) == "local"


async def test_a_connection_that_outlives_the_switch_is_nobodys(tmp_path: Path) -> None:
    access = Access.loopback()
    access.open_home(tmp_path, password=PASSWORD)
    assert access.accounts is not None
    session = access.accounts.begin_session("owner")
    cookie = (b"cookie", f"{COOKIE}={session}".encode())

    def from_phone() -> dict[str, Any]:
        asked = request(client=PHONE, server=OWN, host="192.168.7.9:8000")
        return {**asked, "headers": [*asked["headers"], cookie]}

    assert await admitted(access, from_phone()) == "local"
    access.close_home()
    assert await admitted(access, from_phone()) == 403
    access.open_home(tmp_path)
    assert access.made_up_password is None
    assert await admitted(access, from_phone()) == "local", "accounts and sessions are kept"


def test_an_ended_session_ends_the_websocket_that_came_in_by_it(home: Home) -> None:
    client = home.log_in("anna", "annas-own-password")
    cookie = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    with connect(home.app.ws_url, additional_headers=cookie, proxy=None) as websocket:
        websocket.send(json.dumps({"type": "follow", "message_id": "unknown"}))
        assert json.loads(websocket.recv(timeout=30))["code"] == "not_found"
        client.post("/logout")
        websocket.send(json.dumps({"type": "follow", "message_id": "unknown"}))
        with pytest.raises(ConnectionClosed):
            websocket.recv(timeout=30)


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "status"),
    [
        ("https", "pc.local:8000", "https://pc.local:8000", 200),
        ("https", "pc.local", "https://pc.local", 200),
        ("https", "pc.local:8000", "http://pc.local:8000", 403),
        ("https", "pc.local", "http://pc.local", 403),
        ("http", "pc.local:8000", "http://pc.local:8000", 200),
        ("http", "pc.local", "https://pc.local", 200),  # behind a proxy that encrypts
        ("http", "pc.local:8000", "https://pc.local:8001", 403),
        ("wss", "pc.local:8000", "http://pc.local:8000", None),
    ],
)
async def test_an_encrypted_server_takes_nothing_from_unencrypted_pages(
    scheme: str, host: str, origin: str, status: int | None
) -> None:
    sent: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message.get("status"))

    async def receive() -> Any:
        return {"type": "http.request"}

    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    kind = "websocket" if scheme == "wss" else "http"
    scope = {"type": kind, "method": "POST", "path": "/chat", "scheme": scheme, "headers": headers}
    await HostAndOrigin(app, knows_host=lambda name: name == "pc.local")(scope, receive, send)
    assert sent[0] == status


# where the server listens


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Server]:
    config = uvicorn.Config(app, port=free_port(), log_level="error", timeout_graceful_shutdown=1)
    server = Server(config, page=None)
    running = asyncio.create_task(server._serve())
    try:
        await asyncio.wait_for(server.answers.wait(), 30)
        yield server
    finally:
        server.should_exit = True
        await running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")
async def test_addresses_come_and_go_while_other_connections_go_on() -> None:
    more = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        if scope["path"] == "/slow":
            await more.wait()
        await send({"type": "http.response.body", "body": b"done"})

    async with serving(app) as server, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        own, other = (f"http://127.0.0.{n}:{server.config.port}" for n in (1, 2))
        with pytest.raises(httpx.ConnectError):
            await client.get(other)
        async with client.stream("GET", f"{own}/slow") as answer:
            await server.listen_also(["127.0.0.2"])
            await server.listen_also(["127.0.0.2"])
            assert (await client.get(other)).text == "begun done"
            async with client.stream("GET", f"{other}/slow") as cut_off:
                await server.listen_also([])
                with pytest.raises(httpx.TransportError):
                    await cut_off.aread()
            with pytest.raises(httpx.TransportError):
                await client.get(other)
            more.set()
            assert (await answer.aread()).decode() == "begun done"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")
async def test_an_address_that_another_program_has_is_named_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    async with serving(app) as server:
        monkeypatch.setattr(home_module, "home_addresses", lambda: ["127.0.0.2"])
        network = network_of(tmp_path, port=server.config.port)
        network.listen = server.listen_also
        with socket.socket() as taken:
            taken.bind(("127.0.0.2", server.config.port))
            taken.listen()
            there = f"cannot listen at 127.0.0.2. Another program may have port {server.config.port} there"
            with pytest.raises(LocalRLMError, match=there):
                await network.turn(HTTPConnection(request()), True)
        assert not network.is_open
        news = await network.turn(HTTPConnection(request()), True)
        assert network.is_open
        assert news.password, "it was made up by the first try, and nobody has seen it yet"
        await network.turn(HTTPConnection(request()), False)
        assert not (await network.turn(HTTPConnection(request()), True)).password
        await network.turn(HTTPConnection(request()), False)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")
async def test_an_address_that_cannot_be_used_keeps_no_other_closed_and_is_named_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"here"})

    async with serving(app) as server, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        port = server.config.port
        for module in (home_module, access_module):
            monkeypatch.setattr(module, "home_addresses", lambda: ["127.0.0.2", "127.0.0.3"])
        network = network_of(tmp_path, port=port)
        network.listen = server.listen_also
        owner = HTTPConnection(request())
        with socket.socket() as taken:
            taken.bind(("127.0.0.2", port))
            taken.listen()
            await network.turn(owner, True)
            assert (await client.get(f"http://127.0.0.3:{port}")).text == "here"
            state = network.state(owner)
            assert state.addresses == (f"http://127.0.0.3:{port}",)
            assert "cannot listen at 127.0.0.2." in home_network(state, NOTHING_NEW)
            assert network.access.invitation_url().startswith(f"http://127.0.0.3:{port}/")
        assert "cannot come in at 127.0.0.2: " in caplog.text
        monkeypatch.setattr(home_module, "LOOK_SECONDS", 0.01)
        both = asyncio.Event()

        async def listen(there: Collection[str]) -> dict[str, OSError]:
            refused = await server.listen_also(there)
            if not refused:
                both.set()
            return refused

        network.listen = listen
        following = asyncio.create_task(network.follow())
        await asyncio.wait_for(both.wait(), 30)
        assert (await client.get(f"http://127.0.0.2:{port}")).text == "here"
        await network.turn(owner, False)
        await network.turn(owner, True)
        assert not network.state(owner).trouble
        following.cancel()
        await network.turn(owner, False)


async def test_a_switch_that_cannot_be_remembered_opens_nothing_and_keeps_the_password_for_the_next_try(
    tmp_path: Path,
) -> None:
    network, owner = network_of(tmp_path), HTTPConnection(request())
    listened: list[list[str]] = []

    async def listen(there: Collection[str]) -> dict[str, OSError]:
        listened.append(list(there))
        return {}

    network.listen = listen
    network.config = unwritable(tmp_path)
    with pytest.raises(LocalRLMError, match=r"stays closed.*settings\.json cannot be written \("):
        await network.turn(owner, True)
    assert not network.is_open
    assert listened[-1] == []
    network.config = tmp_path / "settings.json"
    assert (await network.turn(owner, True)).password
    network.config = unwritable(tmp_path)
    with pytest.raises(LocalRLMError, match="closed now, but open again at the next start"):
        await network.turn(owner, False)
    assert not network.is_open


async def test_a_setting_that_cannot_be_kept_counts_and_says_so(tmp_path: Path) -> None:
    engine = RLMEngine(Settings(), data_dir=tmp_path)
    control = Control(engine, Access.loopback(), unwritable(tmp_path))
    said = await control.save(Tab("", "local"), "temperature", 0.2)
    assert said
    assert said.startswith("It counts until LocalRLM ends. The settings file ")
    assert engine.settings.temperature == 0.2
    await engine.close()


def unwritable(folder: Path) -> Path:
    """A settings file that nobody can write, root neither: where its folder should be there is a link that leads nowhere."""
    place = folder / "unmounted"
    if not place.is_symlink():
        place.symlink_to(folder / "no" / "such" / "place")
    return place / "settings.json"


async def test_whatever_goes_wrong_while_addresses_are_followed_is_logged_and_the_next_look_may_go_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(home_module, "LOOK_SECONDS", 0.01)
    looks = iter([ValueError("an interface without a name")] * 3)

    def addresses() -> list[str]:
        if wrong := next(looks, None):
            raise wrong
        return ["192.168.7.9"]

    monkeypatch.setattr(home_module, "home_addresses", addresses)
    network = network_of(tmp_path)
    network.access.open_home(tmp_path)
    listening = asyncio.Event()

    async def listen(there: Collection[str]) -> dict[str, OSError]:
        listening.set()
        return {}

    network.listen = listen
    following = asyncio.create_task(network.follow())
    await asyncio.wait_for(listening.wait(), 30)
    following.cancel()
    assert caplog.text.count("cannot be followed: an interface without a name") == 1


async def test_background_work_that_fails_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("the attic is full")

    task = asyncio.create_task(work())
    task.add_done_callback(ended)
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert "LocalRLM goes on without it" in caplog.text
    assert "the attic is full" in caplog.text


def network_of(folder: Path, *, port: int = 8000) -> HomeNetwork:
    config = folder / "settings.json"
    engine = RLMEngine(Settings.load(config, environment={}), data_dir=folder)
    return HomeNetwork(engine, Access.loopback(port=port), config)


async def test_a_new_address_of_this_computer_is_listened_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home_module, "LOOK_SECONDS", 0.01)
    addresses = ["192.168.7.9"]
    monkeypatch.setattr(home_module, "home_addresses", lambda: list(addresses))
    network = network_of(tmp_path)
    listened: list[list[str]] = []
    moved = asyncio.Event()

    async def listen(there: Collection[str]) -> dict[str, OSError]:
        listened.append(list(there))
        if "192.168.7.77" in there:
            moved.set()
        return {}

    network.listen = listen
    following = asyncio.create_task(network.follow())
    news = await network.turn(HTTPConnection(request()), True)
    assert news.password
    assert listened[0] == ["192.168.7.9"], "nothing was listened on before"
    addresses[:] = ["192.168.7.77"]
    await asyncio.wait_for(moved.wait(), 30)
    await network.turn(HTTPConnection(request()), False)
    assert listened[-1] == []
    following.cancel()


async def test_the_switch_is_for_the_owner_at_this_computer(tmp_path: Path) -> None:
    network = network_of(tmp_path)
    for visitor, why in (
        (request(user="anna"), "Only the owner"),
        (request(client=PHONE, server=OWN, host="192.168.7.9:8000"), "computer that runs LocalRLM"),
    ):
        with pytest.raises(NotAllowed, match=why):
            await network.turn(HTTPConnection(visitor), True)
    assert not network.is_open
    for work in (network.add, network.make_key):
        with pytest.raises(NotAllowed, match="Open LocalRLM"):
            await work(HTTPConnection(request()), "x")
    await network.turn(HTTPConnection(request()), True)
    with pytest.raises(NotAllowed, match="Only the owner"):
        await network.act(HTTPConnection(request(user="anna")), {"action": "remove", "id": "owner"})
    assert network.state(HTTPConnection(request(user="anna"))).people == ()
    network.access.password_here = True
    with pytest.raises(NotAllowed, match="--lan"):
        await network.turn(HTTPConnection(request()), False)


async def test_the_choice_is_written_and_nothing_else_changes(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"temperature": 0.3}', encoding="utf-8")
    network = network_of(tmp_path)
    await network.turn(HTTPConnection(request()), True)
    stored = Settings.load(tmp_path / "settings.json", environment={})
    assert (stored.server.lan, stored.temperature) == (True, 0.3)
    assert network.engine.settings.server.lan is True


# the command line


def started_with(folder: Path, *arguments: str, **server: object) -> Access:
    given: argparse.Namespace = parse(["--data", str(folder), *arguments])
    return access_of(Settings().changed({"server": server}), given)


def test_lan_and_the_remembered_switch_differ_in_the_log_in_here(tmp_path: Path) -> None:
    alone, lan = started_with(tmp_path), started_with(tmp_path, "--lan")
    switched = started_with(tmp_path, lan=True)
    assert (alone.accounts, alone.scheme) == (None, "http")
    assert lan.accounts is not None
    assert lan.password_here
    assert "login#token=" in lan.first_url
    assert switched.accounts is not None
    assert not switched.password_here
    assert switched.first_url == "http://127.0.0.1:8000/"
    assert "open to your home network" in switched.announcement()
    assert started_with(tmp_path, host="::1").first_url == "http://[::1]:8000/"
    with pytest.raises(LocalRLMError, match="Use --lan"):
        started_with(tmp_path, host="0.0.0.0")


def test_https_takes_a_given_or_a_self_made_certificate(tmp_path: Path) -> None:
    own = started_with(tmp_path, "--https")
    assert own.certificate is not None
    assert own.first_url == "https://127.0.0.1:8000/"
    files = ("--certificate", str(own.certificate[0]), "--key", str(own.certificate[1]))
    assert started_with(tmp_path, "--lan", *files).invitation_url().startswith("https://")
    assert not own.renew_certificate(), "nothing has changed"


def test_a_certificate_that_cannot_be_used_is_named_before_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = started_with(tmp_path / "one", "--https").certificate
    other = started_with(tmp_path / "two", "--https").certificate
    assert own is not None
    assert other is not None
    with pytest.raises(LocalRLMError, match="There is no file"):
        started_with(tmp_path, "--certificate", str(tmp_path / "x.pem"), "--key", str(own[1]))
    with pytest.raises(LocalRLMError, match="the key must belong to the certificate"):
        started_with(tmp_path, "--certificate", str(own[0]), "--key", str(other[1]))
    with pytest.raises(SystemExit):
        parse(["--certificate", str(own[0])])
    assert "belong together" in capsys.readouterr().err


def test_the_self_made_certificate_follows_the_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "home_addresses", lambda: ["192.168.7.9"])
    access = started_with(tmp_path, "--https")
    assert access.certificate is not None
    before = access.certificate[0].read_bytes()
    monkeypatch.setattr(access_module, "home_addresses", lambda: ["192.168.7.77"])
    assert access.renew_certificate()
    assert access.certificate[0].read_bytes() != before

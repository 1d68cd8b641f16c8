from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rlm_core.security import Access
from tests.api.server import RunningApp
from tests.scripted.ollama_server import ScriptedOllama
from tests.scripted.script import ChatRequest, Reply

PASSWORD = "three-quiet-owls"
STORY = " ".join(f"word{number}" for number in range(400))


def script(request: ChatRequest) -> str | Reply:
    """What the model says: it obeys the last word in capitals that it sees."""
    asked = request.last
    if "HOLD" in asked:
        return Reply(STORY, hold_after=60)
    if "STORY" in asked:
        return STORY
    if "THINK" in asked:
        return Reply("After some thought: yes.", thinking="Let me see.")
    if "BREAK" in asked:
        return Reply(status=500, error="the model runner has crashed")
    if "MARKUP" in asked:
        return (
            '<img src="https://evil.example/?d=1"><script>alert(1)</script> ![x](https://evil.example/y.png)'
        )
    if "ECHO" in asked:
        return f"You said: {asked[asked.rindex('ECHO') :]}"
    return "Hello there, friend."


@pytest.fixture(scope="package")
def ollama() -> Iterator[ScriptedOllama]:
    with ScriptedOllama(script) as server:
        yield server


@pytest.fixture(scope="package")
def app(ollama: ScriptedOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """Open to this computer only, as by default."""
    with RunningApp(tmp_path_factory.mktemp("loopback"), ollama.url) as running:
        yield running


@pytest.fixture
def client(app: RunningApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=30) as client:
        yield client


@dataclass(frozen=True)
class Home:
    """An application behind the log-in, with its owner and one more user."""

    app: RunningApp

    def anonymous(self) -> httpx.Client:
        return httpx.Client(base_url=self.app.url, timeout=30)

    def log_in(self, name: str = "owner", password: str = PASSWORD) -> httpx.Client:
        client = self.anonymous()
        response = client.post("/login", data={"name": name, "password": password})
        assert response.status_code == 200, response.text
        return client


@pytest.fixture(scope="package")
def home(ollama: ScriptedOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """As with ``--lan``, but listening on the loopback address only."""
    folder: Path = tmp_path_factory.mktemp("home")
    access = Access.home_network(folder, password=PASSWORD)
    access.host = "127.0.0.1"
    assert access.accounts is not None
    access.accounts.add("anna", "annas-own-password")
    with RunningApp(folder, ollama.url, access=access) as running:
        yield Home(running)


@pytest.fixture
def owner(home: Home) -> Iterator[httpx.Client]:
    client = home.log_in()
    yield client
    client.close()


@pytest.fixture
def anna(home: Home) -> Iterator[httpx.Client]:
    client = home.log_in("anna", "annas-own-password")
    yield client
    client.close()

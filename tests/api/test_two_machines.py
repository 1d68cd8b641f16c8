"""Two machines for real: `app.py --lan` in one network namespace, a browser and a program in another, a cable between."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER, CLIENT, PORT = "10.77.0.1", "10.77.0.2", 8123


def can_make_machines() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"rlm-try-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        return False
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return True


pytestmark = pytest.mark.skipif(
    not can_make_machines(), reason="network namespaces need Linux, root and the `ip` command"
)


@dataclass(frozen=True)
class Network:
    """Two namespaces joined by a cable. ``there`` and ``here`` are how commands are run in each."""

    there: list[str]
    here: list[str]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    number = os.getpid() % 100_000
    server, client = f"rlm-s-{number}", f"rlm-c-{number}"
    near, far = f"rs{number}", f"rc{number}"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    with ExitStack() as undo:
        for name in (server, client):
            ip("netns", "add", name)
            undo.callback(ip, "netns", "delete", name)
        ip("link", "add", near, "netns", server, "type", "veth", "peer", "name", far, "netns", client)
        for name, cable, address in ((server, near, SERVER), (client, far, CLIENT)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield Network(["ip", "netns", "exec", server], ["ip", "netns", "exec", client])


@pytest.fixture(scope="module")
def announced(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the terminal of the server shows, once it listens."""
    folder = tmp_path_factory.mktemp("lan")
    model_server = [sys.executable, "-m", "tests.scripted.ollama_server", "--port", "11511"]
    app = [
        *(sys.executable, "-u", "app.py", "--lan", "--no-browser", "--port", str(PORT)),
        *("--data", str(folder / "data"), "--config", str(folder / "settings.json")),
        *("--backend", "ollama", "--base-url", "http://127.0.0.1:11511"),
    ]
    log = folder / "app.log"
    with ExitStack() as stack, log.open("w", encoding="utf-8") as out:
        for command in ([*model_server, "--script", "tests.api.conftest:script", "--window", "8192"], app):
            process = subprocess.Popen(
                [*network.there, *command], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT
            )
            stack.callback(process.wait, 120)
            stack.callback(process.terminate)
        wait = "import sys,httpx,time\nfor _ in range(1000):\n try:\n  httpx.get(sys.argv[1], trust_env=False); break\n except httpx.TransportError: time.sleep(0.1)\nelse: sys.exit(1)"
        listening = subprocess.run(
            [*network.here, sys.executable, "-c", wait, f"http://{SERVER}:{PORT}/login"], timeout=120
        )
        text = log.read_text(encoding="utf-8")
        assert listening.returncode == 0, text
        yield text


def test_the_server_shows_its_address_a_code_and_a_made_up_password(announced: str) -> None:
    assert f"http://{SERVER}:{PORT}" in announced
    assert re.search(r"password  [a-z0-9]{5}-[a-z0-9]{5}-[a-z0-9]{5} ", announced)
    assert "█" in announced or "▀" in announced


def test_another_device_comes_in_with_the_password_only(network: Network, announced: str) -> None:
    password = re.search(r"password  ([a-z0-9-]+)  ", announced)
    assert password is not None
    token = invitation(network, password[1])
    finished = subprocess.run(
        [*network.here, sys.executable, "-m", "tests.api.far_client",
         f"http://{SERVER}:{PORT}", password[1], token],
        cwd=ROOT, capture_output=True, text=True, timeout=170,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    seen = json.loads(finished.stdout)
    assert set(seen["open"].values()) == {401}
    assert seen["foreign_host"] == 400
    assert seen["answer"] == "Hello there, friend."
    assert seen["fetch"] == 404
    assert seen["led_to"] == "/login"
    assert seen["chat"] is True
    assert seen["complaints"] == []
    assert seen["phone_at"] == "/"


def invitation(network: Network, password: str) -> str:
    """The token in an invitation that the owner makes on the server itself."""
    program = (
        "import sys,httpx\n"
        "c = httpx.Client(base_url=sys.argv[1], trust_env=False)\n"
        "c.post('/login', data={'name': 'owner', 'password': sys.argv[2]}).raise_for_status()\n"
        "print(c.post('/account/invitations', json={'name': 'owner'}).json()['url'])"
    )
    command = [*network.there, sys.executable, "-c", program, f"http://127.0.0.1:{PORT}", password]
    url = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    assert url.startswith(f"http://{SERVER}:{PORT}/login#token=")
    return url.partition("#token=")[2]

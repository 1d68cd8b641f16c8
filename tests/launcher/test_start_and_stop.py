"""Starting and stopping, through the shell scripts, with a real environment and a stand-in app."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

from rlm_core.security.certificate import own_certificate
from tests.launcher.checkout import Checkout, free_port, read, wait_for


def opened(checkout: Checkout) -> list[str]:
    file = checkout.bin / "opened"
    return file.read_text().splitlines() if file.exists() else []


def test_it_starts_the_app_with_its_arguments_and_installs_nothing_again(
    checkout: Checkout, tmp_path: Path
) -> None:
    with checkout.running(tmp_path / "my däta", "--note", "two words, ünd äll") as launcher:
        seen = read(tmp_path / "my däta" / "seen.json")
        url = read(tmp_path / "my däta" / "app.json")["url"]
        assert seen["argv"][:2] == ["--note", "two words, ünd äll"]  # type: ignore[index]
        assert seen["utf8"] == "1"
        assert urllib.request.urlopen(str(url)).read() == b"hello"
        assert checkout.run("--data", str(tmp_path / "my däta"), script="stop.sh")[0] == 0
        said = launcher.communicate(timeout=60)[0]
    assert "Installing" not in said
    assert launcher.returncode == 0


def test_stopping_is_graceful_and_says_so(checkout: Checkout, tmp_path: Path) -> None:
    with checkout.running(tmp_path):
        code, said = checkout.run("--data", str(tmp_path), script="stop.sh")
        assert code == 0
        assert "everything said is saved" in said
        assert (tmp_path / "saved").read_text() == "in-flight answers"
        assert not (tmp_path / "app.json").exists()
    assert "LocalRLM is not running." in checkout.run("--data", str(tmp_path), script="stop.sh")[1]


def test_stopping_also_ends_an_app_that_was_started_by_hand(checkout: Checkout, tmp_path: Path) -> None:
    app = subprocess.Popen(
        [checkout.root / ".venv/bin/python", "app.py", "--port", str(free_port()), "--data", tmp_path],
        cwd=checkout.root,
    )
    wait_for((tmp_path / "app.json").exists)
    code, _ = checkout.run("--data", str(tmp_path), script="stop.sh")
    assert code == 0
    assert app.wait(timeout=30) == 0
    assert (tmp_path / "saved").exists()


def test_a_second_start_opens_the_page_that_already_runs(checkout: Checkout, tmp_path: Path) -> None:
    with checkout.running(tmp_path):
        url = str(read(tmp_path / "app.json")["url"])
        code, said = checkout.run("--data", str(tmp_path))
        assert code == 0
        assert f"LocalRLM is already running at {url}" in said
        wait_for(lambda: url in opened(checkout))


def test_an_encrypted_page_with_a_self_made_certificate_is_recognised_too(
    checkout: Checkout, tmp_path: Path
) -> None:
    certificate, key = own_certificate(tmp_path / "https", ["127.0.0.1"])
    with checkout.running(tmp_path, "--certificate", str(certificate), "--key", str(key)):
        url = str(read(tmp_path / "app.json")["url"])
        assert url.startswith("https://")
        code, said = checkout.run("--data", str(tmp_path))
        assert code == 0
        assert f"LocalRLM is already running at {url}" in said
        wait_for(lambda: url in opened(checkout))
        assert checkout.run("--data", str(tmp_path), script="stop.sh")[0] == 0


def test_two_starts_at_the_same_moment_give_one_app(checkout: Checkout, tmp_path: Path) -> None:
    port = str(free_port())
    both = [checkout.launch("--data", str(tmp_path), "--port", port, "--no-browser") for _ in range(2)]
    wait_for(lambda: any(process.poll() is not None for process in both))
    second, first = sorted(both, key=lambda process: process.poll() is None)
    assert "already running" in second.communicate()[0]
    assert second.returncode == 0
    assert checkout.run("--data", str(tmp_path), script="stop.sh")[0] == 0
    assert first.wait(timeout=60) == 0


def test_a_port_of_another_program_gives_one_sentence_with_the_way_out(
    checkout: Checkout, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = checkout.run("--data", str(tmp_path), "--port", str(port))
    assert code == 1
    assert said.strip().splitlines()[-1] == (
        f"Port {port} is used by another program. End that program, or start with another port: "
        f"./launch.sh --port {port + 1}"
    )


def test_the_port_in_the_settings_file_is_the_one_that_is_looked_at(
    checkout: Checkout, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = tmp_path / "settings.json"
        config.write_text(json.dumps({"server": {"port": port}}))
        code, said = checkout.run("--data", str(tmp_path), "--config", str(config))
    assert code == 1
    assert f"Port {port} is used" in said


def test_the_exit_code_of_an_app_that_fails_is_passed_on(checkout: Checkout, tmp_path: Path) -> None:
    code, _ = checkout.run("--data", str(tmp_path), "--port", str(free_port()), "--fail", "3")
    assert code == 3


def test_a_file_left_behind_by_a_crash_does_not_stop_the_next_start(
    checkout: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "app.json").write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:9"}))
    process = checkout.launch("--data", str(tmp_path), "--port", str(free_port()))
    wait_for(lambda: read(tmp_path / "app.json")["pid"] != os.getpid())
    assert checkout.run("--data", str(tmp_path), script="stop.sh")[0] == 0
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_ctrl_c_ends_the_app_gracefully(checkout: Checkout, tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        [checkout.root / "launch.sh", "--data", tmp_path, "--port", str(free_port())],
        env=checkout.environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for((tmp_path / "app.json").exists)
    os.killpg(launcher.pid, signal.SIGINT)  # what a terminal does: everyone in the group gets it
    assert launcher.wait(timeout=60) == 0
    assert (tmp_path / "saved").exists()


def test_an_installed_ollama_is_started_with_its_settings_and_ended_with_the_app(
    checkout: Checkout, tmp_path: Path
) -> None:
    ollama = checkout.stand_in_ollama()
    try:
        with checkout.running(tmp_path) as launcher:
            pid = int(str(read(tmp_path / "ollama.json")["pid"]))
            environment = read(checkout.bin / "environment.json")
            code, _ = checkout.run("--data", str(tmp_path), script="stop.sh")
            assert code == 0
            said = launcher.communicate(timeout=60)[0]
    finally:
        ollama.unlink()
    assert environment["OLLAMA_FLASH_ATTENTION"] == "1"
    assert environment["OLLAMA_KV_CACHE_TYPE"] == "q8_0"
    assert environment["OLLAMA_NO_CLOUD"] == "1"
    assert "Ollama is running." in said
    wait_for(
        lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def test_an_ollama_that_ran_before_is_left_running(checkout: Checkout, tmp_path: Path) -> None:
    ollama = checkout.stand_in_ollama()
    server = subprocess.Popen([ollama, "serve"], env=checkout.environment)
    try:
        wait_for(lambda: answers(checkout.environment["OLLAMA_HOST"]))
        with checkout.running(tmp_path):
            pass
        assert server.poll() is None
        assert not (tmp_path / "ollama.json").exists()
    finally:
        server.terminate()
        server.wait()
        ollama.unlink()


def test_an_ollama_that_cannot_start_does_not_stop_the_app(checkout: Checkout, tmp_path: Path) -> None:
    ollama = checkout.stand_in("ollama", "#!/bin/sh\necho no driver; exit 1\n")
    try:
        with checkout.running(tmp_path) as launcher:
            checkout.run("--data", str(tmp_path), script="stop.sh")
            said = launcher.communicate(timeout=60)[0]
    finally:
        ollama.unlink()
    assert f"Ollama did not start (its messages are in {tmp_path / 'ollama.log'})" in said
    assert (tmp_path / "ollama.log").read_text() == "no driver\n"


def test_another_backend_leaves_ollama_alone(checkout: Checkout, tmp_path: Path) -> None:
    ollama = checkout.stand_in_ollama()
    calls = checkout.bin / "calls"
    calls.unlink(missing_ok=True)
    try:
        with checkout.running(tmp_path, LOCALRLM_BACKEND="embedded"):
            pass
    finally:
        ollama.unlink()
    assert not calls.exists()


def test_the_tests_get_their_arguments_and_their_exit_code_counts(checkout: Checkout) -> None:
    code, said = checkout.run("test", "-k", "a name", "tests/x")
    assert code == 0
    assert "pytest was called with ['-k', 'a name', 'tests/x']" in said
    assert checkout.run("test", "--break-pytest")[0] == 1


def test_check_runs_every_check_and_names_what_failed(checkout: Checkout) -> None:
    code, said = checkout.run("check")
    assert code == 0
    assert [line.split()[0] for line in said.splitlines() if "was called" in line] == [
        "ruff",
        "ruff",
        "mypy",
        "pytest",
    ]
    assert said.strip().endswith("Everything is in order.")
    code, said = checkout.run("check", "--break-pytest")
    assert code == 1
    assert "Not in order: the tests." in said


def answers(host: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{host}/api/version").close()
    except OSError:
        return False
    return True

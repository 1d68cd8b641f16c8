"""Making the environment: once, again after a change, and with a clear sentence when it fails."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from launcher import environment
from launcher.places import Places
from launcher.sentences import LaunchError
from tests.launcher.checkout import Checkout

Usage = namedtuple("Usage", "total used free")


def test_only_a_changed_file_is_installed_again(checkout: Checkout) -> None:
    file = checkout.root / "requirements-models.txt"
    before = file.read_text()
    file.write_text(before + "./runtime-1.0-py3-none-any.whl\n")
    try:
        said = checkout.run("setup")[1]
        assert "Installing requirements-models.txt (1 of 1)." in said
        assert "requirements.txt" not in said
        assert "Installing" not in checkout.run("setup")[1]
    finally:
        file.write_text(before)


def test_a_changed_comment_is_no_change(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_bytes(b"# why\npandas==3.1.1   # tables\n\n")
    two.write_bytes(b"pandas==3.1.1\r\n")
    assert environment.fingerprint(one) == environment.fingerprint(two)
    two.write_bytes(b"pandas==3.1.2\n")
    assert environment.fingerprint(one) != environment.fingerprint(two)


def test_a_failed_installation_says_why_and_the_next_try_works(checkout: Checkout) -> None:
    file = checkout.root / "requirements.txt"
    before = file.read_text()
    file.write_text(before + "a-package-that-does-not-exist==1\n")
    try:
        code, said = checkout.run("setup")
        assert code == 1
        last = said.strip().splitlines()[-1]
        assert last.startswith(
            "The packages of requirements.txt could not be installed. A package does not exist for this Python"
        )
        assert last.endswith(f"(Log: {checkout.root / 'data' / 'install.log'})")
    finally:
        file.write_text(before)
    code, said = checkout.run("setup")
    assert code == 0, said


def test_a_broken_environment_is_made_anew(checkout: Checkout) -> None:
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    code, said = checkout.run("setup")
    assert code == 0, said
    assert "does not work any more" in said
    assert "Everything is installed." in said


def test_a_full_disk_is_noticed_before_anything_is_downloaded(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 99, 1_200_000_000))
    monkeypatch.setattr(environment, "install", lambda *_, **__: pytest.fail("something was installed"))
    (checkout.root / "requirements-dev.txt").write_text("something-new==1\n")
    places = Places(checkout.root)
    with pytest.raises(LaunchError) as failure:
        environment.prepare(places, tests=True)
    (checkout.root / "requirements-dev.txt").write_text("# why\n./tools-1.0-py3-none-any.whl\n")
    assert str(failure.value) == (
        f"The installation needs about 3.0 GB, but the disk of {checkout.root} has only 1.2 GB free. "
        "Free some space and start again."
    )


@pytest.mark.parametrize(
    ("sign", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full."),
        ("socket.gaierror: [Errno 11001] getaddrinfo failed", "There is no connection to the internet"),
        ("Read timed out.", "The connection to the internet was too slow."),
        ("something nobody has seen before", "Start again; if it fails again, the log tells why."),
    ],
)
def test_the_usual_causes_are_said_in_words(tmp_path: Path, sign: str, sentence: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "install.log").write_text(f"2026 {sign}\n")
    places = Places(tmp_path)
    (tmp_path / "requirements.txt").write_text("x\n")
    said = environment.explain(places, "requirements.txt")
    assert sentence in said
    assert "%s" not in said

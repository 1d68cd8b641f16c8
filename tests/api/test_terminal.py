"""`python -m rlm_core` as a program: what it prints where, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlm_core.security import Accounts
from tests.scripted.ollama_server import ScriptedOllama

ROOT = Path(__file__).parents[2]
Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def common(ollama: ScriptedOllama, tmp_path: Path) -> list[str]:
    return [
        *("--backend", "ollama", "--base-url", ollama.url),
        *("--data", str(tmp_path / "data"), "--config", str(tmp_path / "settings.json")),
    ]


@pytest.fixture
def ask(common: list[str]) -> Ask:
    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rlm_core", "ask", *arguments, *common]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, timeout=60
        )

    return run


def test_the_answer_is_on_standard_output_and_the_steps_on_standard_error(ask: Ask) -> None:
    done = ask("Hi!")
    assert done.returncode == 0
    assert done.stdout == "Hello there, friend.\n"
    assert "direct" in done.stderr
    assert "qwen3:8b" in done.stderr


def test_json_is_one_object_with_everything(ask: Ask, tmp_path: Path) -> None:
    done = ask("Hi!", "--json", "--quiet")
    values = json.loads(done.stdout)
    assert done.stderr == ""
    assert values["answer"] == "Hello there, friend."
    assert values["route"] == "direct"
    assert values["partial"] is False
    assert {"reason", "citations", "usage"} <= set(values)
    assert (tmp_path / "data" / "traces" / f"{values['trace_id']}.jsonl").exists()


def test_files_and_piped_text_are_material(ask: Ask, ollama: ScriptedOllama, tmp_path: Path) -> None:
    note = tmp_path / "größe & maß.txt"
    note.write_text("The fence is two metres high.", encoding="utf-8")
    assert ask("How high is it?", "--mode", "direct", "--file", str(note)).returncode == 0
    assert "two metres" in str(ollama.requests[-1]["messages"])
    assert ask("How deep is it?", "--mode", "direct", stdin="The well is nine metres deep.").returncode == 0
    assert "nine metres" in str(ollama.requests[-1]["messages"])


def test_several_files_may_follow_one_option(ask: Ask, ollama: ScriptedOllama, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.txt").write_text(f"This is file {name}.", encoding="utf-8")
    files = [str(tmp_path / f"{name}.txt") for name in ("one", "two", "three")]
    told = "Which files?", "--mode", "direct"
    for arguments in (
        (*told, "--file", *files, "--quiet"),
        (*told, "--file", files[0], "--file", *files[1:]),
        ("--mode", "direct", "--file", files[0], "Which files?", *files[1:]),
    ):
        assert ask(*arguments).returncode == 0
        said = str(ollama.requests[-1]["messages"])
        assert [f"file {name}." in said for name in ("one", "two", "three")] == [True] * 3
    stray = ask("Hi!", "there")
    assert (stray.returncode, stray.stdout) == (2, "")
    assert "unrecognized arguments: there" in stray.stderr


def test_wrong_arguments_end_with_2_and_a_sentence(ask: Ask, tmp_path: Path) -> None:
    missing = ask("Hi!", "--file", str(tmp_path / "nothing.txt"))
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "There is no file" in missing.stderr
    (tmp_path / "settings.json").write_text('{"temperatur": 1}', encoding="utf-8")
    wrong = ask("Hi!")
    assert wrong.returncode == 2
    assert "temperatur" in wrong.stderr
    assert "Traceback" not in missing.stderr + wrong.stderr


def test_a_failing_model_server_means_no_answer_and_ends_with_1(ask: Ask) -> None:
    broken = ask("BREAK")
    assert broken.returncode == 1
    assert broken.stdout == ""
    assert "crashed" in broken.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one child process")
def test_ctrl_c_keeps_what_is_there_and_ends_with_130(common: list[str]) -> None:
    command = [sys.executable, "-u", "-m", "rlm_core", "ask", "HOLD it", *common]
    import pty

    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    os.close(theirs)
    seen = ""
    while "word3" not in seen:  # the answer grows on a terminal
        seen += os.read(terminal, 1000).decode()
    process.send_signal(signal.SIGINT)
    _, steps = process.communicate(timeout=30)
    os.close(terminal)
    assert process.returncode == 130
    assert "partial" in steps


def test_users_are_managed_while_the_app_may_run(tmp_path: Path) -> None:
    def users(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rlm_core", "users", *arguments, "--data", str(tmp_path)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT, timeout=60)

    assert users("add", "anna", stdin="annas-own-password\n").returncode == 0
    made_up = users("add", "ben")
    assert "shown this once" in made_up.stdout
    assert users("list").stdout.split() == ["anna", "ben"]
    key = users("key", "anna").stdout.strip()
    accounts = Accounts(tmp_path / "access.sqlite3")
    assert accounts.check("anna", "annas-own-password") is not None
    assert accounts.by_key(key) == accounts.account("anna")
    assert users("password", "anna", stdin="another-password\n").returncode == 0
    assert accounts.check("anna", "another-password") is not None
    assert users("remove", "ben").returncode == 0
    assert users("remove", "nobody").returncode == 1
    assert "short" in users("add", "eve", stdin="short\n").stderr
    accounts.close()

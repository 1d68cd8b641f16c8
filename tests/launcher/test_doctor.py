"""`python -m rlm_core doctor`: each thing that can be wrong is named, with what to do."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from rlm_core import doctor
from rlm_core.settings import Settings
from tests.scripted.ollama_server import ScriptedModel, ScriptedOllama

Usage = namedtuple("Usage", "total used free")


def run(*arguments: str) -> tuple[int, str]:
    process = subprocess.run(
        [sys.executable, "-m", "rlm_core", "doctor", *arguments],
        capture_output=True,
        text=True,
        cwd=doctor.PROJECT,
    )
    return process.returncode, process.stdout


def test_this_installation_has_no_problem_that_the_tests_could_not_see(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = tmp_path / "settings.json"
    config.write_text(json.dumps({"server": {"port": port}, "backend": "embedded"}))
    code, said = run("--json", "--data", str(tmp_path / "data"), "--config", str(config))
    checks = {check["name"]: check for check in json.loads(said)}
    assert code == 0, said
    assert checks["Packages"]["level"] == "ok"
    assert checks["Embedded model"]["found"] == "SmolLM2-135M-Instruct, SHA-256 as published"
    assert checks["Embedding model"]["level"] == "ok"
    assert checks["Port"]["found"] == f"{port} is free"
    assert not (tmp_path / "data").exists(), "looking must not make anything"


def test_the_exit_code_and_the_last_line_say_that_there_is_a_problem(tmp_path: Path) -> None:
    config = tmp_path / "settings.json"
    config.write_text("{ broken")
    code, said = run("--data", str(tmp_path), "--config", str(config))
    assert code == 1
    assert f"{config} is damaged" in " ".join(said.split())
    assert said.splitlines()[-1] == "1 problem(s)."
    assert config.read_text() == "{ broken", "a damaged file is only looked at"


def test_a_setting_with_a_wrong_value_is_named(tmp_path: Path) -> None:
    config = tmp_path / "settings.json"
    config.write_text('{"limits": {"max_depth": 99}}')
    check, settings = doctor.check_settings(config)
    assert check.level == "problem"
    assert "limits.max_depth" in check.found
    assert settings == Settings()


def test_an_old_python_is_a_problem() -> None:
    assert doctor.check_python((3, 10, 2)).level == "problem"
    assert doctor.check_python((3, 11, 0)).level == "ok"


def test_a_missing_package_and_a_wrong_version_are_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "pytest==0.0.1   # why\n# a comment\nnothing-of-this-name==3\n"
    )
    (tmp_path / "requirements-models.txt").write_text("")
    check = doctor.check_packages(tmp_path)
    assert check.level == "problem"
    assert "instead of 0.0.1" in check.found
    assert "nothing-of-this-name is missing" in check.found


def test_a_damaged_database_is_found(tmp_path: Path) -> None:
    file = tmp_path / "memory.sqlite3"
    with sqlite3.connect(file) as connection:
        connection.execute("create table messages (text)")
        connection.executemany("insert into messages values (?)", [("x" * 500,)] * 500)
    connection.close()
    assert doctor.check_data(tmp_path).level == "ok"
    data = bytearray(file.read_bytes())
    data[8192:40960] = b"\xff" * (40960 - 8192)
    file.write_bytes(data)
    check = doctor.check_data(tmp_path)
    assert check.level == "problem"
    assert str(file) in check.found


def test_little_space_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 400_000_000))
    check = doctor.check_disk(tmp_path / "not" / "made" / "yet")
    assert check.level == "problem"
    assert check.found.startswith("0.4 GB free")


def test_a_port_of_another_program_is_told_from_our_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = Settings().changed({"server": {"port": port}})
        assert doctor.check_port(settings, tmp_path).level == "problem"
        (tmp_path / "app.json").write_text(json.dumps({"pid": 1, "url": f"http://127.0.0.1:{port}"}))
        assert doctor.check_port(settings, tmp_path).level == "ok"
    assert doctor.check_port(settings, tmp_path).found == f"{port} is free"


def test_a_graphics_card_is_described_and_its_absence_is_only_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.check_graphics().level == "note"
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA GeForce RTX 4060, 8188 MiB, 5400 MiB, 566.36'\n")
    program.chmod(0o755)
    check = doctor.check_graphics()
    assert (check.level, check.found) == ("ok", "NVIDIA GeForce RTX 4060, 8188 MiB, 5400 MiB, 566.36")


async def test_missing_models_come_with_the_command_that_gets_them() -> None:
    with ScriptedOllama(lambda request: "hello", models=(ScriptedModel("qwen3:8b"),)) as server:
        settings = Settings().changed({"backend": "ollama", "base_url": server.url})
        answering, models = await doctor.check_backend(settings)
        assert answering.level == "ok"
        assert models.level == "note"
        assert "`ollama pull glm-z1:9b`, `ollama pull qwen3:30b-a3b`" in models.remedy
        one = settings.changed({"models": dict.fromkeys(("fast", "tools", "quality"), "qwen3:8b")})
        assert (await doctor.check_backend(one))[1].level == "ok"


async def test_a_server_that_does_not_answer_is_a_problem_when_it_was_asked_for() -> None:
    settings = Settings().changed({"backend": "ollama", "base_url": "http://127.0.0.1:9"})
    (check,) = await doctor.check_backend(settings)
    assert check.level == "problem"
    assert "http://127.0.0.1:9" in check.found


def test_a_setting_that_sends_text_to_another_computer_is_pointed_out() -> None:
    assert doctor.check_stays_here(Settings()).level == "ok"
    assert doctor.check_stays_here(Settings(base_url="http://localhost:8000/v1")).level == "ok"
    check = doctor.check_stays_here(Settings(base_url="http://192.168.1.20:8000/v1"))
    assert check.level == "note"
    assert "192.168.1.20" in check.found

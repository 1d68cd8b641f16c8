"""The launcher's small decisions, one by one."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import graphics, ollama, processes, python_version
from launcher.places import Places
from launcher.running import Wishes
from launcher.sentences import LaunchError
from tests.launcher.checkout import PROJECT, Checkout, free_port, wait_for


@pytest.mark.parametrize("file", sorted((PROJECT / "launcher").glob("*.py")), ids=lambda file: file.name)
def test_a_python_3_8_can_read_the_launcher(file: Path) -> None:
    ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))


def test_the_launcher_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, launcher.__main__; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
                            capture_output=True, text=True, cwd=PROJECT, check=True).stdout.split()  # fmt: skip
    assert set(loaded) - set(sys.stdlib_module_names) - {"__main__", "launcher"} == set()


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 10, 13)])
def test_a_python_that_is_too_old_is_named_with_what_to_install(version: tuple[int, ...]) -> None:
    with pytest.raises(
        LaunchError, match=r"needs Python 3\.11 or newer, and this is Python 3\.(8|10)\.\d+\. Install"
    ):
        python_version.check(version)


@pytest.mark.parametrize(
    ("system", "command"),
    [("Windows", "winget install"), ("Darwin", "brew install"), ("Linux", "apt install")],
)
def test_what_to_install_is_said_for_each_system(system: str, command: str) -> None:
    assert command in python_version.how_to_install(system)


def test_a_32_bit_python_is_refused() -> None:
    with pytest.raises(LaunchError, match="64-bit"):
        python_version.check((3, 12, 1), bits=32)


def test_without_any_python_the_shell_script_says_what_to_install(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    code, said = checkout.run(PATH=str(tmp_path), PYTHON="")
    assert code == 1
    assert "LocalRLM needs Python 3.11 or newer, and no Python was found. Install it" in said


def test_an_old_python_is_taken_only_when_there_is_no_better_one(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    old = tmp_path / "python3"
    old.write_text(
        '#!/bin/sh\ncase "$2" in *"(3, 8)"*) exit 0;; *"(3, 11)"*) exit 1;; esac\necho "old one: $*"\n'
    )
    old.chmod(0o755)
    assert checkout.run("--x", PATH=str(tmp_path), PYTHON="")[1] == "old one: -m launcher --x\n"
    new = tmp_path / "python"
    new.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "new one: $*"\n')
    new.chmod(0o755)
    assert checkout.run("--x", PATH=str(tmp_path), PYTHON="")[1] == "new one: -m launcher --x\n"


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("127.0.0.1:11500", "http://127.0.0.1:11500"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:12000", "http://127.0.0.1:12000"),
        (":12000", "http://127.0.0.1:12000"),
        ("server.home", "http://server.home:11434"),
        ("http://server.home:8080/", "http://server.home:8080"),
        ("https://server.home", "https://server.home:443"),
        ("[::]:11434", "http://127.0.0.1:11434"),
        ("[::1]", "http://[::1]:11434"),
    ],
)  # fmt: skip
def test_the_address_of_ollama_is_read_as_ollama_reads_it(setting: str, url: str) -> None:
    assert ollama.address(setting) == url


def test_models_are_offered_once_with_their_sizes(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = checkout.stand_in_ollama("ollama-models")
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{free_port()}")
    (checkout.bin / "calls").unlink(missing_ok=True)
    server = subprocess.Popen([program, "serve"], env=dict(os.environ))
    try:
        wait_for(ollama.is_running)
        asked: list[str] = []

        def asking(question: str) -> str:
            asked.append(question)
            return "y" if "glm" in question else ""

        places = Places(data=tmp_path)
        ollama.offer_models(places, str(program), asking=asking)
        ollama.offer_models(places, str(program), asking=asking)
    finally:
        server.terminate()
        server.wait()
    assert asked == ["Download glm-z1:9b (6.2 GB) now? [y/N]", "Download qwen3:30b-a3b (19.0 GB) now? [y/N]"]
    assert (checkout.bin / "calls").read_text().splitlines() == ["serve", "pull glm-z1:9b"]
    assert "glm-z1:9b could not be downloaded." in capsys.readouterr().err


def test_a_model_that_does_not_fit_on_the_disk_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "not" / "made" / "yet"))
    monkeypatch.setattr(ollama, "installed_models", lambda: {"glm-z1:9b", "qwen3:30b-a3b"})
    monkeypatch.setattr(ollama, "MODELS", (("huge:1t", 1_000_000.0, "too much"),))
    ollama.offer_models(Places(data=tmp_path), "/does/not/run", asking=lambda _: "yes")
    assert "huge:1t needs 1000000.0 GB, but only" in capsys.readouterr().err


def test_the_graphics_card_is_described_as_its_driver_does(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.stand_in("nvidia-smi", "#!/bin/sh\necho 'NVIDIA GeForce RTX 4060, 8188 MiB, 566.36'\n")
    monkeypatch.setenv("PATH", str(checkout.bin))
    assert graphics.describe() == "Graphics card: NVIDIA GeForce RTX 4060, 8188 MiB of memory, driver 566.36."
    checkout.stand_in("nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert "models run on the processor" in graphics.describe()
    (checkout.bin / "nvidia-smi").unlink()
    assert "models run on the processor" in graphics.describe()


def test_a_process_is_recognised_by_what_it_runs_not_by_its_number_alone() -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        wait_for(lambda: processes.is_alive(stranger.pid, "input()"))
        assert not processes.is_alive(stranger.pid, "app.py")
    finally:
        stranger.communicate(b"\n")
    assert not processes.is_alive(stranger.pid)


@pytest.mark.parametrize(
    ("arguments", "settings", "wanted"),
    [
        ([], {}, True), ([], {"backend": "auto"}, True), (["--backend", "ollama"], {"backend": "embedded"}, True), (["--backend=embedded"], {}, False),
        ([], {"backend": "openai"}, False), (["--base-url", "http://server.home:11434"], {}, False),
    ],
)  # fmt: skip
def test_ollama_is_started_only_when_the_settings_mean_the_one_on_this_computer(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], wanted: bool
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.json").write_text(json.dumps(settings))
    assert Wishes(arguments, tmp_path).wants_local_ollama is wanted


def test_on_windows_processes_are_looked_up_and_ended_with_its_own_programs(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = '"python.exe","4242","Console","1","81,000 K"'
    for name, body in (
        ("tasklist", f"case \"$2\" in *4242) echo '{row}';; *) echo 'INFO: No tasks';; esac"),
        ("taskkill", ""),
    ):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n{body}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(processes, "WINDOWS", True)
    assert processes.is_alive(4242)
    assert processes.is_alive(4242, "app.py"), "what runs app.py is python.exe"
    assert not processes.is_alive(4242, "ollama"), "the number was given to another program"
    assert not processes.is_alive(4243)
    processes.end(4242, seconds=1)
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "taskkill /PID 4242 /T /F"


def test_the_programs_own_help_is_shown(checkout: Checkout) -> None:
    code, said = checkout.run("--help")
    assert code == 0
    assert "--no-browser" in said

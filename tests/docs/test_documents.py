"""What the documents name exists: links, paths, settings, options, sentences."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import RestrictedPython

from rlm_core.doors.schemas import ChatRequest
from rlm_core.events import EVENT_TYPES
from rlm_core.settings import Settings
from tests.docs.markdown import DOCUMENTS, PAGES, PROJECT, SETUP, Block, Page, rows

SHELL_BLOCKS = [block for page in PAGES for block in page.blocks if block.language in {"sh", "bash"}]
MADE_WHILE_RUNNING = ("data/", "config/", ".venv")
SUFFIXES = (".py", ".md", ".txt", ".json", ".sh", ".bat", ".csv", ".log", ".css", ".js", ".toml")
OTHER_PROGRAMS = {
    "ollama": {"serve", "pull", "run", "ps", "create", "-f"},
    "nvidia-smi": {"--query-gpu=utilization.gpu,memory.used", "--format=csv", "--loop=1"},
    "vllm": {"serve", "--max-model-len", "--port", "--api-key"},
    "chroma": {"run", "--path", "--host", "--port"},
    "curl": {"-s", "-H", "-d", "-F"},
}
"""What the documents use of programs that are not ours, each checked by hand once."""


def pages(page: Page) -> str:
    return page.name


def test_every_document_is_there() -> None:
    assert [path.name for path in DOCUMENTS if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=pages)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file) if file else page.path
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            there = next(other for other in PAGES if other.path.resolve() == target.resolve())
            assert anchor in there.anchors, f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=pages)
def test_paths_exist(page: Page) -> None:
    for code in page.inline_code:
        is_path = re.fullmatch(r"[\w.][\w./*-]*", code) and (
            code.endswith((*SUFFIXES, "/")) or code.startswith("rlm_core/")
        )
        if not is_path or code.startswith(MADE_WHILE_RUNNING) or code in names_in_the_data_folder():
            continue
        places = [PROJECT / code.removeprefix("./"), page.path.parent / code, PROJECT / "sample_docs" / code]
        found = any(list(place.parent.glob(place.name)) for place in places) or code in file_names()
        assert found, f"{page.name} names {code}"


@cache
def file_names() -> set[str]:
    """The names of our modules and of RestrictedPython's: a document may speak of one without its folder."""
    folders = [PROJECT / name for name in ("rlm_core", "memory_store", "ui", "tests")]
    folders.append(Path(RestrictedPython.__file__).parent)
    return {file.name for folder in folders for file in folder.rglob("*.py")}


@cache
def names_in_the_data_folder() -> set[str]:
    return {
        name for row in rows(SETUP.section("The data folder")) for name in re.findall(r"`([^`]+)`", row[0])
    }


def test_the_files_of_the_data_folder_are_those_that_the_code_makes() -> None:
    code = sources()
    for name in names_in_the_data_folder():
        stem = name.rstrip("/")
        assert f'"{stem}"' in code or f"/ {stem!r}" in code, f"nothing in the code makes {name}"


@cache
def sources() -> str:
    folders = ("rlm_core", "memory_store", "ui", "launcher")
    files = [
        PROJECT / "app.py",
        *(file for folder in folders for file in sorted((PROJECT / folder).rglob("*.py"))),
    ]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_the_setup_guide_has_the_eight_chapters() -> None:
    chapters = re.findall(r"^## Chapter (\d): (.+)$", SETUP.prose, re.MULTILINE)
    assert [number for number, _ in chapters] == list("12345678")
    assert [title for _, title in chapters] == [
        "System overview", "Environment", "Models", "The RLM core", "The backend", "The page", "Integration", "Testing and verification",
    ]  # fmt: skip


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def test_every_setting_is_described_with_its_default() -> None:
    described = {
        row[0].strip("`"): json.loads(row[1].strip("`"))
        for row in rows(SETUP.section("config/settings.json"))
    }
    assert described == leaves(json.loads(Settings().model_dump_json()))


@pytest.mark.parametrize(
    "block", [b for page in PAGES for b in page.blocks if b.language == "json"], ids=lambda block: block.id
)
def test_json_examples_are_json_and_settings_among_them_are_accepted(block: Block) -> None:
    values = json.loads(block.text)
    if set(values) <= set(Settings.model_fields):
        Settings().changed(values)
    else:
        assert block.document in {"sample_docs/README.md"}, "neither settings nor a question"


def test_settings_named_in_the_text_exist() -> None:
    fields = leaves(Settings().model_dump())
    groups = {name.split(".")[0] for name in fields if "." in name}
    for page in PAGES:
        for code in page.inline_code:
            if re.fullmatch(rf"(?:{'|'.join(groups)})\.\w+", code) and not code.endswith(
                (*SUFFIXES, ".sqlite3")
            ):
                assert code in fields, f"{page.name} names the setting {code}"


def test_environment_variables_of_settings_are_understood() -> None:
    for page in PAGES:
        for name in re.findall(r"\bLOCALRLM_[A-Z_]*[A-Z]\b", page.prose):
            Settings.load(PROJECT / "there-is-no-such-file", environment={name: "600"})


def test_the_fields_of_a_chat_request_are_those_that_are_described() -> None:
    described = {row[0].strip("`") for row in rows(SETUP.section("Chat")) if len(row) == 2}
    assert described == set(ChatRequest.model_fields)


def test_all_events_are_named() -> None:
    sentence = re.search(r"The events are (.+?)\. Their fields", SETUP.section("Chat"), re.DOTALL)
    assert sentence
    assert set(re.findall(r"`(\w+)`", sentence[1])) == set(EVENT_TYPES)


@cache
def options_of(*command: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, *command, "--help"], capture_output=True, text=True, cwd=PROJECT, check=True
    )
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", run.stdout))


def test_the_arguments_of_the_app_are_those_that_are_described() -> None:
    described = {
        row[0].strip("`").split()[0] for row in rows(SETUP.section("The scripts")) if row[0].startswith("`--")
    }
    assert described == {option for option in options_of("app.py") if option.startswith("--")} - {"--help"}


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=lambda block: block.id)
def test_commands_use_programs_and_options_that_exist(block: Block) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if words:
            check_command(words)


def check_command(words: list[str]) -> None:
    program, *rest = words
    given = {word.split("=")[0] for word in rest if word.startswith("-")}
    if program in OTHER_PROGRAMS:
        first = (
            {rest[0]} if rest and not rest[0].startswith(("-", "http", "/")) and program != "curl" else set()
        )
        allowed = OTHER_PROGRAMS[program]
        assert {word for word in rest if word.startswith("-")} | first <= allowed, words
    elif program in {"./launch.sh", "launch.bat"}:
        known = {"setup", "test", "check", "doctor", "users"}
        assert not rest or rest[0] in known or given <= options_of("app.py"), words
    elif rest[:2] == ["-m", "rlm_core"]:
        assert given - {"-m"} <= options_of("-m", "rlm_core", rest[2]), words
    elif program.endswith("python") and rest[0] == "-m":
        assert given - {"-m"} <= options_of("-m", rest[1]), words
    elif program.endswith("python") and Path(rest[0]).suffix == ".py":
        assert given <= options_of(rest[0]), words
    else:
        pytest.fail(f"unknown program in {words}")


def test_messages_in_the_troubleshooting_table_are_said_by_the_program() -> None:
    code = re.sub(r'"\s*\n\s*f?"', "", sources())
    for symptom, _ in rows(SETUP.section("Troubleshooting")):
        for said in re.findall(r'"([^"]+)"', symptom):
            for part in re.sub(r"Port \d+", "…", said).split("…"):
                assert part.strip() in code or part.strip() == "libgomp.so.1", f"nothing says '{said}'"


def test_controls_named_in_the_chapter_on_the_page_are_on_the_page() -> None:
    page = "\n".join(
        file.read_text(encoding="utf-8") for file in (PROJECT / "app.py", *(PROJECT / "ui").glob("*.py"))
    )
    labels = re.findall(r"\*\*(.+?)\*\*", SETUP.section("Chapter 6: The page"))
    assert len(labels) > 20
    for label in labels:
        assert re.search(rf"""["'>]{re.escape(label)}["'<]""", page), f"there is no '{label}' on the page"


def test_questions_shown_with_a_sample_document_have_a_known_answer() -> None:
    known = {
        q["question"]: q["document"]
        for q in json.loads((PROJECT / "sample_docs" / "questions.json").read_text(encoding="utf-8"))
    }
    shown = 0
    for row in rows(SETUP.section("By hand")):
        document = re.search(r"`sample_docs/([\w.]+)`", row[1])
        for question in re.findall(r"\*([^*]+\?)\*", row[1]) if document else ():
            shown += 1
            assert known.get(question) == document[1], question  # type: ignore[index]
    assert shown >= 3


def test_no_document_promises_an_endpoint_elsewhere_than_at_the_default_address() -> None:
    server = Settings().server
    for page in PAGES:
        for host, port in re.findall(r"(?:http|ws)://(127\.0\.0\.1|localhost):(\d+)", page.prose):
            assert (host, int(port)) in {(server.host, server.port), ("127.0.0.1", 11434)}, page.name

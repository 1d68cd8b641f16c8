"""The ideal reader has no way to the documents, the questions or the answers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SCRIPTED = Path(__file__).resolve().parents[1] / "scripted"
READER = ("ideal_reader", "facts", "answers", "engine_prompts", "programmer", "app_reader")
MAY_IMPORT = {"__future__", "re", "json", "collections", "dataclasses", "itertools", "datetime", "tests"}


@pytest.mark.parametrize("module", READER)
def test_it_imports_nothing_that_could_reach_the_documents(module: str) -> None:
    tree = ast.parse((SCRIPTED / f"{module}.py").read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert {name.partition(".")[0] for name in imported} <= MAY_IMPORT
    own = {name for name in imported if name.startswith("tests")}
    assert own <= {f"tests.scripted.{name}" for name in (*READER, "script")}


@pytest.mark.parametrize("module", READER)
def test_it_opens_no_file(module: str) -> None:
    tree = ast.parse((SCRIPTED / f"{module}.py").read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"open", "__import__", "eval", "exec", "Path"}

"""Random programs, bounded in time: whatever they are, the worker answers and nothing forbidden comes out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import CodeType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_core.repl import ReplLimits
from rlm_core.repl.worker.policy import PolicyError, compile_cell
from tests.sandbox.catalogue import ATTEMPTS
from tests.sandbox.driving import Cells
from tests.sandbox.snippets import SNIPPETS

PIECES = [
    "__class__", "_getattr_", "_write_", "__builtins__", "gi_frame", "f_back", "tb_frame", "format", "format_map", "mro", "super()",
    "lambda", "yield", "await", "async def", "match x:\n    case", "try:", "except*", "import os", "from json import", "*", "**", ":=",
    "f'{x", "}'", "def f(", ")", ":", "\n", "    ", "\t", "x", "print", "context", "1", "'", '"', "\\", "@", "del ", "global ", "nonlocal ",
    "class A(", "type", "[", "]", "{", "}", "answer", "with ", " as ", "for ", " in ", "if ", "else", "=", "+=", ".", ",", "\x00", "é", "＿",
]  # fmt: skip


@pytest.fixture(scope="module")
def cells() -> Iterator[Cells]:
    with Cells("text", limits=ReplLimits(seconds=1, memory_mb=256)) as driven:
        yield driven


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_text_gets_an_answer(cells: Cells, source: str) -> None:
    pid = cells.pid
    result = cells.run(source)
    assert not result.restarted
    assert cells.pid == pid


SOURCES = [attempt.code for attempt in ATTEMPTS if len(attempt.code) < 400] + list(SNIPPETS.values())


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names) | set(code.co_varnames) | set(code.co_freevars) | set(code.co_cellvars)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


ALLOWED_DUNDERS = {"_getattr_", "_write_", "_super_attr_", "__metaclass__", "__class__", "__classcell__", "__name__", "__module__",
                   "__qualname__", "__doc__", "__firstlineno__", "__static_attributes__", "__match_args__", "_"}  # fmt: skip


@given(st.lists(st.sampled_from(SOURCES), min_size=1, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_compiled_program_reads_or_binds_a_guarded_name(sources: list[str], chance: object) -> None:
    lines = "\n".join(sources).split("\n")
    for _ in range(chance.randrange(4)):  # type: ignore[attr-defined]
        lines.insert(chance.randrange(len(lines)), chance.choice(lines).strip())  # type: ignore[attr-defined]
    for program in ("\n".join(lines), "\n".join(sources)):
        try:
            code = compile_cell(program, "<cell 1>", {})
        except (SyntaxError, PolicyError, ValueError, RecursionError):
            continue
        nodes = list(ast.walk(ast.parse(program)))
        methods = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        methods |= {
            node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)
        }  # looked up, never bound
        for name in _names(code):
            if name.startswith("_") and not name.startswith(".") and name not in ALLOWED_DUNDERS | methods:
                raise AssertionError(f"{name} in {program!r}")

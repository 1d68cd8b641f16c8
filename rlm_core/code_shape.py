"""What Python code in a reply is, judged from its syntax tree alone: nothing is run here.

Prose often compiles by accident (``Paris (France)``, ``Answer: 42``, ``example.com``); these functions tell it from code that
somebody meant to run.
"""

from __future__ import annotations

import ast
import logging
import textwrap
import warnings

log = logging.getLogger(__name__)

FINISHING = frozenset({"FINAL", "FINAL_VAR"})
MOST_LINES = 400
"""A longer reply without any fence is not searched line by line."""

_DOING = (
    ast.Assign
    | ast.AugAssign
    | ast.For
    | ast.AsyncFor
    | ast.While
    | ast.If
    | ast.With
    | ast.AsyncWith
    | ast.Try
    | ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.Match
)


def compiles(code: str) -> bool:
    """Whether Python's parser takes it (``await`` at top level included)."""
    return isinstance(_parsed(code), ast.Module)


def is_empty(code: str) -> bool:
    """Whether it holds nothing but comments and white space."""
    tree = _parsed(code)
    return isinstance(tree, ast.Module) and not tree.body


def looks_meant(code: str) -> bool:
    """Whether it does something that a person would call code. Stricter than :func:`compiles`, for text that nothing
    marks as code."""
    tree = _parsed(code)
    lines = code.splitlines()
    return isinstance(tree, ast.Module) and any(_does_something(node, lines) for node in tree.body)


def code_in_prose(text: str) -> str | None:
    """The whole text if it is code, else the first run of lines in it that is; None if there is none."""
    code = textwrap.dedent(text).strip("\n")
    lines = code.splitlines()
    if len(lines) > MOST_LINES:
        return code if looks_meant(code) else None
    start = 0
    while start < len(lines):
        part, used = _longest_run(lines, start)
        if part and looks_meant(part):
            return part
        start += max(1, used)
    return None


def finishes_with_literals(code: str) -> bool:
    """Whether it ends the run with words that are written out in it, not computed."""
    tree = _parsed(code)
    if not isinstance(tree, ast.Module):
        return False
    finish = _Finish()
    finish.visit(tree)
    return finish.finishes and bool(finish.contents) and not any(map(_is_computed, finish.contents))


class _Finish(ast.NodeVisitor):
    """Collects what a cell hands over as the answer."""

    def __init__(self) -> None:
        self.finishes = False
        self.contents: list[ast.expr] = []

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name) and function.id in FINISHING and node.args:
            self.finishes = True
            self.contents.append(node.args[0] if function.id == "FINAL" else ast.Name("variable"))
        elif isinstance(function, ast.Attribute) and function.attr == "update" and _is_answer(function.value):
            for argument in node.args:
                self._given_dict(argument)
            for keyword in node.keywords:
                self._given(keyword.arg, keyword.value)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if isinstance(target, ast.Subscript):
            self._given_item(target, node.value)
        elif _is_answer(target):
            self._given_dict(node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Subscript):
            self._given_item(node.target, node.value)
        self.generic_visit(node)

    def _given_item(self, target: ast.Subscript, value: ast.expr) -> None:
        if _is_answer(target.value) and isinstance(target.slice, ast.Constant):
            self._given(target.slice.value, value)

    def _given_dict(self, value: ast.expr) -> None:
        if isinstance(value, ast.Dict):
            for key, item in zip(value.keys, value.values, strict=True):
                self._given(key.value if isinstance(key, ast.Constant) else None, item)

    def _given(self, key: object, value: ast.expr) -> None:
        if key == "ready":
            self.finishes = not (isinstance(value, ast.Constant) and not value.value)
        elif key == "content":
            self.contents.append(value)


def _parsed(code: str) -> ast.Module | SyntaxError | None:
    """The syntax tree, or what is wrong; None for what Python cannot even try."""
    for _ in range(5):
        try:
            return _parsed_once(code)
        except SystemError:  # Python 3.11 when two threads parse at the same time (CPython issue 106905)
            log.debug("parsing again", exc_info=True)
    return None


def _parsed_once(code: str) -> ast.Module | SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = compile(
                code, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
            )
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError):
        return None
    assert isinstance(tree, ast.Module)
    return tree


def _longest_run(lines: list[str], start: int) -> tuple[str, int]:
    """The most lines from ``start`` on that compile together, and how many they are."""
    end = len(lines)
    while end > start:
        part = "\n".join(lines[start:end])
        tree = _parsed(part)
        if isinstance(tree, ast.Module):
            return part, end - start
        wrong_line = (tree.lineno or 1) if tree is not None else 1
        end = start + min(wrong_line - 1, end - start - 1)
    return "", 0


def _does_something(node: ast.stmt, lines: list[str]) -> bool:
    if isinstance(node, _DOING):
        return True
    if isinstance(node, ast.AnnAssign):
        return node.value is not None
    if not isinstance(node, ast.Expr):
        return False
    value = node.value.value if isinstance(node.value, ast.Await) else node.value
    if isinstance(value, ast.Call):
        return _touches(value.func, lines)
    if isinstance(value, ast.Subscript):
        return _touches(value.value, lines)
    return isinstance(value, ast.Attribute) and not _is_dotted_name(value)


def _touches(node: ast.expr, lines: list[str]) -> bool:
    """Whether the bracket follows at once, as nobody writes it in prose."""
    assert node.end_lineno is not None
    line = lines[node.end_lineno - 1].encode() if node.end_lineno <= len(lines) else b""
    return line[node.end_col_offset : (node.end_col_offset or 0) + 1] in (b"(", b"[", b")")


def _is_dotted_name(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _is_answer(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "answer"


def _is_computed(value: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) for node in ast.walk(value))

"""What a model's reply asks to be run (DESIGN.md 4.3).

Models do not keep to one format, so many are understood: fences of backticks or tildes with any label, unclosed fences,
tool-call JSON, bare code. What decides between possible readings is whether the code compiles. Thinking never runs.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
import warnings
from dataclasses import dataclass
from typing import Any

CODE_LABELS = frozenset({"", "repl", "python", "py", "python3", "ipython", "code", "tool_code"})
FINISHING = frozenset({"FINAL", "FINAL_VAR"})

_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n`]*$")
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_THINKING_END = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TOOL_TAG = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_TEXT_FINAL = re.compile(r"^[ \t]*(FINAL|FINAL_VAR)\((.*)\)[ \t.]*$", re.DOTALL | re.MULTILINE)
_CODE_KEYS = ("code", "python", "script", "source", "input")


@dataclass(frozen=True)
class ParsedReply:
    """``cells`` run one after the other, until one raises. ``kept`` is the part of the reply that stays in the history:
    up to the last cell, because what a model writes behind its code are imagined outputs. ``text_final`` is an answer
    given as text (``FINAL(...)`` alone on its line) by a reply without any code: (tag, inside). ``problem`` says what
    is wrong with a reply that has nothing to run."""

    cells: tuple[str, ...]
    kept: str
    text_final: tuple[str, str] | None = None
    problem: str | None = None
    dropped_final: bool = False


def parse_reply(reply: str) -> ParsedReply:
    """Find what is to be run in one reply."""
    text = without_thinking(reply)
    if not text.strip():
        thought = bool(reply.strip())
        return ParsedReply((), "", problem="it held only thinking" if thought else "it was empty")
    fenced, broken = _fenced_cells(text)
    if fenced:
        return _in_order(text, fenced)
    called = _tool_call(text)
    if called is not None:
        return ParsedReply((called,), text.strip())
    final = _text_final(text)
    if final is not None:
        return ParsedReply((), text.strip(), text_final=final)
    bare = _bare_code(text)
    if bare is not None:
        return ParsedReply((bare,), text.strip())
    if broken is not None:
        return ParsedReply((broken,), text.strip())
    return ParsedReply((), text.strip(), problem="it held no code")


def without_thinking(text: str) -> str:
    """The reply without ``<think>…</think>``, also when the opening tag stands in the chat template or the closing
    one never came."""
    text = _THINKING.sub("", text)
    return _THINKING_END.sub("", text)


def compiles(code: str) -> bool:
    """Whether Python's parser takes it (``await`` at top level included)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(
                code, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
            )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


@dataclass(frozen=True)
class _Cell:
    code: str
    end: int


def _in_order(text: str, cells: list[_Cell]) -> ParsedReply:
    """Several blocks run in order, but a later one that ends the run with words written before any output was seen
    does not: its model imagined the output."""
    kept: list[_Cell] = []
    for cell in cells:
        if kept and _finishes_with_literals(cell.code):
            return ParsedReply(
                tuple(cell.code for cell in kept), text[: kept[-1].end].strip(), dropped_final=True
            )
        kept.append(cell)
    return ParsedReply(tuple(cell.code for cell in kept), text[: kept[-1].end].strip())


def _fenced_cells(text: str) -> tuple[list[_Cell], str | None]:
    """The runnable fenced blocks, and the first block that looks like code but does not compile."""
    lines = text.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    cells: list[_Cell] = []
    broken: str | None = None
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number].rstrip("\n"))
        if opening is None:
            number += 1
            continue
        fence, label = opening[1], opening[2].lower()
        code, after = _block(lines, number + 1, fence)
        if label in CODE_LABELS and code.strip():
            if compiles(code) and (label or _looks_like_code(code)):
                cells.append(_Cell(code, offsets[after]))
            elif label and broken is None:
                broken = code
        elif label == "json" and (called := _tool_call(code)) is not None:
            cells.append(_Cell(called, offsets[after]))
        number = after
    return cells, broken


def _block(lines: list[str], start: int, fence: str) -> tuple[str, int]:
    """The code behind an opening fence and the number of the line after it.

    Closing fences can also stand inside a string of the code, so the first one that leaves code that compiles wins;
    if none does, the first one. A fence may be glued to the last line of the code, or missing altogether.
    """
    candidates: list[tuple[str, int]] = []
    for number in range(start, len(lines)):
        stripped = lines[number].strip()
        if stripped.startswith(fence) and not stripped.strip(fence[0]):
            candidates.append((_dedent(lines[start:number]), number + 1))
        elif stripped.endswith(fence) and not stripped.startswith(fence):
            glued = lines[number].rstrip()[: -len(fence)]
            candidates.append((_dedent([*lines[start:number], glued]), number + 1))
    candidates.append((_dedent(lines[start:]), len(lines)))
    for code, after in candidates:
        if compiles(code):
            return code, after
    return candidates[0] if len(candidates) > 1 else (_longest_start(candidates[0][0]), len(lines))


def _longest_start(code: str) -> str:
    """A reply cut off by its token limit ends in half a line: without it the rest may compile."""
    lines = code.splitlines()
    for count in range(len(lines) - 1, max(0, len(lines) - 4), -1):
        shorter = "\n".join(lines[:count])
        if shorter.strip() and compiles(shorter):
            return shorter
    return code


def _dedent(lines: list[str]) -> str:
    return textwrap.dedent("".join(lines)).strip("\n")


def _tool_call(text: str) -> str | None:
    """The code inside a tool call: ``{"name": ..., "arguments": {"code": ...}}`` and its relatives."""
    tagged = _TOOL_TAG.search(text)
    source = (tagged[1] if tagged else text).strip()
    start = source.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(source[start:])
    except ValueError:
        return None
    return _code_in(value)


def _code_in(value: Any) -> str | None:
    if isinstance(value, str):
        try:
            value = json.loads(value, strict=False)
        except ValueError:
            return value if compiles(value) and _looks_like_code(value) else None
    if not isinstance(value, dict):
        return None
    for key in ("arguments", "parameters", "function", "tool_call", "action_input"):
        if key in value and (found := _code_in(value[key])) is not None:
            return found
    for key in _CODE_KEYS:
        code = value.get(key)
        if isinstance(code, str) and code.strip() and compiles(code):
            return code
    return None


def _bare_code(text: str) -> str | None:
    """Code without a fence: the whole text, or the longest run of lines that compiles, prose around it left out."""
    code = textwrap.dedent(text).strip("\n")
    if compiles(code) and _looks_like_code(code):
        return code
    lines = code.splitlines()
    if len(lines) > 400:
        return None
    for start in range(len(lines)):
        if not lines[start].strip() or lines[start][0] in " \t":
            continue
        for end in range(len(lines), start, -1):
            part = "\n".join(lines[start:end]).strip()
            if part and compiles(part):
                if _looks_like_code(part):
                    return part
                break
    return None


def _looks_like_code(code: str) -> bool:
    """Whether it does something. ``Paris`` and ``42, 43`` compile too, but nobody meant them to run."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError):
        return compiles(code)
    return any(
        not isinstance(node, ast.Expr)
        or isinstance(node.value, ast.Call | ast.Await | ast.Subscript | ast.Attribute)
        for node in body
    )


def _text_final(text: str) -> tuple[str, str] | None:
    """``FINAL(the answer)`` as text, alone at the end of a reply. Inside a sentence it is only talk about it."""
    found = _TEXT_FINAL.search(text)
    if found is None or text[found.end() :].strip():
        return None
    if compiles(found[0].strip()):
        return None
    return found[1], found[2].strip().strip("\"'")


def _finishes_with_literals(code: str) -> bool:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return False
    finishing = [value for node in ast.walk(tree) if (value := _final_value(node)) is not None]
    return bool(finishing) and not any(_uses_a_name(value) for value in finishing)


def _final_value(node: ast.AST) -> ast.expr | None:
    """The value with which this statement ends the run, if it does."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FINISHING
        and node.args
    ):
        if node.func.id == "FINAL_VAR":
            return ast.Name("variable")
        return node.args[0]
    if (
        isinstance(node, ast.Assign)
        and isinstance(target := node.targets[0], ast.Subscript)
        and isinstance(target.value, ast.Name)
        and target.value.id == "answer"
        and isinstance(target.slice, ast.Constant)
        and target.slice.value == "content"
    ):
        return node.value
    return None


def _uses_a_name(value: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) for node in ast.walk(value))

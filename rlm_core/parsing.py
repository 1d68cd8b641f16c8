"""What a model's reply asks to be run (DESIGN.md 4.3).

Models do not keep to one format, so many are understood: fences of backticks or tildes with any label, unclosed fences,
tool-call JSON, bare code. What decides between possible readings is whether the code compiles. Thinking never runs.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from typing import Any

from rlm_core.code_shape import code_in_prose, compiles, finishes_with_literals, is_empty, looks_meant

__all__ = ["ParsedReply", "compiles", "parse_reply", "without_thinking"]

CODE_LABELS = frozenset({"", "repl", "python", "py", "python3", "ipython", "code", "tool_code"})
CALL_LABELS = frozenset({"json", "tool_call", "tool", "function_call"})
MOST_ENDS = 50
"""So many places are tried as the end of one block."""

_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n`]*$")
_ONE_LINE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*((?:[\w+-]+[ \t]+)?)([^\n`]+?)[ \t]*\1[ \t]*$")
_QUOTED_LINE = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_THINKING = re.compile(
    r"^[ \t]*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE
)
_THINKING_END = re.compile(r"\A.*</think(?:ing)?>(?![\"'\\)\]{|])", re.DOTALL | re.IGNORECASE)
_TOOL_TAG = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_TEXT_FINAL = re.compile(r"^[ \t]*(FINAL|FINAL_VAR)\((.*)\)[ \t.]*$", re.DOTALL | re.MULTILINE)
_CODE_KEYS = ("code", "python", "script", "source", "input")


@dataclass(frozen=True)
class ParsedReply:
    """``cells`` run one after the other, until one raises. ``kept`` is the part of the reply that stays in the history:
    up to the last cell, because what a model writes behind its code are imagined outputs. ``dropped_final`` says that
    this part held an answer. ``text_final`` is an answer given as text (``FINAL(...)`` alone on its line) by a reply
    without any code: (tag, inside). ``problem`` says what is wrong with a reply that has nothing to run."""

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
    blocks = _blocks(text)
    if blocks.cells:
        return _in_order(text, blocks.cells)
    whole = text.strip()
    called = None if looks_meant(whole) else _tool_call(blocks.outside)
    if called is not None:
        return ParsedReply((called,), whole)
    final = _text_final(blocks.outside) or _text_final(blocks.broken or "")
    if final is not None:
        return ParsedReply((), whole, text_final=final)
    code = code_in_prose(blocks.outside) or blocks.broken
    if code is not None:
        return ParsedReply((code,), whole)
    return ParsedReply((), whole, problem="it held no code")


def without_thinking(text: str) -> str:
    """The reply without ``<think>…</think>``, also when the opening tag stands in the chat template or the closing
    one never came. Tags inside a line of code are left alone."""
    text = _THINKING.sub("", text)
    return _THINKING_END.sub("", text)


@dataclass(frozen=True)
class _Cell:
    code: str
    end: int


@dataclass(frozen=True)
class _Blocks:
    """``broken`` is the first block that is marked as code but does not compile, ``outside`` the text without blocks."""

    cells: list[_Cell]
    broken: str | None
    outside: str


def _in_order(text: str, cells: list[_Cell]) -> ParsedReply:
    """Several blocks run in order, but an answer written out behind the first of them does not count: its model
    imagined the output."""
    kept: list[_Cell] = []
    dropped = False
    for cell in cells:
        if kept and finishes_with_literals(cell.code):
            dropped = True
            break
        kept.append(cell)
    end = kept[-1].end
    dropped = dropped or _TEXT_FINAL.search(text, end) is not None
    return ParsedReply(tuple(cell.code for cell in kept), text[:end].strip(), dropped_final=dropped)


def _blocks(text: str) -> _Blocks:
    """The fenced blocks of a reply."""
    lines = text.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    cells: list[_Cell] = []
    outside: list[str] = []
    broken: str | None = None
    number = 0
    while number < len(lines):
        line = lines[number].rstrip()
        if (whole := _ONE_LINE.match(line)) is not None:
            code = _one_line(whole[2].strip(), whole[3])
            if code is not None:
                cells.append(_Cell(code, offsets[number + 1]))
            number += 1
            continue
        opening = _FENCE.match(line)
        if opening is None:
            outside.append(lines[number])
            number += 1
            continue
        label = opening[2].lower()
        code, number = _block(lines, number, opening[1])
        if label in CODE_LABELS and not is_empty(code):
            if compiles(code) and (label or looks_meant(code)):
                cells.append(_Cell(code, offsets[number]))
            elif label or _TEXT_FINAL.fullmatch(code):
                broken = broken or code
        elif label in CALL_LABELS and (called := _tool_call(code)) is not None:
            cells.append(_Cell(called, offsets[number]))
    return _Blocks(cells, broken, "".join(outside))


def _one_line(label: str, rest: str) -> str | None:
    """The code of a block that begins and ends on one line."""
    if label.lower() in CODE_LABELS:
        return rest if compiles(rest) else None
    code = f"{label} {rest}"
    return code if compiles(code) and looks_meant(code) else None


def _block(lines: list[str], opening: int, fence: str) -> tuple[str, int]:
    """The code behind an opening fence and the number of the line after it.

    Closing fences can also stand inside a string of the code, so the first one that leaves code that compiles wins;
    if none does, the first one. A fence may be glued to the last line of the code, or missing altogether: then the block
    ends where the next one begins, or with the reply.
    """
    if lines[opening].lstrip().startswith(">"):
        lines = [_QUOTED_LINE.sub("", line) for line in lines]
    start = opening + 1
    ends: list[tuple[str, int]] = []
    for number in range(start, len(lines)):
        stripped = lines[number].strip()
        if stripped.startswith(fence) and not stripped.strip(fence[0]):
            ends.append((_dedent(lines[start:number]), number + 1))
        elif stripped.startswith(fence) and _FENCE.match(stripped):
            ends.append((_dedent(lines[start:number]), number))
        elif stripped.endswith(fence):
            glued = lines[number].rstrip()[: -len(fence)]
            ends.append((_dedent([*lines[start:number], glued]), number + 1))
        if len(ends) == MOST_ENDS:
            break
    ends.append((_dedent(lines[start:]), len(lines)))
    for code, after in ends:
        if compiles(code):
            return code, after
    return ends[0] if len(ends) > 1 else (_longest_start(ends[0][0]), len(lines))


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
    except (ValueError, RecursionError):
        return None
    return _code_in(value)


def _code_in(value: Any) -> str | None:
    if isinstance(value, str):
        try:
            value = json.loads(value, strict=False)
        except (ValueError, RecursionError):
            return value if compiles(value) and looks_meant(value) else None
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


def _text_final(text: str) -> tuple[str, str] | None:
    """``FINAL(the answer)`` as text, alone at the end of a reply. Inside a sentence it is only talk about it."""
    found = _TEXT_FINAL.search(text)
    if found is None or text[found.end() :].strip():
        return None
    if compiles(found[0].strip()):
        return None
    return found[1], found[2].strip().strip("\"'")

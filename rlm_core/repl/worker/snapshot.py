"""What survives a killed worker: plain variables, and the definitions of functions, classes and imports.

A snapshot is text that only another worker reads (the host stores it unread): one JSON text for a variable, source for a
definition. Only exact builtin types are taken, so making a snapshot never runs code of a cell's class.
"""

from __future__ import annotations

import ast
import json
from typing import Any, Final

from rlm_core.repl.passages import Passage

VARIABLE_CHARS: Final = 1024 * 1024
MAX_PARTS: Final = 50_000
_ATOMS: Final = frozenset({type(None), bool, int, float, str})


class NotPlain(Exception):
    """The value cannot be part of a snapshot."""


def dump_variable(value: Any) -> str:
    """The value as JSON with tags for what JSON lacks. Raises NotPlain."""
    try:
        text = json.dumps(_tag(value, _Room(), 0), ensure_ascii=False, check_circular=False)
    except (ValueError, OverflowError, MemoryError) as error:
        raise NotPlain from error
    if len(text) > VARIABLE_CHARS:
        raise NotPlain
    return text


class _Room:
    """What one variable may still take; refuses before anything large is copied."""

    def __init__(self) -> None:
        self.parts = MAX_PARTS
        self.chars = VARIABLE_CHARS

    def take(self, parts: int, chars: int) -> None:
        self.parts -= parts
        self.chars -= chars
        if self.parts < 0 or self.chars < 0:
            raise NotPlain


def _tag(value: Any, room: _Room, depth: int) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        room.take(0, len(value) if kind is str else 8)
        if kind is int and value.bit_length() > 8192:
            raise NotPlain
        return value
    if depth > 30:
        raise NotPlain
    if kind is Passage:
        room.take(1, len(value))
        return {"p": [value.text, value.start, value.score, value.match]}
    if kind not in (list, tuple, dict, set):
        raise NotPlain
    room.take(len(value), 0)
    if kind is dict:
        return {"d": [[_tag(k, room, depth + 1), _tag(v, room, depth + 1)] for k, v in value.items()]}
    items = [_tag(item, room, depth + 1) for item in value]
    return items if kind is list else {"t" if kind is tuple else "s": items}


def load_variable(text: str) -> Any:
    """The inverse of dump_variable. Raises ValueError for anything else."""
    return _untag(json.loads(text))


def _untag(node: Any) -> Any:
    if type(node) is list:
        return [_untag(item) for item in node]
    if type(node) is not dict:
        return node
    ((tag, items),) = node.items()
    if tag == "d":
        return {_untag(key): _untag(value) for key, value in items}
    if tag == "p":
        text, start, score, match = items
        return Passage(text, start, score, match)
    made = [_untag(item) for item in items]
    if tag == "t":
        return tuple(made)
    if tag == "s":
        return set(made)
    raise ValueError(f"unknown tag {tag!r} in a snapshot")


def definitions(source: str) -> dict[str, str]:
    """The source of each top-level def, class and import of a cell that ran, by the name it binds."""
    found: dict[str, str] = {}
    lines = source.split("\n")
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = ast.unparse(node)
    return {name: text for name, text in found.items() if len(text) <= 64 * 1024}


class SnapshotLog:
    """Knows what the host has already, so that a cell sends only what changed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sent: dict[str, str] = {}

    def changes(self, variables: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
        """``(new or changed, gone)``: JSON texts by name, smallest first within the limit, and names to forget."""
        kept: dict[str, str] = {}
        room = self._limit
        for name in sorted(variables, key=lambda n: _size_guess(variables[n])):
            if room <= 0:
                break
            try:
                text = dump_variable(variables[name])
            except NotPlain:
                continue
            room -= len(text)
            if room >= 0:
                kept[name] = text
        changed = {name: text for name, text in kept.items() if self._sent.get(name) != text}
        gone = [name for name in self._sent if name not in kept]
        self._sent = kept
        return changed, gone


def _size_guess(value: Any) -> int:
    return len(value) if type(value) in (str, list, tuple, dict, set, Passage) else 1

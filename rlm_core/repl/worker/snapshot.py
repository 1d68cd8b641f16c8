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
    kind = type(value)
    if kind is str and len(value) > VARIABLE_CHARS:
        raise NotPlain
    try:
        text = json.dumps(_tag(value, [MAX_PARTS], 0), ensure_ascii=False, check_circular=False)
    except (ValueError, OverflowError) as error:
        raise NotPlain from error
    if len(text) > VARIABLE_CHARS:
        raise NotPlain
    return text


def _tag(value: Any, parts: list[int], depth: int) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        if kind is int and value.bit_length() > 8192:
            raise NotPlain
        return value
    if depth > 30:
        raise NotPlain
    if kind is Passage:
        return {"p": [value.text, value.start, value.score, value.match]}
    if kind not in (list, tuple, dict, set):
        raise NotPlain
    parts[0] -= len(value)
    if parts[0] < 0:
        raise NotPlain
    if kind is dict:
        return {"d": [[_tag(k, parts, depth + 1), _tag(v, parts, depth + 1)] for k, v in value.items()]}
    items = [_tag(item, parts, depth + 1) for item in value]
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
    for node in ast.parse(source).body:
        text = ast.get_source_segment(source, node) or ""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            text = "\n".join(source.splitlines()[first - 1 : node.end_lineno])
            found[node.name] = text
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = text
    return {name: text for name, text in found.items() if len(text) <= 64 * 1024}


class SnapshotLog:
    """Knows what the host has already, so that a cell sends only what changed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sent: dict[str, str] = {}

    def changes(self, variables: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
        """``(new or changed, gone)``: JSON texts by name, smallest first within the limit, and names to forget."""
        texts: dict[str, str] = {}
        for name, value in variables.items():
            try:
                texts[name] = dump_variable(value)
            except NotPlain:
                continue
        kept: dict[str, str] = {}
        room = self._limit
        for name in sorted(texts, key=lambda n: len(texts[n])):
            room -= len(texts[name])
            if room < 0:
                break
            kept[name] = texts[name]
        changed = {name: text for name, text in kept.items() if self._sent.get(name) != text}
        gone = [name for name in self._sent if name not in kept]
        self._sent = kept
        return changed, gone

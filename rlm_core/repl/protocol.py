"""The frames that host and worker exchange, and nothing else: no processes, no threads, no policy.

A frame is ``u8 kind | u32 header bytes | u32 body bytes | header | body`` (big endian). The header is one small JSON
object; every longer text travels outside it, as raw UTF-8 in the body, and the header's ``"texts"`` lists their byte
lengths. Nothing is ever pickled. The host treats what the worker sends as hostile: it checks the sizes before it reads,
refuses a header of the wrong shape, and decodes values with a bound on their number and depth.

Shared by both sides, so it imports only the standard library, and of that only what starts fast (no dataclasses).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

PREFIX: Final = struct.Struct("!BII")

# host -> worker
SETUP: Final = 1  # functions, limits, query, the tables' columns
RUN: Final = 2  # texts: [code]
REPLY: Final = 3  # the value or the error of a call
LOAD: Final = 4  # documents, and how many PIECE and ROWS frames follow; answered when they are all there
RESTORE: Final = 5  # texts: definitions and variables to bring back after a restart
PROBE: Final = 6  # the self-test: try a file, a socket, a process
PIECE: Final = 7  # texts: [the next piece of the context]
ROWS: Final = 8  # texts: [a batch of rows of one table]
# worker -> host
READY: Final = 16  # the layers that are active
DONE: Final = 17  # answer to SETUP, LOAD and RESTORE
CALL: Final = 18  # a host function is wanted
RESULT: Final = 19  # a cell ended
VIOLATION: Final = 20  # the audit hook saw something that must not happen; the worker ends
FAULT: Final = 21  # the worker's own code failed; texts: [traceback]; the worker ends

HEADER_LIMIT: Final = 256 * 1024
"""Bytes of JSON in one frame from the worker: enough for structure, as longer texts travel in the body."""

BODY_LIMITS: Final[dict[int, int]] = {
    READY: 0,
    DONE: 64 * 1024,
    CALL: 8 * 1024 * 1024,
    RESULT: 16 * 1024 * 1024,
    VIOLATION: 4 * 1024,
    FAULT: 64 * 1024,
}
"""Bytes of body the host accepts, by kind; a kind that is not listed is refused."""

SHORT_TEXT: Final = 64
"""Characters up to which a string stays inside the JSON header."""

MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 64


class ProtocolError(Exception):
    """What arrived is not a frame of this protocol. The worker that sent it is not trusted any further."""


class Frame(NamedTuple):
    """One decoded frame: ``header`` is a JSON object, ``texts`` the texts of the body in order."""

    kind: int
    header: dict[str, Any]
    texts: tuple[str, ...] = ()


def encode_frame(kind: int, header: dict[str, Any], texts: Sequence[bytes] = ()) -> list[bytes]:
    """The byte strings to write one after the other; the texts are not copied."""
    head = json.dumps({**header, "texts": [len(text) for text in texts]}, ensure_ascii=True).encode("ascii")
    return [PREFIX.pack(kind, len(head), sum(map(len, texts))) + head, *texts]


def decode_frame(kind: int, head: bytes | memoryview, body: bytes | memoryview, *, trusted: bool) -> Frame:
    """Take a frame apart. ``trusted`` says that it comes from the host, which may send lone surrogates.

    Raises ProtocolError for anything but a JSON object with a list of lengths that adds up, and for invalid UTF-8.
    """
    header = _strict_object(bytes(head))
    lengths = header.pop("texts", None)
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise ProtocolError("the header does not list the lengths of its texts")
    if sum(lengths) != len(body):
        raise ProtocolError("the lengths of the texts do not add up to the body")
    texts: list[str] = []
    view, at = memoryview(body), 0
    for length in lengths:
        try:
            texts.append(str(view[at : at + length], "utf-8", "surrogatepass" if trusted else "strict"))
        except UnicodeDecodeError as error:
            raise ProtocolError(f"a text is not valid UTF-8: {error.reason}") from None
        at += length
    return Frame(kind, header, tuple(texts))


def _strict_object(head: bytes) -> dict[str, Any]:
    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ProtocolError("a JSON object names a key twice")
        return found

    def no_constant(name: str) -> Any:
        raise ProtocolError(f"{name} is not JSON")

    try:
        header = json.loads(head, object_pairs_hook=no_duplicates, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header is not JSON: {error}") from None
    if type(header) is not dict:
        raise ProtocolError("the header is not a JSON object")
    return header


def clean_text(text: str) -> str:
    """The text without lone surrogates, which JSON escapes can smuggle in and which no file or terminal accepts."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


# ---- values (arguments and results of host functions) -------------------------------------------------------------


def encode_value(value: Any, texts: list[bytes], *, depth: int = 0) -> Any:
    """Turn a JSON-like value into header nodes, moving longer strings to ``texts``.

    Works on exact types and, for subclasses, through the base type's own methods, so that no code of the value's class
    runs. Raises TypeError or ValueError with a sentence for what JSON cannot carry.
    """
    if value is None or value is True or value is False:
        return value
    if depth > MAX_DEPTH:
        raise ValueError("a value is nested too deeply (or contains itself)")
    if isinstance(value, str):
        text = str.__str__(value)
        raw = text.encode("utf-8", "backslashreplace")
        if len(text) <= SHORT_TEXT:
            return raw.decode("utf-8")
        texts.append(raw)
        return {"t": len(texts) - 1}
    if isinstance(value, int):
        number = int.__add__(value, 0)
        if number.bit_length() > 4096:
            raise ValueError("an integer is too long to be passed")
        return number
    if isinstance(value, float):
        real = float.__add__(value, 0.0)
        if not math.isfinite(real):
            raise ValueError("nan and infinity cannot be passed; use None or a string")
        return real
    if isinstance(value, (list, tuple)):
        items = list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)
        return [encode_value(item, texts, depth=depth + 1) for item in items]
    if isinstance(value, dict):
        nodes: list[Any] = []
        for key, item in dict.items(value):
            if not isinstance(key, (str, int, float, bool)) and key is not None:
                raise TypeError(f"a dict key must be a string, not {type(key).__name__}")
            name = key if isinstance(key, str) else json.dumps(key)
            nodes.append(encode_value(name, texts, depth=depth + 1))
            nodes.append(encode_value(item, texts, depth=depth + 1))
        return {"d": nodes}
    raise TypeError(
        f"only text, numbers, True/False/None, lists and dicts can be passed, not {type(value).__name__}"
    )


def decode_value(node: Any, texts: Sequence[str]) -> Any:
    """The inverse of encode_value. Raises ProtocolError for anything it would not have produced."""
    budget = [MAX_NODES]
    return _decode(node, texts, budget, 0)


def _decode(node: Any, texts: Sequence[str], budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH + 1:
        raise ProtocolError("a value has too many parts")
    if type(node) is str:
        return clean_text(node)
    if type(node) is float and not math.isfinite(node):
        raise ProtocolError("a number is not finite")
    if node is None or type(node) in (bool, int, float):
        return node
    if type(node) is list:
        return [_decode(item, texts, budget, depth + 1) for item in node]
    if type(node) is dict and len(node) == 1:
        if type(node.get("t")) is int and 0 <= node["t"] < len(texts):
            return texts[node["t"]]
        if type(node.get("d")) is list and len(node["d"]) % 2 == 0:
            flat = [_decode(item, texts, budget, depth + 1) for item in node["d"]]
            if not all(type(key) is str for key in flat[::2]):
                raise ProtocolError("a dict key is not a string")
            return dict(zip(flat[::2], flat[1::2], strict=True))
    raise ProtocolError("a value is not of this protocol")

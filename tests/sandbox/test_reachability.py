"""Everything a cell can reach by attribute reads that the guards allow: no module, frame, metaclass or dangerous builtin."""

from __future__ import annotations

import builtins
import io
import os
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

import pytest

from rlm_core.repl.passages import Passage
from rlm_core.repl.worker.guards import GUARDED_NAMES, TypeOf, guarded_getattr, static_getattr
from rlm_core.repl.worker.interrupts import Interrupts
from rlm_core.repl.worker.namespace import Namespace
from rlm_core.repl.worker.output import Printer
from rlm_core.repl.worker.policy import NATIVE_METHODS
from rlm_core.repl.worker.scaffold import Document, Material
from rlm_core.repl.worker.tables import Tables

FORBIDDEN_TYPES = (ModuleType, FrameType, CodeType, TracebackType)
FORBIDDEN: list[Any] = [
    builtins.open, builtins.eval, builtins.exec, builtins.compile, builtins.__import__, builtins.globals, builtins.locals,
    builtins.vars, builtins.input, builtins.breakpoint, builtins.memoryview, builtins.dir, builtins.getattr, builtins.setattr,
    builtins.delattr, builtins.hasattr, io.open, io.FileIO, os.system, os.open, str.format, str.format_map, type,
]  # fmt: skip


def roots(namespace: Namespace) -> Iterator[tuple[str, Any]]:
    for name, value in namespace.builtins.items():
        if not name.startswith("_") and name != "super":  # the policy allows super only as super().name
            yield name, value
    importer = namespace.builtins["__import__"]
    for module in namespace.exports:
        yield f"import {module}", importer(module)
    tables = Tables(Interrupts(), 10, 1.0)
    tables.create("t", [["a", "TEXT"]])
    tables.insert("t", [["x"]])
    yield "sql()", tables.query("SELECT a FROM t")[0]
    yield "document", Document("text", "name", 0, 4)
    samples: list[Any] = [
        "", 1, 1.5, 1j, b"", bytearray(), [], {}, set(), frozenset(), (), range(1), slice(1), None, ..., NotImplemented,
        iter([]), iter({}), (x for x in []), lambda: 0, ValueError("x"), KeyError("x"), StopIteration(1), Counter(), deque(),
        datetime(2024, 1, 1), Decimal(1), Passage("x", 0), map(str, []), zip(), enumerate([]), property(), staticmethod(len),
        object(), len, "".join, [].append, {}.keys(), {}.items(), reversed([]), UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
    ]  # fmt: skip
    for sample in samples:
        yield f"a {type(sample).__name__}", sample
    made = {
        "re.match": "re.match('a', 'a')", "re.compile": "re.compile('a')", "random.Random": "random.Random()",
        "partial": "functools.partial(len)", "lru_cache": "functools.lru_cache(lambda: 0)", "Fraction": "fractions.Fraction(1)",
        "SequenceMatcher": "difflib.SequenceMatcher()", "ChainMap": "collections.ChainMap()", "StringIO": "io.StringIO()",
        "csv.reader": "csv.reader([])", "DictReader": "csv.DictReader([])", "namedtuple": "collections.namedtuple('P', 'x')(1)",
        "NormalDist": "statistics.NormalDist()", "sha256": "hashlib.sha256()", "context": "decimal.getcontext()",
        "finditer": "re.finditer('a', 'a')", "groupby": "itertools.groupby([])", "itemgetter": "operator.itemgetter(1)",
        "attrgetter": "operator.attrgetter('x')", "field": "dataclasses.field()", "typing.List": "typing.List[1]",
        "TypeVar": "typing.TypeVar('T')", "Differ": "difflib.Differ()", "timezone": "datetime.timezone.utc",
        "scanner": "re.compile('a').scanner('a')", "cmp_to_key": "functools.cmp_to_key(len)(1)",
        "localcontext": "decimal.localcontext()", "DictWriter": "csv.DictWriter(io.StringIO(), [])",
    }  # fmt: skip
    modules = {name: importer(name) for name in namespace.exports}
    for name, expression in made.items():
        yield name, eval(expression, modules)


def test_nothing_dangerous_can_be_reached() -> None:
    namespace = Namespace(Material(context="text"), Printer(), Interrupts())
    namespace.begin_cell()
    waiting = deque((value, name) for name, value in roots(namespace))
    seen: dict[int, Any] = {}
    bad: list[str] = []
    while waiting:
        value, path = waiting.popleft()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, FORBIDDEN_TYPES) or any(value is forbidden for forbidden in FORBIDDEN):
            bad.append(f"{path}: {value!r}"[:200])
        if path.count(".") > 6:
            continue
        if not isinstance(value, type):
            waiting.append((TypeOf(value), f"type({path})"))
        for name in dir(value):
            for read in (guarded_getattr, static_getattr):
                if name.startswith("_") and read is static_getattr:
                    continue  # the policy refuses the name before it comes to this
                try:
                    found = read(value, name)
                except Exception:
                    continue
                waiting.append((found, f"{path}.{name}"))
    assert bad == []
    assert len(seen) > 1500


def test_no_facade_exports_a_module_or_has_a_truthful_name() -> None:
    namespace = Namespace(Material(), Printer(), Interrupts())
    importer = namespace.builtins["__import__"]
    for module, exports in namespace.exports.items():
        facade = importer(module)
        assert not hasattr(facade, "__name__")
        assert not any(isinstance(getattr(facade, name), ModuleType) for name in exports)


def test_names_that_are_read_natively_mean_no_harm_on_any_module() -> None:
    import ctypes
    import gc
    import importlib
    import inspect
    import pickle
    import shutil
    import signal
    import threading

    for module in (
        os,
        sys,
        builtins,
        io,
        subprocess,
        socket,
        shutil,
        importlib,
        ctypes,
        gc,
        inspect,
        pickle,
        signal,
        threading,
    ):
        assert not NATIVE_METHODS & set(dir(module)), module
    assert not NATIVE_METHODS & GUARDED_NAMES


@pytest.mark.parametrize("value", [sys, sys._getframe(), (lambda: 0).__code__, super(str, "")])
def test_no_attribute_of_a_leaked_module_frame_or_code_can_be_read(value: Any) -> None:
    for read in (guarded_getattr, static_getattr):
        with pytest.raises(AttributeError):
            read(value, "path")
        with pytest.raises(AttributeError):
            read(value, "f_lineno")

"""The other half of a sandbox: what models really write must run."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.sandbox.driving import Cells
from tests.sandbox.snippets import SNIPPETS

NO_FILES = "there are no files"
REFUSED = {
    "open()": NO_FILES,
    "with open()": NO_FILES,
    "dir/vars/globals/locals": "globals() would give the guards away; SHOW_VARS() lists variables",
    "class keyword args/metaclass=": "a metaclass can define what attribute access means",
    "Enum": "the functional form of Enum defines special methods",
    "except*": "exception groups confuse types in C (CVE-2025-22153)",
    "import a.b": "submodules are not façades",
    "exec/eval/compile": "python_exec() runs code under the policy",
    "eval call": "python_exec() runs code under the policy",
    "with multiple items tuple target": "it imports contextlib, which is not offered",
    "input()": "nobody can be asked",
    "help/exit/quit": "a cell ends by itself",
}
NEEDS = {"type alias (3.12)": (3, 12), "generic def f[T] (3.12)": (3, 12), "t-string (3.14)": (3, 14)}


@pytest.fixture(scope="module")
def cells() -> Iterator[Cells]:
    with Cells("x") as driven:
        yield driven


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_runs_or_is_refused_for_a_listed_reason(cells: Cells, name: str) -> None:
    result = cells.run(SNIPPETS[name])
    if name in REFUSED or sys.version_info < NEEDS.get(name, (3, 0)):
        assert result.error is not None, "it runs now: take it off the list"
    else:
        assert result.error is None
    assert not result.restarted


def test_at_least_112_of_140_snippets_run() -> None:
    assert len(SNIPPETS) == 140
    assert len(SNIPPETS) - len(REFUSED) - len(NEEDS) >= 112


PROGRAMS = {
    "dataclass": (
        "from dataclasses import dataclass, field, asdict, replace\n@dataclass(order=True)\nclass P:\n    name: str\n"
        "    age: int = 3\n    tags: list = field(default_factory=list)\n    def older(self): return replace(self, age=self.age + 1)\n"
        "p = P('Ann', tags=['x'])\np.older(), p == P('Ann', 3, ['x']), asdict(p), sorted([P('B'), P('A')])[0].name",
        "(P(name='Ann', age=4, tags=['x']), True, {'name': 'Ann', 'age': 3, 'tags': ['x']}, 'A')\n",
    ),
    "inheritance": (
        "class Base:\n    def __init__(self, x): self.x = x\n    def __repr__(self): return f'{type(self).__name__}({self.x})'\n"
        "class Child(Base):\n    def __init__(self, x, y):\n        super().__init__(x)\n        self.y = y\n"
        "    def __repr__(self): return super().__repr__() + str(self.y)\nChild(1, 2)",
        "Child(1)2\n",
    ),
    "own exception": (
        "class ParseError(ValueError):\n    def __init__(self, line): super().__init__(f'bad line {line}')\n"
        "try:\n    raise ParseError(3)\nexcept ParseError as e:\n    print(e, type(e).__name__, isinstance(e, ValueError))",
        "bad line 3 ParseError True\n",
    ),
    "csv from a string": (
        "import csv, io\nrows = list(csv.DictReader(io.StringIO('a,b\\n1,2\\n3,4')))\nsum(int(r['b']) for r in rows)",
        "6\n",
    ),
    "named tuples": (
        "from typing import NamedTuple\nfrom collections import namedtuple\nclass A(NamedTuple):\n    x: int\n    y: int = 2\n"
        "B = namedtuple('B', 'x y')\nA(1), B(1, 2)._asdict(), A(1)._replace(x=5), B._fields",
        "(A(x=1, y=2), {'x': 1, 'y': 2}, A(x=5, y=2), ('x', 'y'))\n",
    ),
    "regular expressions": (
        "import re\nm = re.search(r'(?P<year>\\d{4})-(\\d\\d)', 'on 2024-05-01')\nm['year'], m.group(2), re.sub(r'\\d', lambda m: '#', 'a1')",
        "('2024', '05', 'a#')\n",
    ),
    "decorators": (
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def inner(*a, **k): return f(*a, **k) * 2\n    return inner\n"
        "@twice\ndef one(x): return x\n@functools.lru_cache(maxsize=None)\ndef fib(n): return n if n < 2 else fib(n-1) + fib(n-2)\none(4), fib(50)",
        "(8, 12586269025)\n",
    ),
    "print to a buffer": ("import io\nb = io.StringIO()\nprint('x', file=b)\nb.getvalue()", "'x\\n'\n"),
    "isinstance with type": (
        "isinstance(int, type), isinstance(5, type), type(5) is int, type(5) == type(6)",
        "(True, False, True, True)\n",
    ),
    "match": (
        "def f(v):\n    match v:\n        case {'kind': 'a', **rest}: return rest\n        case [x, *more]: return more\n"
        "        case int() | float(): return 'number'\n        case _: return None\nf({'kind': 'a', 'b': 1}), f([1, 2]), f(3), f('x')",
        "({'b': 1}, [2], 'number', None)\n",
    ),
    "semicolons": ("a = 1; b = 2; a + b", "3\n"),
    "python_exec": ("out = python_exec('y = 5\\nprint(y)\\ny + 1')\nout, y", "(5\n6\n, 5)\n"),
    "pprint": ("from pprint import pprint\npprint({'a': 1})", "{'a': 1}\n"),
    "hashes": (
        "import hashlib\nhashlib.sha256(b'x').hexdigest()[:8], hashlib.md5(b'').hexdigest()[:4]",
        "('2d711642', 'd41d')\n",
    ),
    "f-strings": ("x = 3.14159\nf'{x:.2f} {x!r:>10} {x=}'", "'3.14    3.14159 x=3.14159'\n"),
    "loops with else": ("for i in range(3):\n    if i == 5: break\nelse:\n    print('none')", "none\n"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_small_program_gives_what_python_gives(cells: Cells, name: str) -> None:
    code, expected = PROGRAMS[name]
    result = cells.run(code)
    assert (result.error, result.output) == (None, expected)

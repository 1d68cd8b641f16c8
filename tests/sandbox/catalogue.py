"""Known ways out of a RestrictedPython sandbox, grouped as in the literature: advisories, CPython's and Zope's own tests,
and attempts made against this sandbox. Each says how it must end.

``C``: refused before it runs. ``R``: an exception in the cell. ``ok``: runs and has no effect outside the cell.
A cell that gets through prints REACHED.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attempt:
    """One cell and the outcomes that are right for it."""

    id: str
    code: str
    expected: str


def _group(letter: str, *entries: tuple[str, str]) -> list[Attempt]:
    return [Attempt(f"{letter}{n}", code, expected) for n, (expected, code) in enumerate(entries, 1)]


ATTRIBUTE_WALKS = _group(
    "A",
    ("C", "print('REACHED', ().__class__.__bases__[0].__subclasses__())"),
    ("R", "getattr(getattr([], '__class__'), '__base__')\nprint('REACHED')"),
    (
        "R",
        "class FakeString(str):\n    def startswith(self, *a): return False\n    def __eq__(self, o): return False\n"
        "    def __hash__(self): return 1\ngetattr([], FakeString('__class__'))\nprint('REACHED')",
    ),
    ("R", "type(1).mro()\nprint('REACHED')"),
    ("R", "import operator\noperator.attrgetter('__globals__')(search)\nprint('REACHED')"),
    ("R", "from operator import attrgetter\nattrgetter('text.__globals__')(search)\nprint('REACHED')"),
    ("R", "from operator import methodcaller\nprint('REACHED')"),
    (
        "R",
        "import functools\nfunctools.update_wrapper(lambda: 0, search, (), ('__globals__',))\nprint('REACHED')",
    ),
    ("C", "match search:\n    case object(__globals__=g):\n        print('REACHED')"),
    ("C", "match 'x':\n    case str(format=f):\n        print('REACHED')"),
    ("C", "def f(_getattr_, /): return [].append\nprint('REACHED')"),
    ("C", "f = lambda _getattr_, /: 0\nprint('REACHED')"),
    ("C", "import math as _getattr_\nprint('REACHED')"),
    ("C", "try:\n    1/0\nexcept Exception as _getattr_:\n    print('REACHED')"),
    (
        "C",
        "class M:\n    def __enter__(self): return 1\n    def __exit__(self, *a): pass\nwith M() as _write_: print('REACHED')",
    ),
    ("C", "for _getattr_ in [1]: print('REACHED')"),
    ("C", "(_getattr_ := 1)\nprint('REACHED')"),
    ("C", "[1 for _getattr_ in [1]]\nprint('REACHED')"),
    ("C", "class A:\n    _getattr_ = 1\nprint('REACHED')"),
    ("C", "def f():\n    global _getattr_\nprint('REACHED')"),
    ("C", "def f():\n    _write_ = 1\n    def g():\n        nonlocal _write_\nprint('REACHED')"),
    ("C", "del _getattr_\nprint('REACHED')"),
    ("C", "match 1:\n    case _getattr_:\n        print('REACHED')"),
    ("C", "match [1]:\n    case [*_write_]:\n        print('REACHED')"),
    ("C", "match {}:\n    case {**_write_}:\n        print('REACHED')"),
    ("C", "x = 1\nx.__class__ += 1\nprint('REACHED')"),
    ("C", "x = 1\nx.gi_frame += 1\nprint('REACHED')"),
    (
        "R",
        "print(hasattr(search, '__globals__'))\nif not hasattr(search, '__globals__'): raise ValueError('no oracle')\nprint('REACHED')",
    ),
    ("R", "class A: pass\nsetattr(A(), '__class__', int)\nprint('REACHED')"),
    ("R", "import json\njson.dumps = 1\nprint('REACHED')"),
    ("R", "search.x = 1\nprint('REACHED')"),
    ("R", "import re\ndel re.I\nprint('REACHED')"),
    ("R", "import re\nre['a'] = 1\nprint('REACHED')"),
    ("ok", "def f(_kw=0): return _kw\nf(_kw=1)"),
    ("ok", "search('x', **{})"),
    ("C", "print('REACHED', x.__dict＿_)"),
    ("C", "ｅval('1')\nprint('REACHED')"),
    ("C", "x = 1\nprint('REACHED', x.foo__roles__)"),
    (
        "C",  # the read of `s.format` in an augmented assignment would hand the raw method to __radd__
        "class Evil:\n    def __radd__(self, other): print('REACHED', other)\nclass S(str): pass\n"
        "s = S('{0.__class__}')\ns.format += Evil()",
    ),
    ("R", "getattr(search, '_' + '_globals_' + '_')\nprint('REACHED')"),
    ("R", "getattr(print, '__self__')\nprint('REACHED')"),
    ("C", "print('REACHED', __builtins__)"),
    ("C", "print('REACHED', __import__('os'))"),
    ("C", "class A(metaclass=type): pass\nprint('REACHED')"),
    ("C", "def __getattr__(name): return 1\nprint('REACHED')"),
    (
        "R",  # fields named like guarded attributes must not be read raw by the dataclass façade
        "from dataclasses import dataclass, field, asdict\n@dataclass\nclass S(str):\n    format: int = field(init=False)\n"
        "asdict(S('{0.__class__}'))['format'](1)\nprint('REACHED')",
    ),
    (
        "R",
        "from dataclasses import dataclass, asdict\n@dataclass\nclass S:\n    x: int\n    rlm_class_fields = ('__class__',)\n"
        "    x: int\nprint('REACHED') if '__class__' in asdict(S(1)) else None\nraise ValueError('no')",
    ),
)

FORMATS = _group(
    "F",
    ("R", "'{0.__class__}'.format(1)\nprint('REACHED')"),
    ("R", "'Hello {foo.__dict__}'.format_map({'foo': search})\nprint('REACHED')"),
    ("R", "str.format('{0.__class__.__mro__[1]}', int)\nprint('REACHED')"),
    ("R", "import string\nstring.Formatter().get_field('0.x', (1,), {})\nprint('REACHED')"),
    ("R", "from string import Formatter\nprint('REACHED')"),
    ("R", "import collections\ncollections.UserString('{0.__class__}').format(1)\nprint('REACHED')"),
    (
        "R",
        "class S(str):\n    def f(self, x): return super().format(x)\nS('{0.__class__}').f(1)\nprint('REACHED')",
    ),
    (
        "R",
        "class S(str):\n    def f(self, x): return super().format_map(x)\nS('{a.__class__}').f({'a': 1})\nprint('REACHED')",
    ),
    ("R", "list(map(str.format, ['{0.__class__}'], [1]))\nprint('REACHED')"),
    ("R", "from functools import partial\npartial(str.format, '{0.__class__}')(1)\nprint('REACHED')"),
    ("C", "x = 1\nprint('REACHED', f'{x.__globals__}')"),
    ("C", "x = 1\nprint('REACHED', f'{1:{x.__class__.__mro__}}')"),
    ("R", "'{0.gi_frame}'.format((i for i in []))\nprint('REACHED')"),
    ("R", "'{:{0.__class__}}'.format(1)\nprint('REACHED')"),
    (
        "R",
        "class D(dict):\n    def get(self, k): return k\n'{a.__class__}'.format_map(D(a=1))\nprint('REACHED')",
    ),
    ("ok", "assert '{0[a]} {1:>5} {n!r}'.format({'a': 1}, 2, n='x') == \"1     2 'x'\""),
    ("ok", "assert '{0.real} {0.imag:{1}}'.format(5, 3) == '5   0'"),
)

FRAMES = _group(
    "G",
    ("C", "g = (i for i in [1])\nprint('REACHED', g.gi_frame.f_back.f_back)"),
    (
        "C",
        "def f():\n    def g(): yield s.gi_frame.f_back.f_back\n    s = g()\n    return next(s)\nprint('REACHED', f())",
    ),
    ("C", "x = 1\nprint('REACHED', x.f_builtins.get('__import__')('os'))"),
    ("C", "x = 1\nprint('REACHED', x.ag_frame, x.ag_code, x.ag_await)"),
    ("C", "x = 1\nprint('REACHED', x.cr_frame)"),
    ("C", "x = 1\nprint('REACHED', x.gi_code)"),
    ("C", "x = 1\nprint('REACHED', x.gi_yieldfrom)"),
    ("R", "g = (i for i in [1])\ngetattr(g, 'gi_frame')\nprint('REACHED')"),
    ("R", "g = (i for i in [1])\n'{0.gi_code}'.format(g)\nprint('REACHED')"),
    ("C", "try:\n    1/0\nexcept Exception as e:\n    print('REACHED', e.__traceback__.tb_frame)"),
    (
        "R",
        "class M:\n    def __enter__(self): return self\n    def __exit__(self, a, b, tb): getattr(tb, 'tb_frame')\n"
        "with M():\n    1/0\nprint('REACHED')",
    ),
    (
        "R",
        "class M:\n    def __enter__(self): return self\n    def __exit__(self, a, b, tb): tb.tb_lineno\n"
        "with M():\n    1/0\nprint('REACHED')",
    ),
    ("ok", "async def f(): return 1\nassert await f() == 1"),
)

EXCEPTIONS = _group(
    "E",
    ("R", "try:\n    (1).nothing\nexcept AttributeError as e:\n    e.obj\nprint('REACHED')"),
    ("R", "try:\n    (1).nothing\nexcept AttributeError as e:\n    getattr(e, 'obj')\nprint('REACHED')"),
    ("R", "try:\n    import nothing\nexcept ImportError as e:\n    e.path\nprint('REACHED')"),
    (
        "C",
        "class Evil(BaseExceptionGroup): pass\ntry:\n    1/0\nexcept* ValueError:\n    pass\nprint('REACHED')",
    ),
    ("R", "x = BaseExceptionGroup\nprint('REACHED')"),
    ("R", "ValueError('x').with_traceback(None)\nprint('REACHED')"),
    ("C", "try:\n    1/0\nexcept Exception as e:\n    print('REACHED', e.__context__)"),
    ("R", "raise ValueError('a' * 10**8)"),
    ("R", "x = []\nx.append(x)\nraise ValueError(x)"),
    ("R", "class E(Exception):\n    def __str__(self): return 1 / 0\nraise E()"),
    ("R", "raise SystemExit(3)"),
    ("R", "raise KeyboardInterrupt"),
    ("R", "raise BaseException('x')"),
)

TYPES = _group(
    "T",
    ("R", "type(type(1))\nprint('REACHED')"),
    ("R", "type('X', (), {'__getattr__': lambda s, n: 1})\nprint('REACHED')"),
    ("C", "M = 1\nclass X(metaclass=M): pass\nprint('REACHED')"),
    ("C", "class X:\n    def __getattr__(self, n): return 1\nprint('REACHED')"),
    ("C", "class X:\n    def __reduce__(self): return 1\nprint('REACHED')"),
    ("C", "class X:\n    def __init_subclass__(cls): pass\nprint('REACHED')"),
    ("C", "class X:\n    def __class_getitem__(cls, i): pass\nprint('REACHED')"),
    ("C", "class X:\n    def __getattribute__(self, n): return 1\nprint('REACHED')"),
    ("C", "class X:\n    def __del__(self): pass\nprint('REACHED')"),
    ("C", "class X:\n    __getattr__ = lambda s, n: 1\nprint('REACHED')"),
    ("R", "from enum import Enum\nprint('REACHED')"),
    ("R", "from dataclasses import make_dataclass\nprint('REACHED')"),
    ("R", "type(lambda: 0)(1, {})\nprint('REACHED')"),
    ("R", "class T(type): pass\nprint('REACHED')"),
    ("R", "class T(type(int)): pass\nprint('REACHED')"),
    ("R", "setattr(int, 'x', 1)\nprint('REACHED')"),
    ("R", "from collections import Counter\nCounter.update = 1\nprint('REACHED')"),
    ("R", "from dataclasses import dataclass\ndataclass(int)\nprint('REACHED')"),
    ("R", "import functools\nfunctools.total_ordering(int)\nprint('REACHED')"),
    ("C", "class A(x=1): pass\nprint('REACHED')"),
    ("C", "s = super\nprint('REACHED')"),
    ("C", "class A:\n    def f(self): return super(A, self)\nprint('REACHED', A().f())"),
    ("R", "class A:\n    def f(self): return super().__reduce__()\nprint('REACHED', A().f())"),
    ("R", "class A:\n    def f(self): return super().__getattribute__('x')\nprint('REACHED', A().f())"),
)

IMPORTS = _group(
    "I",
    *(
        ("R", f"import {name}\nprint('REACHED')")
        for name in (
            "os",
            "sys",
            "importlib",
            "subprocess",
            "socket",
            "ctypes",
            "pickle",
            "inspect",
            "gc",
            "types",
            "io.open_code",
            "os.path",
            "contextlib",
            "enum",
            "ast",
            "uuid",
            "urllib.request",
            "threading",
            "signal",
            "mmap",
            "marshal",
            "shutil",
        )
    ),
    *(
        ("R", f"import {path.partition('.')[0]}\nx = {path}\nprint('REACHED')")
        for path in (
            "json.codecs.builtins.open",
            "json.codecs.sys",
            "json.decoder",
            "json.scanner",
            "re.enum.bltns",
            "re.functools",
            "re.copyreg",
            "datetime.sys",
            "collections.abc.sys",
            "statistics.sys",
            "fractions.operator",
            "textwrap.re.enum",
            "csv.re",
            "base64.struct",
            "random.os",
            "heapq.sys",
            "copy.copyreg",
            "difflib.re",
            "string.re",
            "functools.update_wrapper",
            "functools.singledispatch",
            "typing.get_type_hints",
            "io.open",
            "io.FileIO",
            "decimal.sys",
            "operator.setitem",
            "hashlib.file_digest",
            "csv.field_size_limit",
            "re.Scanner",
        )
    ),
    ("R", "from json import codecs\nprint('REACHED')"),
    ("R", "from re import enum\nprint('REACHED')"),
    ("R", "import collections.abc as x\nprint('REACHED')"),
    ("R", "from json import decoder\nprint('REACHED')"),
    ("CR", "import random\nrandom._os\nprint('REACHED')"),
    ("C", "from random import _os\nprint('REACHED')"),
    ("R", "from . import os\nprint('REACHED')"),
    ("C", "from os import *\nprint('REACHED')"),
    ("R", "from _strptime import locale\nprint('REACHED')"),
    ("C", "import _strptime\nprint('REACHED')"),
    ("C", "import math\nprint('REACHED', math.__loader__)"),
    ("R", "from collections import namedtuple\nnamedtuple('X', ['a=1'])\nprint('REACHED')"),
    ("R", "from collections import namedtuple\nnamedtuple('X; import os', ['a'])\nprint('REACHED')"),
    ("R", "import copy, json\ncopy.copy(json).dumps = 1\nprint('REACHED')"),
    ("R", "import copy, json\ncopy.deepcopy(json).dumps = 1\nprint('REACHED')"),
    ("ok", "import datetime\nassert datetime.datetime.strptime('2024-01-02', '%Y-%m-%d').year == 2024"),
    (
        "ok",
        "import math as m, json as j\nfrom math import *\nassert sqrt(4) == 2 and m.pi > 3 and j.loads('[1]') == [1]",
    ),
)

EVALUATION = _group(
    "X",
    ("C", "eval('1')\nprint('REACHED')"),
    ("C", "exec('x = 1')\nprint('REACHED')"),
    ("R", "e = eval\nprint('REACHED')"),
    *(("R", f"{name}('1')\nprint('REACHED')") for name in ("compile", "open", "input", "memoryview")),
    ("C", "breakpoint()\nprint('REACHED')"),
    ("C", "import builtins\nprint('REACHED')"),
    *(("R", f"{name}()\nprint('REACHED')") for name in ("globals", "locals", "vars", "exit", "quit", "help")),
    ("C", "x = 1\x00\nprint('REACHED')"),
    ("ok", "\ufeffx = 1"),
    ("ok", "# -*- coding: latin-1 -*-\nx = 'é'\nassert len(x) == 1"),
    ("ok", "x = '" + "a" * 1_000_000 + "'\nassert len(x) == 1_000_000"),
    ("CR", "x = " + "+".join(["1"] * 20_000)),
    ("C", "x = " + "(" * 500 + ")" * 500),
    ("CR", "x = " + "-" * 5_000 + "1"),
    ("C", "def f(:\n  pass"),
    ("R", "python_exec('import os')\nprint('REACHED')"),
    ("C", "python_exec('().__class__.__bases__')\nprint('REACHED')"),
    ("C", "python_exec('python_exec(\"eval(1)\")')\nprint('REACHED')"),
)

ATTEMPTS = [
    *ATTRIBUTE_WALKS, *FORMATS, *FRAMES, *EXCEPTIONS, *TYPES, *IMPORTS, *EVALUATION,
]  # fmt: skip

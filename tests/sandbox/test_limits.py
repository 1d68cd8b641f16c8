"""Memory, time, depth and output: what a cell may use up, and that the session lives on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rlm_core.repl import ReplLimits
from tests.sandbox.driving import Cells

MEMORY = {
    "one large string": "x = 'a' * 10**11",
    "doubling a string": "x = 'a'\nwhile True: x += x",
    "doubling a list": "x = [1]\nwhile True: x += x",
    "growing a list": "x = []\nwhile True: x.append(' ' * 100000)",
    "growing a dict": "x = {}\ni = 0\nwhile True:\n    x[i] = ' ' * 1000 + str(i)\n    i += 1",
    "percent format": "x = '%0999999999d' % 1",
    "format spec": "x = f'{1:>{10**10}}'",
    "ljust": "x = 'a'.ljust(10**10)",
    "replace": "x = ('a' * 10**5).replace('a', 'b' * 10**5)",
    "join": "x = ('a' * 10**5).join(['b'] * 10**6)",
    "shift": "x = 1 << 10**11",
    "product": "from itertools import product\nx = list(product(range(100), repeat=8))",
    "permutations": "from itertools import permutations\nx = list(permutations(range(12)))",
    "aliased lists in json": "import json\na = ['x' * 100] * 10\nfor i in range(8): a = [a] * 10\nx = json.dumps(a)",
    "decimal": "from decimal import Decimal\nx = '{:f}'.format(Decimal('1e999999999'))",
    "lru_cache": "from functools import lru_cache\n@lru_cache(None)\ndef f(i): return ' ' * 10000 + str(i)\ni = 0\nwhile True:\n    f(i); i += 1",
    "bytearray": "x = bytearray(10**10)",
    "range to list": "x = list(range(10**10))",
    "regex repetition": "import re\nx = re.sub('a', 'b' * 10**5, 'a' * 10**5)",
    "textwrap": "import textwrap\nx = textwrap.indent('a\\n' * 10**6, ' ' * 10**5)",
}


@pytest.fixture(scope="module")
def small() -> Iterator[Cells]:
    with Cells("text", limits=ReplLimits(seconds=20, memory_mb=96, grace_seconds=3)) as driven:
        yield driven


@pytest.mark.parametrize("name", MEMORY)
def test_a_memory_bomb_raises_memory_error_and_the_session_lives(small: Cells, name: str) -> None:
    small.run("kept = 41")
    result = small.run(MEMORY[name])
    assert result.error is not None
    assert "MemoryError" in result.error or "OverflowError" in result.error or "ValueError" in result.error, (
        result.error
    )
    assert not result.restarted
    after = small.run("x = None\nkept + 1")
    assert after.output == "42\n", after


def test_a_memory_bomb_inside_a_loop_that_catches_it_is_stopped(small: Cells) -> None:
    result = small.run(
        "n = 0\nwhile n < 50:\n    try:\n        x = 'a' * 10**11\n    except MemoryError:\n        n += 1\nn"
    )
    assert result.output == "50\n"


def test_the_next_cell_answers_with_a_bomb_left_in_a_variable() -> None:
    with Cells(limits=ReplLimits(memory_mb=96)) as small:
        assert "MemoryError" in (small.run("left = []\nwhile True: left.append(' ' * 1000000)").error or "")
        result = small.run("n = len(left)\ndel left\nn > 10")
        assert result.output == "True\n"
        assert not result.restarted


SOFT = {
    "endless loop": "while True: pass",
    "nested bare except": "while True:\n    try:\n        while True:\n            pass\n    except:\n        pass",
    "except BaseException": "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
    "regex backtracking": "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "regex wildcards": "import re\nre.search('(.*,){25}P', '1,' * 40)",
    "power": "7 ** (3 * 10**7)",
    "factorial": "import math\nmath.factorial(10**7)",
    "any of map": "import itertools\nany(map(lambda i: False, itertools.count()))",
    "generator": "def g():\n    while True:\n        yield 1\nfor i in g(): pass",
    "python_exec": "python_exec('while True: pass')",
    "user repr": "class A:\n    def __repr__(self):\n        while True: pass\nA()",
    "user str in an exception": "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E()",
    "user str in the answer": "class A:\n    def __str__(self):\n        while True: pass\nanswer['content'] = A()",
    "user bool in ready": "class A:\n    def __bool__(self):\n        while True: pass\nanswer['ready'] = A()",
    "sort key": "sorted([3, 1, 2] * 100000, key=lambda x: [0] * 100 and x)\nwhile True: sorted(range(1000), key=lambda x: -x)",
    "recursive sql": "sql('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n')",
}

HARD = {
    "sum of a huge range": "sum(range(10**12))",
    "search in count": "import itertools\n-1 in itertools.count()",
    "drain count": "from collections import deque\nimport itertools\ndeque(itertools.count(), 0)",
    "max of count": "import itertools\nmax(itertools.count())",
    "finally loop": "def f():\n    try:\n        while True: pass\n    finally:\n        f()\nwhile True:\n    try:\n        f()\n    finally:\n        continue",
}


@pytest.fixture(scope="module")
def hasty() -> Iterator[Cells]:
    with Cells("text", limits=ReplLimits(seconds=0.3, memory_mb=256, grace_seconds=0.7)) as driven:
        yield driven


@pytest.mark.parametrize("name", SOFT)
def test_a_soft_interrupt_stops_it_and_keeps_the_variables(hasty: Cells, name: str) -> None:
    hasty.run("kept = {'a': {1}, 'b': (1, 2)}\nbefore = (i for i in [5])")
    pid = hasty.pid
    result = hasty.run(SOFT[name])
    if name not in ("user str in an exception", "recursive sql"):
        assert result.interrupted
        assert "Stopped after" in (result.error or "")
    assert not result.restarted, result.error
    assert result.final is None
    assert hasty.run("kept['b'], next(before)").output == "((1, 2), 5)\n"
    assert hasty.pid == pid


@pytest.mark.parametrize("name", HARD)
def test_what_does_not_react_is_killed_and_plain_variables_come_back(hasty: Cells, name: str) -> None:
    hasty.run(
        "import re, json\nkept = {'a': [1, 2.5, None], 'b': (1, 'x'), 's': {3}}\ndef twice(n): return 2 * n\n_private = 1"
    )
    hasty.run("lost_one = (i for i in [5])\npattern = re.compile('x')")
    result = hasty.run(HARD[name])
    assert result.interrupted
    assert result.restarted
    assert {"lost_one", "pattern"} <= set(result.lost)
    assert not {"kept", "twice", "_private", "re", "json"} & set(result.lost)
    assert "Lost and to be made again" in (result.error or "")
    after = hasty.run("kept, twice(4), _private, len(context), json.dumps([1]), 'lost_one' in SHOW_VARS()")
    assert after.output == "({'a': [1, 2.5, None], 'b': (1, 'x'), 's': {3}}, 8, 1, 4, '[1]', False)\n", after
    assert not after.restarted


DEPTH = {
    "recursion": "def f(): f()\nf()",
    "deep repr": "x = []\nfor i in range(10**5): x = [x]\nrepr(x)",
    "deep equality": "x, y = [], []\nfor i in range(10**5): x, y = [x], [y]\nx == y",
    "deep json": "import json\nx = []\nfor i in range(10**5): x = [x]\njson.dumps(x)",
    "deep json text": "import json\njson.loads('[' * 10**6)",
    "deep copy": "import copy\nx = []\nfor i in range(10**5): x = [x]\ncopy.deepcopy(x)",
    "sort key recursion": "def k(x): return k(x)\nsorted([1, 2], key=k)",
    "deep echo": "x = []\nfor i in range(10**5): x = [x]\nx",
    "deep answer": "x = []\nfor i in range(10**5): x = [x]\nFINAL(x)\nraise RecursionError",
    "argument nesting": "x = []\nfor i in range(10**4): x = [x]\nask(x)",
}


@pytest.mark.parametrize("name", DEPTH)
def test_depth_raises_in_the_cell_and_the_worker_lives(name: str) -> None:
    with Cells(limits=ReplLimits(seconds=10, memory_mb=512), functions={"ask": lambda value: value}) as cells:
        pid = cells.pid
        result = cells.run(DEPTH[name])
        assert result.error is not None
        assert not result.restarted, result.error
        assert cells.run("1 + 1").output == "2\n"
        assert cells.pid == pid


def test_a_million_deep_list_can_be_made_and_thrown_away() -> None:
    with Cells(limits=ReplLimits(seconds=60, memory_mb=2000)) as cells:
        assert cells.run("x = []\nfor i in range(3 * 10**6): x = [x]\ndel x\n'done'").output == "'done'\n"


OUTPUT = {
    "one long line": "print('a' * 10**7)",
    "many lines": "for i in range(200_000): print('line', i)",
    "context": "print(context)",
    "huge last value": "list(range(10**6))",
    "huge string value": "context * 10",
    "recursive containers": "x = []\nx.append(x)\nd = {'d': x}\nx.append(d)\nprint(x)\nx",
}


@pytest.mark.parametrize("name", OUTPUT)
def test_output_is_cut_in_the_middle_and_says_how_much_is_missing(name: str) -> None:
    with Cells(
        "some text " * 200_000, limits=ReplLimits(seconds=10, memory_mb=512, output_chars=1000)
    ) as cells:
        result = cells.run(OUTPUT[name])
        assert result.error is None
        assert len(result.output) <= 1000
        assert len(result.full_output) <= 1024 * 1024
        if name != "recursive containers":
            assert "characters cut" in result.output


def test_output_keeps_its_beginning_and_its_end() -> None:
    with Cells(limits=ReplLimits(output_chars=300)) as cells:
        result = cells.run("print('BEGIN')\nprint('x' * 5000)\nprint('END')")
        assert result.output.startswith("BEGIN")
        assert result.output.endswith("END\n")
        assert result.full_output == "BEGIN\n" + "x" * 5000 + "\nEND\n"
        assert "4," in result.output  # of the 5,011 characters about 4,800 are missing


def test_control_and_direction_characters_are_written_out() -> None:
    with Cells() as cells:
        result = cells.run("print('\\x1b[31mred\\x00 \\u202eabc \\ud800 <b>tag</b>\\ttab')")
        assert result.output == "\\x1b[31mred\\x00 \\x202eabc \\ud800 <b>tag</b>\ttab\n"


def test_text_that_looks_like_the_protocol_or_an_answer_is_only_text() -> None:
    with Cells() as cells:
        result = cells.run(
            "print('FINAL(42)')\nprint('{\"final\": true}')\nprint('\\x13\\x00\\x00\\x00\\x02')"
        )
        assert result.final is None
        assert result.error is None
        assert "FINAL(42)" in result.output

"""What a REPL session promises to those who use it: state, answers, host functions, errors, life and death."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rlm_core.repl import (
    ReplDocument,
    ReplError,
    ReplLimits,
    ReplSession,
    ReplTable,
    SandboxTooWeak,
    WorkerPool,
    self_test,
)

# ---- cells ----


async def test_variables_persist_and_the_last_expression_is_echoed_once() -> None:
    async with ReplSession("abc" * 10) as repl:
        first = await repl.run("x = len(context)\nx")
        assert (first.output, first.error) == ("30\n", None)
        assert (await repl.run("x + 1")).output == "31\n"
        assert (await repl.run("print('once')")).output == "once\n"
        assert (await repl.run("None")).output == ""


async def test_variables_set_before_an_exception_stay() -> None:
    async with ReplSession() as repl:
        result = await repl.run("a = 1\nb = a / 0\nc = 3")
        assert result.error is not None
        assert "line 2" in result.error
        assert "b = a / 0" in result.error
        assert "ZeroDivisionError: division by zero" in result.error
        assert (await repl.run("a")).output == "1\n"
        assert "NameError" in ((await repl.run("c")).error or "")


async def test_a_traceback_shows_the_cells_own_lines_only() -> None:
    async with ReplSession() as repl:
        await repl.run("def parse(text):\n    return int(text)")
        result = await repl.run("import json\nrows = ['1', 'x']\n[parse(r) for r in rows]")
        assert result.error is not None
        assert "line 3" in result.error
        assert "return int(text)" in result.error
        assert "earlier cell" in result.error
        assert "site-packages" not in result.error
        assert "rlm_core" not in result.error
        json_error = (await repl.run("json.loads('{')")).error or ""
        assert "json/decoder" not in json_error
        assert "JSONDecodeError" in json_error


async def test_functions_see_the_current_globals_and_not_a_copy() -> None:
    async with ReplSession() as repl:
        await repl.run("n = 1\ndef f(): return n, len(context)")
        await repl.run("n = 2")
        assert (await repl.run("f()")).output == "(2, 0)\n"
        await repl.prepare(query="next", context="12345")
        assert (await repl.run("f()")).output == "(2, 5)\n"


async def test_private_names_attributes_and_arguments_work() -> None:
    code = """
_total = 0
class Box:
    def __init__(self, _value=1):
        self._value = _value
        self.__hidden = 2
    def get(self): return self._value + self.__hidden
def _add(_n):
    global _total
    _total += _n
_add(3)
(_total, Box(_value=5).get(), [_i for _i in range(2)])
"""
    async with ReplSession() as repl:
        assert (await repl.run(code)).output == "(3, 7, [0, 1])\n"
        result = await repl.run("_total + _missing")
        assert "name '_missing' is not defined" in (result.error or "")
        assert "_total: int = 3" in result.variables


async def test_provided_names_are_restored_and_the_cells_own_value_is_kept_under_another() -> None:
    async with ReplSession("text", functions={"llm_query": lambda prompt: "real"}) as repl:
        result = await repl.run("llm_query = lambda p: 'fake'\ncontext = 'other'\nllm_query(''), context")
        assert "('fake', 'other')" in result.output
        assert "my_context" in result.output
        assert (await repl.run("llm_query('x'), context, my_context")).output == "('real', 'text', 'other')\n"


@pytest.mark.parametrize(
    "code", ["import sys\nsys.exit(3)", "raise SystemExit", "exit()", "quit()", "raise KeyboardInterrupt"]
)
async def test_leaving_python_ends_only_the_cell(code: str) -> None:
    async with ReplSession() as repl:
        await repl.run("kept = 1")
        assert (await repl.run(code)).error
        assert (await repl.run("kept")).output == "1\n"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("import numpy as np", "statistics"),
        ("import pandas", "sql(query)"),
        ("import os", "`context`"),
        ("import requests", "no network"),
        ("from rlm import llm_query", "already defined"),
        ("open('x')", "`context`"),
        ("input()", "`query`"),
        ("exec('1')", "python_exec"),
        ("locals()", "SHOW_VARS"),
        ("import json\njson.dump", "available"),
        ("llm_query('x')", "not available"),
        ("().__class__.__bases__", "underscore"),
    ],
)
async def test_a_refusal_names_the_line_and_what_to_write_instead(code: str, advice: str) -> None:
    async with ReplSession() as repl:
        error = (await repl.run(code)).error or ""
        assert f"line {code.count(chr(10)) + 1}" in error
        assert advice in error or (advice == "underscore" and "_" in error)


# ---- the answer ----


async def test_an_answer_counts_when_it_is_ready_and_the_cell_did_not_raise() -> None:
    async with ReplSession() as repl:
        draft = await repl.run("answer['content'] = 'so far'")
        assert (draft.final, draft.draft) == (None, "so far")
        raised = await repl.run("answer['content'] = 42\nanswer['ready'] = True\n1 / 0")
        assert (raised.final, raised.draft) == (None, "42")
        assert (await repl.run("x = 1")).final is None
        assert (await repl.run("answer['ready'] = True")).final == "42"


@pytest.mark.parametrize(
    ("code", "final"),
    [
        ("FINAL('Paris')", "Paris"),
        ("FINAL(6 * 7)", "42"),
        ("x = ['a', 1]\nFINAL_VAR('x')", "['a', 1]"),
        ("x = 'Paris'\nFINAL_VAR(x)", "Paris"),
        ("Paris = 5\nx = 'Paris'\nFINAL_VAR(x)", "Paris"),
        ("_x = 3\nFINAL_VAR('_x')", "3"),
        ("answer = {'content': 'rebound', 'ready': True}", "rebound"),
        ("def done(): answer['content'] = 'inner'; answer['ready'] = True\ndone()", "inner"),
        ("print('working')\nFINAL('x' * 3)", "xxx"),
    ],
)
async def test_every_way_to_finish_is_understood(code: str, final: str) -> None:
    async with ReplSession() as repl:
        assert (await repl.run(code)).final == final


async def test_an_answer_bound_to_a_text_is_a_draft() -> None:
    async with ReplSession() as repl:
        result = await repl.run("answer = 'Paris'")
        assert (result.final, result.draft) == (None, "Paris")
        assert (await repl.run("answer['ready'] = True")).final == "Paris"


async def test_final_var_of_a_missing_name_lists_the_variables() -> None:
    async with ReplSession() as repl:
        await repl.run("known = 1")
        result = await repl.run("FINAL_VAR('unknown')")
        assert result.final is None
        assert "known" in (result.error or "")


async def test_prepare_keeps_variables_and_makes_a_fresh_answer() -> None:
    async with ReplSession("first text", query="one", documents=[ReplDocument("a.txt", 0, 5)]) as repl:
        await repl.run("seen = query\nanswer['content'] = 'old'\nanswer['ready'] = True")
        await repl.prepare(query="two")
        result = await repl.run("seen, query, answer, documents[0].text, len(context)")
        assert result.output == "('one', 'two', {'content': '', 'ready': False}, 'first', 10)\n"
        assert result.final is None
        await repl.prepare(query="three", context="new", documents=[ReplDocument("b.txt", 0, 3)])
        assert (await repl.run("context, documents[0].name, seen")).output == "('new', 'b.txt', 'one')\n"


# ---- host functions ----


async def test_arguments_arrive_as_given_and_results_come_back() -> None:
    seen: list[Any] = []

    async def ask(*args: Any, **kwargs: Any) -> Any:
        seen.append((args, kwargs))
        return {"text": "é" * 100, "n": [1, 2.5, None, True], "deep": {"a": {"b": []}}}

    async with ReplSession(functions={"ask": ask}) as repl:
        long = "x" * 200_000
        result = await repl.run(
            f"r = ask({long!r}, ['a', {{'k': 1}}], model=None, schema={{'type': 'object'}})\nr['n'], len(r['text'])"
        )
        assert result.output == "([1, 2.5, None, True], 100)\n"
    assert seen == [((long, ["a", {"k": 1}]), {"model": None, "schema": {"type": "object"}})]


async def test_plain_functions_may_block_without_blocking_the_loop() -> None:
    import threading

    released = threading.Event()

    def slow(prompt: str) -> str:
        released.wait(10)
        return prompt.upper()

    async with ReplSession(functions={"slow": slow}) as repl:
        task = asyncio.ensure_future(repl.run("slow('abc')"))
        for _ in range(20):  # the loop is alive while the function blocks
            await asyncio.sleep(0)
        released.set()
        assert (await task).output == "'ABC'\n"


async def test_an_exception_of_a_function_is_an_exception_of_the_cell() -> None:
    async def fail(prompt: str) -> str:
        raise ValueError(f"no model for {prompt!r}")

    async with ReplSession(functions={"fail": fail}) as repl:
        result = await repl.run(
            "try:\n    fail('x')\nexcept ValueError as e:\n    print('caught', e)\nfail('y')"
        )
        assert result.output == "caught no model for 'x'\n"
        assert "ValueError: no model for 'y'" in (result.error or "")
        assert "line 5" in (result.error or "")


async def test_code_time_does_not_include_time_inside_functions() -> None:
    async def slow(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async with ReplSession(functions={"slow": slow}, limits=ReplLimits(seconds=0.3)) as repl:
        result = await repl.run("slow(0.7)")
        assert result.output == "'done'\n"
        assert not result.interrupted
        assert result.seconds < 0.3


async def test_await_and_asyncio_run_are_tolerated() -> None:
    async def llm_query(prompt: str) -> str:
        return prompt[::-1]

    async with ReplSession(functions={"llm_query": llm_query}) as repl:
        assert (await repl.run("await llm_query('abc')")).output == "'cba'\n"
        code = """
import asyncio
async def main():
    parts = await asyncio.gather(*[llm_query(x) for x in ['ab', 'cd']])
    return parts
asyncio.run(main())
"""
        assert (await repl.run(code)).output == "['ba', 'dc']\n"


async def test_a_cell_that_calls_too_often_is_told_so_and_the_host_stays_calm() -> None:
    calls = 0

    def count() -> int:
        nonlocal calls
        calls += 1
        return calls

    async with ReplSession(functions={"count": count}, limits=ReplLimits(calls_per_cell=5)) as repl:
        code = "errors = set()\nfor i in range(100_000):\n    try:\n        count()\n    except RuntimeError as e:\n        errors.add(str(e))\nerrors"
        result = await repl.run(code)
        assert "has made its 5 calls" in result.output
        assert calls == 5
        assert (await repl.run("count()")).output == "6\n"


async def test_a_cell_that_passes_too_much_text_is_told_so() -> None:
    async with ReplSession(functions={"f": len}, limits=ReplLimits(call_chars_per_cell=1000)) as repl:
        assert (await repl.run("f('x' * 900)")).output == "900\n"
        result = await repl.run("f('x' * 900)\nf('x' * 900)")
        assert "has passed its 1,000 characters" in (result.error or "")


async def test_what_cannot_be_passed_is_refused_in_the_cell() -> None:
    async with ReplSession(functions={"f": lambda x: x}) as repl:
        for code, word in [
            ("f({1, 2})", "set"),
            ("f(lambda: 1)", "function"),
            ("f(float('nan'))", "nan"),
            ("f(10 ** 5000)", "too long"),
            ("x = []\nx.append(x)\nf(x)", "deeply"),
            ("f('x' * 20_000_000)", "too large"),
            ("f([[]] * 200_000)", "too large"),
        ]:
            result = await repl.run(code)
            assert word in (result.error or ""), (code, result)
            assert not result.restarted
        assert (await repl.run("class S(str): pass\nf(S('abc'))")).output == "'abc'\n"
        assert (await repl.run("f('\\ud800')")).output == "'\\\\ud800'\n"


async def test_a_result_that_is_too_long_or_cannot_be_passed_is_bounded() -> None:
    functions: dict[str, Any] = {
        "big": lambda: "y" * 100_000_000,
        "bad": lambda: object(),
        "odd": lambda: "\x00\x1b[31m\ud800",
    }
    async with ReplSession(functions=functions, limits=ReplLimits(reply_chars=10_000)) as repl:
        result = await repl.run("r = big()\nlen(r), r[-33:]")
        assert result.output == "(10034, '[cut: 99,990,000 more characters]')\n"
        assert "cannot be passed" in ((await repl.run("bad()")).error or "")
        assert (await repl.run("len(odd()) > 5")).output == "True\n"


@pytest.mark.parametrize("context", [None, b"bytes", ["a"], 5])
def test_a_context_that_is_no_text_is_refused_at_once(context: Any) -> None:
    with pytest.raises(TypeError, match="must be text"):
        ReplSession(context)


# ---- stopping ----


async def test_cancelling_stops_the_cell_and_the_session_stays_usable() -> None:
    async with ReplSession() as repl:
        await repl.run("kept = [1]\ndef f(): return 1")
        for code in ("while True: pass", "sum(range(10**12))"):
            task = asyncio.ensure_future(repl.run(code))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        result = await repl.run("kept, f()")
        assert result.output.endswith("([1], 1)\n")
        assert result.restarted


async def test_a_cancelled_cell_leaves_its_draft_until_the_next_message() -> None:
    calling = asyncio.Event()

    async def wait(_prompt: str) -> str:
        calling.set()
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    async with ReplSession(functions={"llm_query": wait}) as repl:
        task = asyncio.create_task(repl.run("answer['content'] = 'so far'\nllm_query('x')"))
        await calling.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert repl.draft == "so far"
        await repl.prepare(query="the next one")
        assert repl.draft is None
        await repl.run("n = 1")
        assert repl.draft is None


async def test_cancelling_reaches_a_host_function() -> None:
    cancelled = asyncio.Event()
    entered = asyncio.Event()

    async def slow() -> str:
        entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "never"

    async with ReplSession(functions={"slow": slow}) as repl:
        task = asyncio.ensure_future(repl.run("slow()"))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cancelled.is_set()
        after = await repl.run("1 + 1")
        assert after.output == "2\n"
        assert not after.restarted


async def test_a_second_cell_at_the_same_time_is_refused() -> None:
    gate = asyncio.Event()

    async def wait() -> str:
        await gate.wait()
        return "ok"

    async with ReplSession(functions={"wait": wait}) as repl:
        task = asyncio.ensure_future(repl.run("wait()"))
        await asyncio.sleep(0)
        with pytest.raises(ReplError, match="already running"):
            await repl.run("1")
        gate.set()
        assert (await task).output == "'ok'\n"


async def test_a_worker_that_died_is_replaced_with_the_variables() -> None:
    async with ReplSession("text") as repl:
        await repl.run("kept = {'a': 1}\ngone = iter([1])")
        worker = repl._worker
        assert worker is not None
        worker.kill()
        result = await repl.run("kept, context")
        assert result.output.endswith("({'a': 1}, 'text')\n")
        assert result.restarted
        assert result.lost == ("gone",)
        assert "gone" in result.output


async def test_another_session_goes_on_with_the_memory_of_a_closed_one() -> None:
    code = "import math\nkept = {'a': (1, 2)}\ndef area(r): return math.floor(math.pi * r * r)\nstream = iter([1])"
    async with ReplSession("text") as first:
        await first.run(code)
        assert any(line.startswith("stream:") for line in first.variables)
    async with ReplSession("other text", memory=first.memory) as second:
        assert {line.partition(":")[0] for line in second.variables} == {"kept", "area"}
        result = await second.run("kept, area(2), context")
        assert result.output.endswith("({'a': (1, 2)}, 12, 'other text')\n")
        assert result.lost == ("stream",)
        assert "Lost and to be made again: stream." in result.output
        assert (await second.run("kept['a']")).output == "(1, 2)\n"


async def test_a_session_that_goes_on_without_a_loss_says_nothing_of_it() -> None:
    async with ReplSession() as first:
        await first.run("kept = [1, 2]")
    async with ReplSession(memory=first.memory) as second:
        result = await second.run("kept")
    assert (result.output, result.restarted, result.lost) == ("[1, 2]\n", False, ())


def test_a_session_lives_across_event_loops() -> None:
    async def ask() -> int:
        return 1

    session = ReplSession(functions={"ask": ask})
    asyncio.run(session.start())
    asyncio.run(session.run("x = ask()"))
    assert asyncio.run(session.run("x + ask()")).output == "2\n"
    asyncio.run(session.close())


async def test_closing_ends_a_cell_that_runs() -> None:
    repl = ReplSession()
    await repl.start()
    tasks = [asyncio.ensure_future(repl.run("while True: pass"))]
    await asyncio.sleep(0.05)
    await repl.close()
    assert (await tasks[0]).final is None
    stuck = ReplSession()
    await stuck.start()
    tasks.append(asyncio.ensure_future(stuck.run("sum(range(10**13))")))
    await asyncio.sleep(0.05)
    await stuck.close()
    assert (await tasks[1]).restarted
    assert stuck._worker is None


async def test_generators_can_be_passed_where_a_list_is_meant() -> None:
    async with ReplSession("abc", functions={"batch": lambda prompts: [p * 2 for p in prompts]}) as repl:
        assert (await repl.run("batch(c for c in context)")).output == "['aa', 'bb', 'cc']\n"


async def test_a_definition_that_hangs_when_it_is_brought_back_costs_only_the_definitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rlm_core.repl.starting.RESTORE_SECONDS", 0.3)
    async with ReplSession(functions={"ready": lambda: True}) as repl:
        await repl.run("kept = [1]")
        code = "def slow():\n    while True: pass\nstop = ready()\ndef f(x=None if 'stop' in SHOW_VARS() else slow()): return x"
        assert (await repl.run(code)).error is None
        assert repl._worker is not None
        repl._worker.kill()
        result = await repl.run("kept")
        assert result.output.endswith("[1]\n")
        assert set(result.lost) == {"slow", "f"}


async def test_a_session_starts_by_itself_at_the_first_cell() -> None:
    repl = ReplSession("abc")
    result = await repl.run("context")
    assert (result.output, result.restarted, result.lost) == ("'abc'\n", False, ())
    await repl.close()


async def test_a_new_context_brings_its_own_tables() -> None:
    old = ReplTable("old", (("a", "INTEGER"),), [(1,)])
    new = ReplTable("new", (("b", "TEXT"),), [("x",)])
    async with ReplSession("one", tables=[old]) as repl:
        await repl.prepare(query="same context")
        assert (await repl.run("sql('SELECT a FROM old')[0].a")).output == "1\n"
        await repl.prepare(query="new context", context="two", tables=[new])
        assert (await repl.run("sql('SELECT b FROM new')[0].b")).output == "'x'\n"
        assert "no such table" in ((await repl.run("sql('SELECT a FROM old')")).error or "")


async def test_a_closed_session_says_so() -> None:
    repl = ReplSession()
    await repl.start()
    await repl.close()
    with pytest.raises(ReplError, match="closed"):
        await repl.run("1")


async def test_a_session_refuses_to_start_below_the_minimum_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlm_core.repl.starting.level_of", lambda layers: "language-only")
    with pytest.raises(SandboxTooWeak, match="language-only"):
        await ReplSession().start()
    repl = ReplSession(limits=ReplLimits(minimum_level="language-only"))
    await repl.start()
    assert repl.level == "language-only"
    await repl.close()


async def test_the_self_test_reports_what_was_tried_and_the_level() -> None:
    report = await self_test()
    assert set(report.attempts) == {"file", "socket", "process"}
    assert all(outcome.startswith("denied") for outcome in report.attempts.values()), report
    assert report.level == "strict"
    assert "file: denied" in report.summary


async def test_a_pool_gives_sessions_that_share_nothing() -> None:
    async with WorkerPool() as pool, ReplSession(pool=pool) as one, ReplSession(pool=pool) as two:
        await one.run(
            "import random, decimal\nx = 1\nrandom.seed(1)\na = random.random()\ndecimal.getcontext().prec = 3"
        )
        result = await two.run(
            "import random, decimal\nrandom.seed(1)\n'x' in SHOW_VARS(), decimal.getcontext().prec"
        )
        assert result.output == "(False, 28)\n"
        assert one._worker is not two._worker


# ---- looking at the material ----


async def test_search_chunks_and_read_context_agree_on_offsets() -> None:
    text = (
        "".join(f"Paragraph {i}. The quick brown fox.\n\n" for i in range(500)) + "The secret code is 7391.\n"
    )
    async with ReplSession(text) as repl:
        code = """
hits = search("secret code", k=3)
p = hits[0]
assert p.text == p["text"] == context[p.start:p.end] == read_context(p["start"], p.end)
assert p.score > 0 and "7391" in p
parts = chunks(1000, 100)
assert all(c.text == context[c.start:c.end] and len(c) <= 1000 for c in parts)
assert parts[0].start == 0 and parts[-1].end == len(context)
found = search(r"code is (\\d+)", regex=True)
found[0].match, len(parts) > 10, len(chunks("abc", 2))
"""
        assert (await repl.run(code)).output == "('code is 7391', True, 2)\n"


async def test_sql_reads_the_tables_and_nothing_else() -> None:
    rows = [("North", 10, 1.5), ("South", 20, None), ("North", 5, 2.5)]
    table = ReplTable("sales", (("region", "TEXT"), ("units", "INTEGER"), ("price", "REAL")), rows)
    async with ReplSession(tables=[table], limits=ReplLimits(sql_rows=100)) as repl:
        result = await repl.run(
            'rows = sql("SELECT region, sum(units) AS n FROM sales GROUP BY region ORDER BY n")\nrows'
        )
        assert result.output == "[{'region': 'North', 'n': 15}, {'region': 'South', 'n': 20}]\n"
        assert (
            await repl.run("[(r['n'], r.n, r[1], list(r)) for r in rows][0]")
        ).output == "(15, 15, 15, ['North', 15])\n"
        for query in (
            "DROP TABLE sales", "DELETE FROM sales", "INSERT INTO sales VALUES (1,2,3)", "ATTACH ':memory:' AS x",
            "PRAGMA writable_schema=1", "SELECT load_extension('x')", "VACUUM", "CREATE TABLE t(a)", "UPDATE sales SET units=1",
            "SELECT 1; DROP TABLE sales", "ATTACH '/etc/passwd' AS x", "VACUUM INTO '/tmp/x'", "BEGIN", "SAVEPOINT x",
        ):  # fmt: skip
            assert (await repl.run(f"sql({query!r})")).error, query
        assert "Tables: sales(region, units, price)" in (
            (await repl.run("sql('SELECT * FROM nothing')")).error or ""
        )
        assert "LIMIT" in (
            (
                await repl.run(
                    "sql('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n')"
                )
            ).error
            or ""
        )
        assert (await repl.run("sql('SELECT count(*) FROM sales')[0][0]")).output == "3\n"
        assert (
            await repl.run("sql('SELECT units FROM sales WHERE region = ?', ['South'])[0].units")
        ).output == "20\n"


async def test_tables_survive_a_restart() -> None:
    table = ReplTable("t", (("a", "INTEGER"),), ((i,) for i in range(12_000)))
    async with ReplSession(tables=[table]) as repl:
        assert repl._worker is not None
        repl._worker.kill()
        assert (await repl.run("sql('SELECT count(*) AS n FROM t')[0].n")).output.endswith("12000\n")

"""The material on its way to the worker: in pieces, while the session already goes on, and never there twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlm_core.repl import ReplDocument, ReplError, ReplLimits, ReplSession, ReplTable, starting

ROOT = Path(__file__).resolve().parents[2]
MIXED = "plain é ü “quoted” 漢字 🎉 \ud800 end\r\n" * 7


class Gate:
    """Holds back the material of all sessions until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        made = starting._load

        def held_back(*arguments: object) -> Iterator[bytes]:
            self.open.wait(60)
            yield from made(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(starting, "_load", held_back)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
async def test_the_pieces_are_put_together_whatever_letters_they_begin_with(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(starting, "PIECE_CHARS", size)
    documents = [ReplDocument("second", 5, 30)]
    async with ReplSession(MIXED, documents=documents) as repl:
        result = await repl.run("[ord(letter) for letter in context], documents[0].text == context[5:30]")
        letters = ", ".join(str(ord(letter)) for letter in MIXED)
        assert result.full_output == f"([{letters}], True)\n"


async def test_a_session_is_started_before_the_material_is_there_and_the_first_cell_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(monkeypatch)
    table = ReplTable("t", (("n", "INTEGER"),), [(1,), (2,)])
    async with ReplSession("some text", tables=[table]) as repl:
        cell = asyncio.ensure_future(repl.run("len(context), sql('SELECT sum(n) FROM t')[0][0]"))
        assert not (await asyncio.wait((cell,), timeout=0.05))[0]
        gate.open.set()
        result = await cell
    assert result.output == "(9, 3)\n"
    assert not result.restarted


async def test_a_cell_that_is_stopped_while_it_waits_for_the_material_leaves_the_session_usable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(monkeypatch)
    async with ReplSession("some text") as repl:
        cell = asyncio.ensure_future(repl.run("never = 1"))
        await asyncio.wait((cell,), timeout=0.05)
        cell.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cell
        gate.open.set()
        result = await repl.run("len(context), 'never' in SHOW_VARS()")
    assert result.output == "(9, False)\n"
    assert not result.restarted


async def test_a_session_can_be_closed_while_a_cell_waits_for_the_material(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(monkeypatch)
    repl = ReplSession("some text")
    await repl.start()
    cell = asyncio.ensure_future(repl.run("1"))
    await asyncio.wait((cell,), timeout=0.05)
    closing = asyncio.ensure_future(repl.close())
    assert (await cell).error == "The cell was stopped before it began."
    gate.open.set()
    await closing


async def test_the_next_message_waits_for_the_material_of_one_that_ran_no_cell() -> None:
    async with ReplSession("first " * 100_000) as repl:
        await repl.prepare(query="", context="second")
        await repl.prepare(query="", context="third")
        assert (await repl.run("context")).output == "'third'\n"


async def test_a_message_that_was_stopped_before_it_was_handed_over_leaves_no_old_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(monkeypatch)
    async with ReplSession("first") as repl:
        stopped = asyncio.ensure_future(repl.prepare(query="", context="second"))
        await asyncio.wait((stopped,), timeout=0.05)
        stopped.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await stopped
        await repl.prepare(query="", context="second")
        assert "'second'" in (await repl.run("context")).output


async def test_a_context_that_has_not_changed_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ReplSession("the same text") as repl:
        await repl.run("1")
        monkeypatch.setattr(starting, "PIECE_CHARS", 0)  # sending anything would fail
        same = "".join(["the same", " text"])
        await repl.prepare(query="next", context=same, documents=[ReplDocument("d", 0, 3)])
        result = await repl.run("context, query, documents[0].text")
    assert result.output == "('the same text', 'next', 'the')\n"


async def test_material_that_does_not_arrive_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting, "BYTES_A_CHARACTER", 0)
    async with ReplSession("x" * 40_000_000, limits=ReplLimits(memory_mb=16)) as repl:
        with pytest.raises(ReplError, match=r"40,000,000 characters\) could not be handed .*MemoryError"):
            await repl.run("1")


HOST = """
import asyncio, json, sys
sys.path.insert(0, {root!r})
from rlm_core.repl import ReplSession

def peak(pid):
    with open(f"/proc/{{pid}}/status") as status:
        return int(status.read().partition("VmHWM:")[2].split()[0]) * 1024

async def main(text):
    before = peak("self")
    async with ReplSession(text) as repl:
        assert (await repl.run("len(context)")).output == f"{{len(text)}}\\n"
        print(json.dumps([peak("self") - before, peak(repl._worker.pid)]))

asyncio.run(main({line!r} * {times}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("line", ["A line of plain text.\n", "Eine Zeile – mit Gedankenstrich.\n"])
def test_the_host_makes_no_copy_of_a_large_context_and_the_worker_one(line: str) -> None:
    times = 60_000_000 // len(line)
    code = HOST.format(root=str(ROOT), line=line, times=times)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    host, worker = json.loads(done.stdout)
    size = sys.getsizeof(line * times)
    assert host < 0.25 * size
    assert worker < 1.25 * size + 40_000_000

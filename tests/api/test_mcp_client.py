"""The official `mcp` client, over streamable HTTP and over stdio."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from tests.api.conftest import Home
from tests.api.server import RunningApp
from tests.scripted.ollama_server import ScriptedOllama


@asynccontextmanager
async def over_http(url: str, key: str | None = None) -> AsyncIterator[ClientSession]:
    headers = {"Authorization": f"Bearer {key}"} if key else None
    async with (
        httpx.AsyncClient(headers=headers, timeout=30) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as (reader, writer, _),
        ClientSession(reader, writer) as session,
    ):
        await session.initialize()
        yield session


async def call(session: ClientSession, tool: str, /, **arguments: Any) -> Any:
    result = await session.call_tool(tool, arguments)
    text = result.content[0]
    assert isinstance(text, TextContent)
    assert not result.isError, text.text
    return json.loads(text.text)


async def complaint(session: ClientSession, tool: str, /, **arguments: Any) -> str:
    result = await session.call_tool(tool, arguments)
    text = result.content[0]
    assert isinstance(text, TextContent)
    assert result.isError
    return text.text


async def test_the_four_tools_work_over_http(app: RunningApp) -> None:
    async with over_http(app.url) as session:
        tools = [tool.name for tool in (await session.list_tools()).tools]
        assert tools == ["ask", "search_documents", "recall", "add_document"]

        document = await call(
            session, "add_document", name="bridge.txt", text="The old bridge was painted green in May."
        )
        found = await call(session, "search_documents", query="painted bridge", documents=[document["id"]])
        assert "green" in found["passages"][0]["text"]

        answer = await call(session, "ask", question="Hi!", conversation_id="mcp-1")
        assert answer["answer"] == "Hello there, friend."
        await call(session, "ask", question="The ferry leaves at nine from Ronda", conversation_id="mcp-2")
        memories = (await call(session, "recall", query="ferry Ronda"))["memories"]
        assert any("Ronda" in memory["text"] for memory in memories)


async def test_a_question_without_a_conversation_leaves_nothing_behind(
    app: RunningApp,
) -> None:
    before = app.store.conversations()
    async with over_http(app.url) as session:
        await call(session, "ask", question="Hi!")
    assert app.store.conversations() == before


async def test_progress_is_reported_while_the_answer_is_made(app: RunningApp) -> None:
    heard: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async with over_http(app.url) as session:
        await session.call_tool("ask", {"question": "Hi!"}, progress_callback=on_progress)
    assert any("direct" in sentence for sentence in heard)


async def test_wrong_calls_get_a_sentence(app: RunningApp) -> None:
    async with over_http(app.url) as session:
        assert "no document" in await complaint(session, "ask", question="Hi!", documents=["/etc/passwd"])
        assert "either" in await complaint(session, "add_document", name="x.txt")
        assert "decoded" in await complaint(session, "add_document", name="x.txt", base64="***")
        assert "question" in await complaint(session, "ask")
        assert "crashed" in await complaint(session, "ask", question="BREAK")


async def test_over_http_each_user_has_their_own_documents(
    home: Home, owner: httpx.Client, anna: httpx.Client
) -> None:
    keys = [user.post("/account/keys", json={}).json()["key"] for user in (owner, anna)]
    async with over_http(home.app.url, keys[1]) as session:
        data = base64.b64encode(b"Anna's diary: the secret cave.").decode()
        diary = await call(session, "add_document", name="diary.txt", base64=data)
    async with over_http(home.app.url, keys[0]) as session:
        assert (await call(session, "search_documents", query="secret cave"))["passages"] == []
        assert "no document" in await complaint(
            session, "search_documents", query="secret cave", documents=[diary["id"]]
        )


async def test_without_a_key_the_http_door_is_closed(home: Home) -> None:
    with pytest.raises(BaseExceptionGroup):
        async with over_http(home.app.url):
            pass


async def test_the_tools_work_over_stdio(ollama: ScriptedOllama, tmp_path: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=[
            *("-m", "rlm_core", "mcp", "--backend", "ollama", "--base-url", ollama.url),
            *("--data", str(tmp_path / "data"), "--config", str(tmp_path / "settings.json")),
        ],
        cwd=Path(__file__).parents[2],
    )
    async with stdio_client(command) as (reader, writer), ClientSession(reader, writer) as session:
        await session.initialize()
        assert len((await session.list_tools()).tools) == 4
        assert (await call(session, "ask", question="Hi!"))["answer"] == "Hello there, friend."

"""Twenty people at once: nothing is lost, nothing is crossed, and the process does not grow."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import psutil
import pytest

from rlm_core.security import Access
from tests.api.server import RunningApp
from tests.scripted.ollama_server import ScriptedOllama

USERS = 20
MESSAGES = 25
GROWTH_MIB = 48


async def talk(url: str, key: str, user: int, messages: range) -> None:
    """One user with two conversations, over two of the doors; every answer must be the one to this very question."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as client:
        for number in messages:
            said = f"ECHO message {number} of user {user}."
            conversation = f"user-{user}-talk-{number % 2}"
            if number % 3:
                body = {"message": said, "conversation_id": conversation}
                answer = (await client.post("/chat", json=body)).json()["answer"]
            else:
                body = {
                    "messages": [{"role": "user", "content": said}],
                    "conversation_id": conversation,
                    "model": "rlm",
                }
                reply = (await client.post("/v1/chat/completions", json=body)).json()
                answer = reply["choices"][0]["message"]["content"]
            assert answer == f"You said: {said}"


@pytest.mark.alone
async def test_twenty_users_at_once_lose_and_cross_nothing(ollama: ScriptedOllama, tmp_path: Path) -> None:
    access = await asyncio.to_thread(Access.home_network, tmp_path, password="three-quiet-owls")
    access.host = "127.0.0.1"
    accounts = access.accounts
    assert accounts is not None
    names = [f"user{user}" for user in range(USERS)]
    for name in names:
        await asyncio.to_thread(accounts.add, name, "long-enough")
    keys = [accounts.add_key(name, "")[1] for name in names]
    process = psutil.Process()
    with RunningApp(tmp_path, ollama.url, access=access) as app:
        await asyncio.gather(*(talk(app.url, key, user, range(5)) for user, key in enumerate(keys)))
        before = process.memory_info().rss
        await asyncio.gather(*(talk(app.url, key, user, range(5, MESSAGES)) for user, key in enumerate(keys)))
        grown = (process.memory_info().rss - before) / 2**20

        for user, name in enumerate(names):
            talks = app.store.conversations(user=name)
            assert {talk.id for talk in talks} == {f"user-{user}-talk-0", f"user-{user}-talk-1"}
            said = [message for talk in talks for message in app.store.messages(talk.id)]
            assert len(said) == 2 * MESSAGES
            assert all(f"of user {user}." in message.text for message in said)
            assert all(message.status == "complete" for message in said)
        assert app.jobs.active == []
    assert grown < GROWTH_MIB, f"grew by {grown:.1f} MiB over {USERS * (MESSAGES - 5)} messages"
    print(f"{USERS * MESSAGES} messages of {USERS} users; the process grew by {grown:.1f} MiB")

"""Role to model, with what is installed and loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from rlm_core.backends.base import BackendStatus, ChatChunk, ChatMessage, ChatOptions, ModelInfo, PullProgress
from rlm_core.errors import ModelMissing
from rlm_core.router import Router
from rlm_core.settings import Role, Settings

FAST, TOOLS, QUALITY = "qwen3:8b", "glm-z1:9b", "qwen3:30b-a3b"
SIZES = {FAST: 5_000_000_000, TOOLS: 6_000_000_000, QUALITY: 18_000_000_000}


class Listed:
    """A backend that only lists models."""

    def __init__(self, models: Sequence[ModelInfo], name: str = "ollama") -> None:
        self.name = name
        self.listed = list(models)
        self.asked = 0

    async def models(self) -> list[ModelInfo]:
        self.asked += 1
        return self.listed

    async def status(self) -> BackendStatus:
        raise NotImplementedError

    async def model(self, name: str) -> ModelInfo:
        raise NotImplementedError

    def chat(
        self, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncIterator[ChatChunk]:
        raise NotImplementedError

    async def load(self, model: str, options: ChatOptions) -> None:
        raise NotImplementedError

    async def unload(self, model: str) -> None:
        raise NotImplementedError

    def pull(self, model: str) -> AsyncIterator[PullProgress]:
        raise NotImplementedError

    async def delete(self, model: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def installed(*names: str, loaded: str | None = None) -> list[ModelInfo]:
    return [
        ModelInfo(name, size=SIZES.get(name, 4_000_000_000), context_length=32_768, loaded=name == loaded)
        for name in names
    ]


def router(there: Sequence[ModelInfo], name: str = "ollama", **settings: object) -> Router:
    return Router(Listed(there, name), Settings().changed(settings))


@pytest.mark.parametrize(
    ("role", "loaded", "expected"),
    [
        ("fast", None, FAST),
        ("fast", TOOLS, TOOLS),
        ("fast", QUALITY, QUALITY),
        ("tools", FAST, TOOLS),
        ("tools", QUALITY, TOOLS),
        ("tools", TOOLS, TOOLS),
        ("quality", FAST, FAST),
        ("quality", TOOLS, TOOLS),
        ("quality", None, QUALITY),
    ],
)
async def test_auto_changes_the_loaded_model_only_where_it_is_worth_the_load(
    role: Role, loaded: str | None, expected: str
) -> None:
    assignment = await router(installed(FAST, TOOLS, QUALITY, loaded=loaded)).assign(role)
    assert assignment.model == expected
    assert assignment.loaded == (expected == loaded)
    assert assignment.notice is None


async def test_by_role_ignores_what_is_loaded_and_single_ignores_the_role() -> None:
    models = installed(FAST, TOOLS, QUALITY, loaded=FAST)
    roles: tuple[Role, ...] = ("fast", "tools", "quality")
    by_role = router(models, routing="by-role")
    single = router(models, routing="single")
    assert [(await by_role.assign(role)).model for role in roles] == [FAST, TOOLS, QUALITY]
    assert [(await single.assign(role)).model for role in roles] == [FAST, FAST, FAST]


async def test_the_window_is_the_setting_or_what_the_model_was_trained_for() -> None:
    models = [
        ModelInfo(FAST, context_length=2048),
        ModelInfo(TOOLS, context_length=131_072),
        ModelInfo(QUALITY),
    ]
    found = router(models, routing="by-role", num_ctx=16_384)
    assert (await found.assign("fast")).window == 2048
    assert (await found.assign("tools")).window == 16_384
    assert (await found.assign("quality")).window == 16_384


async def test_a_missing_model_is_replaced_by_another_of_the_settings_then_by_what_is_loaded() -> None:
    first = await router(installed(FAST, "gemma3:4b")).assign("tools")
    assert first.model == FAST
    assert first.notice is not None
    assert "ollama pull glm-z1:9b" in first.notice
    other = await router(installed("gemma3:4b", "llama3:latest", loaded="llama3:latest")).assign("tools")
    assert other.model == "llama3:latest"


async def test_another_server_is_not_told_to_pull() -> None:
    assignment = await router(installed("some-model"), "openai").assign("tools")
    assert assignment.model == "some-model"
    assert assignment.notice is not None
    assert "ollama" not in assignment.notice


async def test_a_name_without_a_tag_means_latest() -> None:
    found = router(installed("llama3:latest"), models={"fast": "llama3"}, routing="single")
    assignment = await found.assign("fast")
    assert (assignment.model, assignment.notice) == ("llama3:latest", None)


async def test_no_model_at_all_and_an_unknown_name_are_errors_with_a_remedy() -> None:
    with pytest.raises(ModelMissing, match="ollama pull glm-z1:9b"):
        await router([]).assign("tools")
    with pytest.raises(ModelMissing, match=FAST):
        await router(installed(FAST)).assign("tools", model="gemma3:27b")


async def test_the_list_is_asked_for_once_in_a_while_and_again_when_something_changed() -> None:
    backend = Listed(installed(FAST, TOOLS, QUALITY))
    found = Router(backend, Settings())
    for _ in range(5):
        await found.assign("fast")
    assert backend.asked == 1
    found.forget()
    await found.assign("fast")
    assert backend.asked == 2

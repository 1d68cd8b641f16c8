"""An ideal reader with a window of 4,096 tokens behind the real wire protocol, and the engine in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rlm_core import RLMEngine, Settings
from tests.scripted.app_reader import app_reader
from tests.scripted.ideal_reader import WINDOW
from tests.scripted.ollama_server import ScriptedOllama


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedOllama]:
    with ScriptedOllama(app_reader().reply, window=WINDOW) as running:
        yield running
    assert running.largest_prompt <= WINDOW
    assert running.silent_cuts == 0


@pytest.fixture(scope="module")
def engine(server: ScriptedOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RLMEngine]:
    """With the default limits of a message."""
    data: Path = tmp_path_factory.mktemp("data")
    with RLMEngine(Settings(backend="ollama", base_url=server.url, num_ctx=WINDOW), data_dir=data) as running:
        yield running

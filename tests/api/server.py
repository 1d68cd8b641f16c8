"""The real application on a real port, in a thread of its own: engine, jobs, store and uvicorn share one event loop."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from memory_store import MemoryStore
from rlm_core import RLMEngine, Settings
from rlm_core.api import create_app
from rlm_core.jobs import Jobs
from rlm_core.security import Access

T = TypeVar("T")


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: threading.Event) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()


class RunningApp:
    """``with RunningApp(folder, backend_url) as app``: ``app.url``, ``app.engine``, ``app.store``, ``app.access``.

    Embeddings are off (keywords find what these tests look for); everything else is what ``app.py`` runs.
    """

    def __init__(
        self, folder: Path, backend_url: str, *, access: Access | None = None, **settings: object
    ) -> None:
        self.folder = folder
        self.config = folder / "settings.json"
        self.access = access or Access.loopback()
        self.settings = Settings.load(
            self.config,
            environment={},
            backend="ollama",
            base_url=backend_url,
            limits={"max_seconds": 60},
            **settings,
        )
        self.port = 0
        self.problem: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="app under test", daemon=True)

    @property
    def url(self) -> str:
        return f"{self.access.scheme}://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/chat"

    def __enter__(self) -> RunningApp:
        self._thread.start()
        self._started.wait(60)
        if self.problem is not None:
            raise self.problem
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.problem is not None:
            raise self.problem

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as problem:
            self.problem = problem
        finally:
            self._started.set()

    def in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something that belongs to the application's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.store = MemoryStore(self.folder, embedder=None)
        self.engine = RLMEngine(self.settings, data_dir=self.folder, store=self.store)
        self.jobs = Jobs(self.engine)
        app = create_app(self.engine, self.jobs, config_path=self.config, access=self.access)
        config = uvicorn.Config(
            app,
            log_level="warning",
            proxy_headers=False,
            ssl_certfile=self.access.certificate and self.access.certificate[0],
            ssl_keyfile=self.access.certificate and self.access.certificate[1],
            timeout_graceful_shutdown=3,
        )
        self._server = _Server(config, self._started)
        listener = socket.socket()
        listener.bind((self.access.host, 0))
        self.port = self.access.port = listener.getsockname()[1]
        await self._server.serve(sockets=[listener])
        await self.jobs.close()
        await self.engine.close()
        self.store.close()

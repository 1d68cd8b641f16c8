"""What goes on at the Settings tab: settings are changed, models managed, the state of everything looked at."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_core.backends.base import Backend, ChatOptions
from rlm_core.engine import RLMEngine
from rlm_core.errors import BackendError, LocalRLMError, SettingsError, SettingsNotKept
from rlm_core.paths import PROJECT
from rlm_core.security import Access
from rlm_core.settings import Settings
from ui import gpu
from ui.books import UPLOADS
from ui.home import HomeNetwork, NotAllowed
from ui.html import block, esc, notice
from ui.models_view import (
    backend_line,
    is_small,
    missing_models,
    model_table,
    pulling,
    short_status,
    store_line,
)
from ui.models_view import gpu as gpu_line
from ui.settings_form import change, problem
from ui.tab import Tab
from ui.welcome import Readiness, welcome
from ui.words import count

if TYPE_CHECKING:
    from rlm_core.backends.ollama_process import OllamaProcess


T = TypeVar("T")
NOT_INSTALLED = (
    "Ollama is not installed: get it from ollama.com/download, then press Look again on the Settings tab."
)


@dataclass(frozen=True)
class State:
    """The model server as the page shows it. ``names`` are the models that can be chosen; ``ollama`` is what can be done with
    Ollama from here: "start", "stop" or nothing."""

    brand: str
    backend: str
    models: str
    names: list[str]
    welcome: str
    ollama: str = ""


class Control:
    """The settings of one engine and everything they are about. ``config`` is the settings file; ``on_ollama`` is told
    when an Ollama of ours runs, and when it no longer does."""

    def __init__(self, engine: RLMEngine, access: Access, config: Path) -> None:
        self.engine = engine
        self.access = access
        self.config = config
        self.home = HomeNetwork(engine, access, config)
        self._ollama: OllamaProcess | None = None
        self._sandbox: str | None = None
        self._pulls: dict[str, asyncio.Event] = {}
        self.on_ollama: Callable[[bool], None] = lambda started: None

    async def save(self, tab: Tab, name: str, value: Any) -> str | None:
        """Change one setting, here and in the file; returns the sentence that refuses a bad value."""
        self._owner_only(tab)
        try:
            new = change(self.engine.settings, name, value)
            stored = change(Settings.load(self.config, environment={}), name, value)
            if new != self.engine.settings:
                await self.engine.apply(new)
                await asyncio.to_thread(stored.save, self.config)
        except SettingsError as error:
            return problem(error)
        except SettingsNotKept as error:
            return f"It counts until LocalRLM ends. {error}"
        return None

    async def state(self) -> State:
        """Ask the model server how it is. Never fails because it is down."""
        settings = self.engine.settings
        verb, advice = await self._ollama_now()
        try:
            async with self.engine.choice() as choice:
                status = await choice.backend.status()
                try:
                    models = await choice.backend.models() if status.running else []
                except BackendError as error:
                    return self._troubled(short_status(status, ""), str(error), verb, advice)
        except LocalRLMError as error:
            brand = block('<div class="brand"><b>LocalRLM</b></div>')
            return self._troubled(brand, str(error), verb, advice)
        manages = choice.backend.name == "ollama"
        names = [model.name for model in models]
        answering = settings.models.fast if settings.models.fast in names or not names else names[0]
        auto = status.running and settings.backend == "auto"
        sentence = choice.sentence if auto else status.sentence  # the choice's says why it was taken
        missing = missing_models(models, settings) if manages and status.running else ()
        return State(
            short_status(status, answering),
            backend_line(status, sentence, advice),
            model_table(models, settings, manages=manages) if status.running else "",
            names,
            self._welcome(
                Readiness(status.running, sentence, advice, verb == "start"),
                missing,
                small=is_small(models, answering),
            ),
            verb,
        )

    def _troubled(self, brand: str, trouble: str, verb: str, advice: str) -> State:
        said = block(notice(f"{trouble} {advice}".strip(), "bad"))
        return State(
            brand, said, "", [], self._welcome(Readiness(False, trouble, advice, verb == "start")), verb
        )

    async def _ollama_now(self) -> tuple[str, str]:
        """What can be done with Ollama from here ("start", "stop" or nothing), and what to say about it."""
        from rlm_core.backends.ollama_client import OllamaBackend
        from rlm_core.backends.ollama_process import is_here

        if self.engine.settings.backend not in ("auto", "ollama"):
            return "", ""
        if self._ollama is not None and self._ollama.pid is not None:
            return "stop", ""
        server = OllamaBackend(self._ollama_address())
        try:
            if not is_here(server.base_url) or (await server.status()).running:
                return "", ""
        finally:
            await server.close()
        return ("start", "") if shutil.which("ollama") else ("", NOT_INSTALLED)

    def _welcome(self, server: Readiness, missing: Sequence[str] = (), *, small: bool = False) -> str:
        """The first page: what is ready, and what is missing with a button for it."""
        here = f"Documents and conversations are kept on this computer, in {self.engine.data_dir}."
        return welcome(server, missing, Readiness(True, here), PROJECT / "sample_docs", small=small)

    async def manage(self, tab: Tab, action: str, model: str) -> None:
        """Load, unload or delete a model, or erase everything, as a button says."""
        self._owner_only(tab)
        if action == "erase":
            await self.engine.erase_everything()
            await asyncio.to_thread(shutil.rmtree, self.engine.data_dir / UPLOADS, ignore_errors=True)
            return
        settings = self.engine.settings
        async with self.engine.backend() as backend:
            if action == "load":
                options = ChatOptions(num_ctx=settings.num_ctx, keep_alive=settings.keep_alive)
                await backend.load(model, options)
            elif action == "unload":
                await backend.unload(model)
            elif action == "delete":
                await backend.delete(model)

    async def pull(self, tab: Tab, model: str) -> AsyncIterator[str]:
        """Download a model; yields how far it is, until :meth:`stop_pull`."""
        from rlm_core.backends.ollama_client import OllamaBackend

        self._owner_only(tab)
        name = model.strip()
        if not name:
            raise BackendError("Write the name of a model, such as qwen3:8b.")
        stop = self._pulls[tab.session] = asyncio.Event()
        backend: Backend = OllamaBackend(self._ollama_address())
        try:
            status = await backend.status()
            if not status.running:
                raise BackendError(status.sentence)
            async for progress in until(stop, backend.pull(name)):
                yield pulling(name, progress)
            if not stop.is_set():
                yield block(f'<p class="pull good">{esc(name)} is installed.</p>')
        finally:
            del self._pulls[tab.session]
            await backend.close()
        if stop.is_set():
            yield block(notice("The download is stopped; it goes on from here next time."))

    def is_pulling(self, tab: Tab) -> bool:
        """Whether a download of this tab is going on."""
        return tab.session in self._pulls

    def stop_pull(self, tab: Tab) -> None:
        """End this tab's download."""
        if tab.session in self._pulls:
            self._pulls[tab.session].set()

    async def start_ollama(self, tab: Tab) -> str:
        """Returns the sentence that says how it went."""
        self._owner_only(tab)
        if self._ollama is None:
            from rlm_core.backends.ollama_client import OllamaBackend
            from rlm_core.backends.ollama_process import OllamaProcess

            self._ollama = OllamaProcess(
                OllamaBackend(self._ollama_address()), self.engine.data_dir / "ollama.log"
            )
        status = await self._ollama.start()
        self.on_ollama(self._ollama.pid is not None)
        await self.look_again()
        return status.sentence

    async def stop_ollama(self, tab: Tab) -> str:
        self._owner_only(tab)
        if self._ollama is None or not await self._ollama.stop():
            raise BackendError("LocalRLM did not start Ollama, so it leaves it running.")
        self.on_ollama(False)
        await self.look_again()
        return "Ollama is stopped."

    async def look_again(self) -> None:
        """Choose the backend anew, because something outside has changed."""
        await self.engine.apply(self.engine.settings, choose_again=True)

    async def gpu(self) -> str:
        found, problem_of_it = await asyncio.to_thread(gpu.cards)
        return gpu_line(found, problem_of_it)

    async def store(self) -> str:
        return store_line(await asyncio.to_thread(self.engine.store.status))

    async def bring_back(self, tab: Tab, file: Path) -> str:
        """Import what :attr:`everything.zip` exported; returns the sentence that says what came."""
        self._owner_only(tab)
        came = await asyncio.to_thread(self.engine.store.import_all, file)
        return (
            f"{count(came.conversations, 'conversation')}, {count(came.messages, 'message')} and"
            f" {count(came.documents, 'document')} were imported. Reload the page to see them."
        )

    async def sandbox(self) -> str:
        """What keeps the model's code in on this machine, in one sentence. It is tried out once."""
        if self._sandbox is None:
            try:
                self._sandbox = (await self.engine.sandbox_report()).summary
            except LocalRLMError as error:
                self._sandbox = str(error)
        return block(f'<section><h3>Sandbox</h3><p class="quiet">{esc(self._sandbox)}</p></section>')

    async def close(self) -> None:
        if self._ollama is not None:
            await self._ollama.stop()

    def _owner_only(self, tab: Tab) -> None:
        if not self.access.is_owner(tab.user):
            raise NotAllowed("Only the owner of this LocalRLM may change that.")

    def _ollama_address(self) -> str | None:
        settings = self.engine.settings
        return settings.base_url if settings.backend == "ollama" else None


async def until(stop: asyncio.Event, stream: AsyncIterator[T]) -> AsyncIterator[T]:
    """The items of a stream until it ends or ``stop`` is set, also while it is silent."""
    stopped = asyncio.create_task(stop.wait())
    async with aclosing(stream) as items:  # type: ignore[type-var]
        try:
            while True:
                coming = asyncio.ensure_future(anext(items, None))
                await asyncio.wait({coming, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    await asyncio.wait({coming})
                    return
                item = coming.result()
                if item is None:
                    return
                yield item
        finally:
            stopped.cancel()

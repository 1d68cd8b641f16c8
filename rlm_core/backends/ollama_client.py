"""A local Ollama as a backend.

Listing, showing, pulling and deleting go through the ``ollama`` package. Chat goes over plain HTTP, because the package cannot
send ``truncate`` and ``shift``; without them Ollama cuts a long prompt silently. ``num_ctx``, ``truncate`` and ``shift`` are the
same in every request for a model, since Ollama reloads a model when one of them changes. Models that run on Ollama's own
servers (``:cloud``) are neither listed nor called.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar, cast

import httpx
import ollama

from rlm_core.backends.base import (
    BackendStatus,
    CallUsage,
    ChatChunk,
    ChatMessage,
    ChatOptions,
    ModelInfo,
    PullProgress,
)
from rlm_core.backends.http_client import (
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    HttpClient,
    HttpError,
    Lines,
    NotConnected,
    PerLoop,
    Response,
)
from rlm_core.backends.ollama_names import is_cloud, is_local, keep_alive, ollama_address, pull_problem
from rlm_core.backends.refusals import error_text, refusal
from rlm_core.backends.thinking import ThinkSplitter
from rlm_core.errors import BackendError, BackendNotRunning, ModelMissing, StreamDropped

log = logging.getLogger(__name__)
T = TypeVar("T")

STATUS_SECONDS = 2.0
QUESTION_SECONDS = 30.0


class OllamaBackend:
    """``base_url`` defaults to ``$OLLAMA_HOST``, then to ``http://127.0.0.1:11434``."""

    name = "ollama"

    def __init__(self, base_url: str | None = None) -> None:
        self.base_url = ollama_address(base_url or os.environ.get("OLLAMA_HOST", ""))
        self._http = PerLoop(lambda: HttpClient(self.base_url))
        self._ollama = PerLoop(
            lambda: ollama.AsyncClient(
                self.base_url,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
            )
        )
        self._cannot_think: set[str] = set()
        self._opens_thinking: set[str] = set()
        self._windows: dict[str, int] = {}
        self._shown: dict[str, tuple[int | None, tuple[str, ...]]] = {}

    # How the server is and what it has

    async def status(self) -> BackendStatus:
        try:
            answer = await self._http.get().ask("GET", "/api/version", seconds=STATUS_SECONDS)
            version = str(answer.json()["version"])
        except HttpError:
            return BackendStatus(self.name, False, self._not_running(), address=self.base_url)
        except (ValueError, KeyError, TypeError):
            sentence = (
                f"Something answers at {self.base_url}, but it is not Ollama. Check base_url in Settings."
            )
            return BackendStatus(self.name, False, sentence, address=self.base_url)
        sentence = f"Ollama {version} answers at {self.base_url}."
        return BackendStatus(self.name, True, sentence, version=version, address=self.base_url)

    async def models(self) -> list[ModelInfo]:
        client = self._ollama.get()
        listed, running = await asyncio.gather(self._asked(client.list()), self._asked(client.ps()))
        local = [model for model in listed.models if is_local(model.model, model.size)]
        loaded = {model.model or model.name: model for model in running.models}
        await asyncio.gather(*(self._show(model.model or "", model.digest or "") for model in local))
        found = []
        for model in local:
            details, here = model.details, loaded.get(model.model)
            context_length, capabilities = self._shown.get(model.digest or "", (None, ()))
            found.append(
                ModelInfo(
                    name=model.model or "",
                    size=int(model.size) if model.size is not None else None,
                    digest=model.digest,
                    context_length=context_length,
                    parameters=details.parameter_size if details else None,
                    quantization=details.quantization_level if details else None,
                    family=details.family if details else None,
                    capabilities=capabilities,
                    loaded=here is not None,
                    vram=int(here.size_vram) if here is not None and here.size_vram is not None else None,
                    loaded_context=here.context_length if here is not None else None,
                )
            )
        return found

    async def model(self, name: str) -> ModelInfo:
        wanted = name if ":" in name else f"{name}:latest"
        for info in await self.models():
            if info.name == wanted:
                return info
        raise ModelMissing(name, f"Get it with `ollama pull {name}`, or on the Settings tab.")

    async def _show(self, name: str, digest: str) -> None:
        """Learn a model's window and capabilities, once for each digest."""
        if digest in self._shown:
            return
        try:
            shown = await self._asked(self._ollama.get().show(name), name)
        except ModelMissing:
            return  # deleted since it was listed
        lengths = [value for key, value in (shown.modelinfo or {}).items() if key.endswith(".context_length")]
        self._shown[digest] = (int(lengths[0]) if lengths else None, tuple(shown.capabilities or ()))

    # Chat

    async def chat(
        self, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncIterator[ChatChunk]:
        splitter = ThinkSplitter(inside=model in self._opens_thinking and options.schema is None)
        lines, said, finished = Lines(), 0, False
        response = await self._accepted(model, messages, options)
        try:
            async for data in response:
                for line in lines.feed(data):
                    part = json.loads(line) if line.strip() else {}
                    if "error" in part:
                        raise self._refusal(0, str(part["error"]), model, messages, options)
                    message = part.get("message") or {}
                    inline, text = splitter.feed(message.get("content") or "")
                    thinking = (message.get("thinking") or "") + inline
                    said += len(text)
                    if part.get("done"):
                        late, rest = splitter.finish()
                        if splitter.unopened:
                            self._opens_thinking.add(model)
                        finished = True  # reading on to the end lets the next call use this connection
                        reason = part.get("done_reason") or "stop"
                        yield ChatChunk(text + rest, thinking + late, reason, _usage(part))
                    elif text or thinking:
                        yield ChatChunk(text, thinking)
        except (HttpError, ValueError) as error:
            if not finished:
                raise StreamDropped(_dropped(said)) from error
        finally:
            response.close()
        if not finished:
            raise StreamDropped(_dropped(said))

    async def _accepted(self, model: str, messages: Sequence[ChatMessage], options: ChatOptions) -> Response:
        """An open stream of a chat that the server accepted; the caller closes it."""
        if is_cloud(model):
            raise BackendError(
                f"'{model}' runs on Ollama's servers, not on this computer. LocalRLM never calls such models: "
                "choose one that is installed here."
            )
        body = self._body(model, options)
        body["messages"] = [{"role": message.role, "content": message.content} for message in messages]
        body["stream"] = True
        if options.schema is not None:
            body["format"] = options.schema
        if options.think is not None and model not in self._cannot_think:
            body["think"] = options.think
        while True:
            try:
                response = await self._http.get().send("POST", "/api/chat", body)
                if response.status == 200:
                    return response
                try:
                    text = (await response.read()).decode("utf-8", "replace")
                finally:
                    response.close()
            except NotConnected:
                raise BackendNotRunning(self._not_running()) from None
            except HttpError as error:
                raise StreamDropped(_dropped(0)) from error
            if "does not support thinking" in text and "think" in body:
                self._cannot_think.add(model)
                del body["think"]
                continue
            raise self._refusal(response.status, text, model, messages, options)

    def _body(self, model: str, options: ChatOptions) -> dict[str, Any]:
        """What a chat and a load have in common; a difference in it would reload the model."""
        if self._windows.setdefault(model, options.num_ctx) != options.num_ctx:
            log.warning(
                "num_ctx of %s changes from %d to %d: Ollama reloads it.",
                model,
                self._windows[model],
                options.num_ctx,
            )
            self._windows[model] = options.num_ctx
        settings: dict[str, Any] = {"num_ctx": options.num_ctx, "temperature": options.temperature}
        if options.max_tokens is not None:
            settings["num_predict"] = options.max_tokens
        if options.stop:
            settings["stop"] = list(options.stop)
        if options.seed is not None:
            settings["seed"] = options.seed
        return {
            "model": model,
            "options": settings,
            "truncate": False,
            "shift": False,
            "keep_alive": keep_alive(options.keep_alive),
        }

    # Models in memory and on disk

    async def load(self, model: str, options: ChatOptions) -> None:
        await self._generate_nothing(model, self._body(model, options), options.num_ctx)

    async def unload(self, model: str) -> None:
        await self._generate_nothing(model, {"model": model, "keep_alive": 0}, 0)

    async def _generate_nothing(self, model: str, body: dict[str, Any], window: int) -> None:
        try:
            answer = await self._http.get().ask("POST", "/api/generate", {**body, "stream": False})
        except HttpError:
            raise BackendNotRunning(self._not_running()) from None
        if answer.status != 200:
            raise self._refusal(answer.status, answer.text, model, (), ChatOptions(window))

    async def pull(self, model: str) -> AsyncIterator[PullProgress]:
        if is_cloud(model):
            raise BackendError(
                f"'{model}' runs on Ollama's servers, not on this computer: there is nothing to download."
            )
        sizes: dict[str, tuple[int, int]] = {}
        try:
            stream = cast(
                AsyncGenerator[ollama.ProgressResponse, None],
                await self._ollama.get().pull(model, stream=True),
            )
            async with aclosing(stream) as parts:
                async for part in parts:
                    if part.digest and part.total:
                        sizes[part.digest] = (part.completed or 0, part.total)
                    completed = sum(done for done, _ in sizes.values())
                    yield PullProgress(
                        part.status or "", completed, sum(total for _, total in sizes.values())
                    )
        except ConnectionError:
            raise BackendNotRunning(self._not_running()) from None
        except httpx.TransportError as error:
            raise StreamDropped(
                f"The download of '{model}' broke off. Start it again: it goes on where it stopped."
            ) from error
        except ollama.ResponseError as error:
            raise BackendError(pull_problem(model, error_text(error.error))) from None

    async def delete(self, model: str) -> None:
        await self._asked(self._ollama.get().delete(model), model)

    async def close(self) -> None:
        await self._http.close(HttpClient.close)
        await self._ollama.close(lambda client: client.close())  # type: ignore[no-untyped-call]

    # Errors

    async def _asked(self, question: Awaitable[T], model: str = "") -> T:
        """The answer of the ``ollama`` package, its errors as ours."""
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                return await question
        except (ConnectionError, httpx.TransportError, TimeoutError):
            raise BackendNotRunning(self._not_running()) from None
        except ollama.ResponseError as error:
            text = error_text(error.error)
            raise self._refusal(error.status_code, text, model, (), ChatOptions(0)) from None

    def _not_running(self) -> str:
        return f"Ollama does not answer at {self.base_url}. Start it with `ollama serve`, or press Start on the Settings tab."

    @staticmethod
    def _refusal(
        status: int, body: str, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> BackendError:
        return refusal(
            "Ollama",
            status,
            error_text(body),
            model=model,
            window=options.num_ctx,
            messages=messages,
            missing=f"Get it with `ollama pull {model}`, or on the Settings tab.",
        )


def _usage(part: dict[str, Any]) -> CallUsage | None:
    if "eval_count" not in part and "prompt_eval_count" not in part:
        return None
    return CallUsage(
        tokens_in=part.get("prompt_eval_count", 0),
        tokens_out=part.get("eval_count", 0),
        load_seconds=part.get("load_duration", 0) / 1e9,
        prompt_seconds=part.get("prompt_eval_duration", 0) / 1e9,
        reply_seconds=part.get("eval_duration", 0) / 1e9,
    )


def _dropped(said: int) -> str:
    when = f"after {said:,} characters of its answer" if said else "before its answer began"
    return f"Ollama broke off {when}. Look at its log, then ask again."

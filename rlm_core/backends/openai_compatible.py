"""Any server that speaks the OpenAI chat protocol: vLLM, SGLang, llama-server, LM Studio, a gateway.

Such servers differ in small ways. What one refuses (``max_tokens`` or ``max_completion_tokens``, ``stream_options``,
``response_format``) is left out or renamed after its first refusal, and that is remembered.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from rlm_core.backends.base import (
    BackendStatus,
    ChatChunk,
    ChatMessage,
    ChatOptions,
    ModelInfo,
    PullProgress,
)
from rlm_core.backends.http_client import BrokenOff, HttpClient, HttpError, NotConnected, PerLoop, Response
from rlm_core.backends.openai_stream import OpenAIStream, ServerError
from rlm_core.backends.refusals import error_text, refusal
from rlm_core.errors import BackendError, BackendNotRunning, ModelMissing, StreamDropped

log = logging.getLogger(__name__)

STATUS_SECONDS = 3.0
TRIES = 4
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20.0
BUSY = frozenset({429, 502, 503})


class _TryAgain(Exception):
    """The server may take the same request later; ``wait`` is what its Retry-After header says."""

    def __init__(self, problem: BackendError, wait: str | None = None) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.wait = wait


class OpenAIBackend:
    """``base_url`` with or without ``/v1`` at its end. The key goes into the request's header and nowhere else.

    ``first_pause`` is the wait in seconds before the first retry; each further one is twice as long.
    """

    name = "openai"

    def __init__(
        self, base_url: str, api_key: str | None = None, *, first_pause: float = FIRST_PAUSE_SECONDS
    ) -> None:
        base_url = base_url.rstrip("/")
        self.base_url = base_url if re.search(r"/v\d+$", base_url) else f"{base_url}/v1"
        self._first_pause = first_pause
        headers = {"Authorization": f"Bearer {api_key.strip()}"} if api_key else {}
        self._http = PerLoop(lambda: HttpClient(self.base_url, headers))
        self._refused: set[str] = set()

    async def status(self) -> BackendStatus:
        try:
            answer = await self._http.get().ask("GET", "/models", seconds=STATUS_SECONDS)
        except HttpError:
            return BackendStatus(self.name, False, self._not_running(), address=self.base_url)
        if answer.status in {401, 403}:
            sentence = f"The server at {self.base_url} refuses the API key. Set api_key in Settings."
            return BackendStatus(self.name, False, sentence, address=self.base_url)
        if answer.status != 200:
            return BackendStatus(self.name, False, self._no_list(answer.status), address=self.base_url)
        return BackendStatus(
            self.name, True, f"A model server answers at {self.base_url}.", address=self.base_url
        )

    async def models(self) -> list[ModelInfo]:
        try:
            answer = await self._http.get().ask("GET", "/models", seconds=STATUS_SECONDS * 5)
        except HttpError:
            raise BackendNotRunning(self._not_running()) from None
        if answer.status != 200:
            if answer.status in {401, 403, 429}:
                raise self._refusal(answer.status, answer.text, "", (), 0)
            raise BackendError(self._no_list(answer.status))
        try:
            listed = answer.json()["data"]
        except (ValueError, KeyError, TypeError):
            raise BackendError(
                f"{self.base_url}/models does not answer in the OpenAI format. Check base_url in Settings."
            ) from None
        return [_info(entry) for entry in listed]

    async def model(self, name: str) -> ModelInfo:
        models = await self.models()
        for info in models:
            if info.name == name:
                return info
        raise ModelMissing(name, _has(models))

    async def chat(
        self, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncIterator[ChatChunk]:
        response = await self._accepted(model, messages, options)
        stream = OpenAIStream()
        try:
            async for data in response:
                for chunk in stream.feed(data):
                    yield chunk
        except ServerError as error:
            raise self._refusal(0, str(error), model, messages, options.num_ctx) from None
        except (HttpError, ValueError) as error:
            raise StreamDropped(self._dropped(stream.characters)) from error
        finally:
            response.close()
        if not stream.complete:
            raise StreamDropped(self._dropped(stream.characters))
        yield stream.finish()

    async def _accepted(self, model: str, messages: Sequence[ChatMessage], options: ChatOptions) -> Response:
        """An open stream of a chat that the server accepted; the caller closes it.

        Tries again, with growing pauses, while the server is busy or does not answer; nothing has been said by then.
        """
        for tries in range(1, TRIES + 1):
            try:
                return await self._attempt(model, messages, options)
            except _TryAgain as busy:
                if tries == TRIES:
                    raise busy.problem from None
                log.info("%s is busy or away, try %d of %d.", self.base_url, tries, TRIES)
                await asyncio.sleep(self._pause(tries, busy.wait))
        raise AssertionError("unreachable")

    async def _attempt(self, model: str, messages: Sequence[ChatMessage], options: ChatOptions) -> Response:
        while True:
            body = self._body(model, messages, options)
            try:
                response = await self._http.get().send("POST", "/chat/completions", body)
                if response.status == 200:
                    return response
                try:
                    text = (await response.read()).decode("utf-8", "replace")
                finally:
                    response.close()
            except NotConnected:
                raise _TryAgain(BackendNotRunning(self._not_running())) from None
            except BrokenOff:
                raise _TryAgain(StreamDropped(self._dropped(0))) from None
            except HttpError as error:
                raise StreamDropped(self._dropped(0)) from error
            if response.status == 400 and self._learn(error_text(text), options):
                continue
            problem = self._refusal(response.status, text, model, messages, options.num_ctx)
            if response.status in BUSY:
                raise _TryAgain(problem, response.headers.get("retry-after"))
            raise problem

    def _body(self, model: str, messages: Sequence[ChatMessage], options: ChatOptions) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "stream": True,
        }
        if "temperature" not in self._refused:
            body["temperature"] = options.temperature
        if "stream_options" not in self._refused:
            body["stream_options"] = {"include_usage": True}
        if options.max_tokens is not None:
            renamed = "max_tokens" in self._refused
            body["max_completion_tokens" if renamed else "max_tokens"] = options.max_tokens
        if options.stop:
            body["stop"] = list(options.stop)
        if options.seed is not None:
            body["seed"] = options.seed
        if options.schema is not None and "response_format" not in self._refused:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": options.schema, "strict": True},
            }
        if options.think is not None and "chat_template_kwargs" not in self._refused:
            body["chat_template_kwargs"] = {"enable_thinking": options.think}
        return body

    def _learn(self, message: str, options: ChatOptions) -> bool:
        """Whether a refusal names a field that we can do without; it is left out (or renamed) from now on."""
        sent = {"stream_options", "temperature"}
        sent |= {"max_tokens"} if options.max_tokens is not None else set()
        sent |= {"response_format"} if options.schema is not None else set()
        sent |= {"chat_template_kwargs"} if options.think is not None else set()
        for field in sorted(sent - self._refused):
            if re.search(rf"\b{field}\b", message) and not re.search("context length|tokens in", message):
                log.info("%s does not take %s; it is left out from now on.", self.base_url, field)
                self._refused.add(field)
                return True
        return False

    def _pause(self, tries: int, wanted: str | None) -> float:
        """Seconds to wait: what the server asks for, else twice as long each time, a little different for each caller."""
        if wanted is not None and re.fullmatch(r"\d+(\.\d+)?", wanted):
            return min(float(wanted), LONGEST_PAUSE_SECONDS)
        pause: float = self._first_pause * 2 ** (tries - 1) * random.uniform(0.75, 1.25)
        return min(pause, LONGEST_PAUSE_SECONDS)

    async def load(self, model: str, options: ChatOptions) -> None:
        raise BackendError(_not_ours("load models"))

    async def unload(self, model: str) -> None:
        raise BackendError(_not_ours("unload models"))

    async def pull(self, model: str) -> AsyncIterator[PullProgress]:
        raise BackendError(_not_ours("download models"))
        yield PullProgress("")  # never reached; it makes this an iterator like the others

    async def delete(self, model: str) -> None:
        raise BackendError(_not_ours("delete models"))

    async def close(self) -> None:
        await self._http.close(HttpClient.close)

    def _not_running(self) -> str:
        return f"No model server answers at {self.base_url}. Start it, or correct base_url in Settings."

    def _dropped(self, said: int) -> str:
        when = f"after {said:,} characters of its answer" if said else "before its answer began"
        return f"The model server at {self.base_url} broke off {when}. Look at its log, then ask again."

    def _no_list(self, status: int) -> str:
        return (
            f"The server at {self.base_url} answers /models with error {status}. Check base_url in Settings."
        )

    def _refusal(
        self, status: int, body: str, model: str, messages: Sequence[ChatMessage], window: int
    ) -> BackendError:
        server = f"The model server at {self.base_url}"
        if status in {401, 403}:
            return BackendError(f"{server} refuses the API key. Set api_key in Settings.")
        if status == 429:
            return BackendError(f"{server} is busy (429) and stayed so after {TRIES} tries. Ask again later.")
        return refusal(
            server,
            status,
            error_text(body),
            model=model,
            window=window,
            messages=messages,
            missing=f"Choose one that the server at {self.base_url} has.",
        )


def _not_ours(what: str) -> str:
    return f"An OpenAI-compatible server does not {what} on request. Do it where the server runs."


def _has(models: Sequence[ModelInfo]) -> str:
    names = ", ".join(info.name for info in models[:5])
    return f"The server has: {names}." if names else "The server has no model."


def _info(entry: dict[str, Any]) -> ModelInfo:
    """vLLM and SGLang state ``max_model_len``, llama-server has it in ``meta``, others say nothing."""
    meta = entry.get("meta") or {}
    length = entry.get("max_model_len") or meta.get("n_ctx") or entry.get("context_length")
    return ModelInfo(
        name=str(entry.get("id")),
        size=meta.get("size"),
        context_length=int(length) if length else None,
        quantization=meta.get("ftype"),
        capabilities=("completion",),
        loaded=True,
    )

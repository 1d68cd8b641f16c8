"""A scripted Ollama server: the real wire protocol, replies from a script, no model.

    with ScriptedOllama(lambda request: "Hello.") as server:
        ...  # server.url, server.requests, server.aborted, server.loads, server.largest_prompt

By hand: ``python -m tests.scripted.ollama_server --port 11500 --script ideal_reader --tokens-per-second 50``.

Like the real one it reloads a model when ``num_ctx`` or ``shift`` changes, cuts long prompts silently unless the request
says ``"truncate": false``, refuses them with the inner server's JSON wrapped in a string if it does, and caps ``num_ctx`` at
what the model was trained for.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tests.scripted.script import (
    ChatRequest,
    Cut,
    Message,
    Reply,
    Script,
    ScriptedServer,
    cut,
    prompt_tokens,
    tokenize,
)
from tests.scripted.wire import ClientGone, Dropped, Exchange

DEFAULT_NUM_CTX = 4096  # what Ollama takes below 24 GiB of VRAM
GIGABYTE = 1_000_000_000
METHODS = {
    "/": "GET",
    "/api/version": "GET",
    "/api/tags": "GET",
    "/api/ps": "GET",
    "/api/show": "POST",
    "/api/chat": "POST",
    "/api/generate": "POST",
    "/api/pull": "POST",
    "/api/delete": "DELETE",
}


@dataclass(frozen=True)
class ScriptedModel:
    """An installed model, as Ollama describes it. ``context_length`` None means the server's ``window``."""

    name: str
    size: int = 5 * GIGABYTE
    context_length: int | None = None
    capabilities: tuple[str, ...] = ("completion",)
    family: str = "qwen3"
    parameters: str = "8.2B"
    quantization: str = "Q4_K_M"
    remote: bool = False

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": self.parameters,
            "quantization_level": self.quantization,
        }


STANDARD_MODELS = (
    ScriptedModel("qwen3:8b", capabilities=("completion", "tools", "thinking")),
    ScriptedModel("glm-z1:9b", size=6 * GIGABYTE, family="glm4", parameters="9.4B"),
    ScriptedModel(
        "qwen3:30b-a3b",
        size=18 * GIGABYTE,
        capabilities=("completion", "tools", "thinking"),
        parameters="30.5B",
    ),
)


@dataclass
class _Loaded:
    model: ScriptedModel
    num_ctx: int
    shift: bool


class ScriptedOllama(ScriptedServer):
    """``vram`` bounds what is loaded at once in bytes: a further model evicts the oldest ones.

    ``loads`` names every load in order as ``(model, num_ctx)``; ``silent_cuts`` counts prompts that were cut without
    a word; ``pulled`` names finished downloads. ``hold_pull_at`` stops the first download after that many bytes until
    the client leaves; names in ``unknown`` cannot be pulled.
    """

    def __init__(
        self,
        script: Script,
        *,
        models: Sequence[ScriptedModel] = STANDARD_MODELS,
        port: int = 0,
        window: int = 8192,
        tokens_per_second: float | None = None,
        version: str = "0.21.0",
        vram: int | None = None,
        load_seconds: float = 0.0,
        hold_pull_at: int | None = None,
        unknown: Sequence[str] = ("missing:latest",),
    ) -> None:
        super().__init__(script, port=port, window=window, tokens_per_second=tokens_per_second)
        self.version = version
        self.vram = vram
        self.load_seconds = load_seconds
        self.hold_pull_at = hold_pull_at
        self.unknown = tuple(unknown)
        self.installed = {model.name: model for model in models}
        self.loaded: dict[str, _Loaded] = {}
        self.loads: list[tuple[str, int]] = []
        self.silent_cuts = 0
        self.pulled: list[str] = []
        self._partial: dict[str, int] = {}

    async def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        expected = METHODS.get(request.path)
        if expected is None:
            await exchange.send_text(404, "404 page not found")
        elif request.method != expected:
            await exchange.send_text(405, "405 method not allowed")
        elif request.path == "/":
            await exchange.send_text(200, "Ollama is running")
        else:
            try:
                body = request.json()
            except ValueError as error:
                await exchange.send_json(400, {"error": f"invalid character in request: {error}"})
                return
            await getattr(self, "_" + request.path.removeprefix("/api/"))(exchange, body)

    # What is installed and loaded

    def _find(self, name: str) -> ScriptedModel | None:
        return self.installed.get(name if ":" in name else f"{name}:latest")

    def _context_length(self, model: ScriptedModel) -> int:
        return model.context_length or self.window

    async def _version(self, exchange: Exchange, body: dict[str, Any]) -> None:
        await exchange.send_json(200, {"version": self.version})

    async def _tags(self, exchange: Exchange, body: dict[str, Any]) -> None:
        models = []
        for model in self.installed.values():
            entry = {
                "name": model.name,
                "model": model.name,
                "modified_at": _now(),
                "size": 384 if model.remote else model.size,
                "digest": model.digest,
                "details": model.details,
            }
            if model.remote:
                entry |= {"remote_host": "https://ollama.com:443", "remote_model": model.name}
            models.append(entry)
        await exchange.send_json(200, {"models": models})

    async def _ps(self, exchange: Exchange, body: dict[str, Any]) -> None:
        models = [
            {
                "name": loaded.model.name,
                "model": loaded.model.name,
                "size": loaded.model.size,
                "digest": loaded.model.digest,
                "details": loaded.model.details,
                "expires_at": _now(),
                "size_vram": loaded.model.size,
                "context_length": loaded.num_ctx,
            }
            for loaded in self.loaded.values()
        ]
        await exchange.send_json(200, {"models": models})

    async def _show(self, exchange: Exchange, body: dict[str, Any]) -> None:
        name = body.get("model") or body.get("name") or ""
        model = self._find(name)
        if model is None:
            await exchange.send_json(404, {"error": f"model '{name}' not found"})
            return
        await exchange.send_json(
            200,
            {
                "modelfile": f"FROM {model.name}",
                "parameters": "temperature 0.6",
                "template": "{{ .Prompt }}",
                "details": model.details,
                "model_info": {
                    "general.architecture": model.family,
                    "general.parameter_count": 8190735360,
                    f"{model.family}.context_length": self._context_length(model),
                },
                "capabilities": list(model.capabilities),
                "modified_at": _now(),
            },
        )

    async def _delete(self, exchange: Exchange, body: dict[str, Any]) -> None:
        name = body.get("model") or body.get("name") or ""
        model = self._find(name)
        if model is None:
            await exchange.send_json(404, {"error": f"model '{name}' not found"})
            return
        del self.installed[model.name]
        self.loaded.pop(model.name, None)
        await exchange.send_text(200, "")

    async def _pull(self, exchange: Exchange, body: dict[str, Any]) -> None:
        name = body.get("model") or body.get("name") or ""
        name = name if ":" in name else f"{name}:latest"
        await exchange.start_stream("application/x-ndjson")
        try:
            await _line(exchange, {"status": "pulling manifest"})
            if name in self.unknown:
                await _line(exchange, {"error": "pull model manifest: file does not exist"})
            else:
                await self._download(exchange, ScriptedModel(name))
                self.pulled.append(name)
            await exchange.finish_stream()
        except ClientGone:
            self.note(aborted=1)
            raise

    async def _download(self, exchange: Exchange, model: ScriptedModel) -> None:
        step = model.size // 20
        done = self._partial.get(model.name, 0)
        while True:
            self._partial[model.name] = done
            status = {"status": f"pulling {model.digest[:12]}", "digest": f"sha256:{model.digest}"}
            await _line(exchange, {**status, "total": model.size, "completed": done})
            if done >= model.size:
                break
            if self.hold_pull_at is not None and done >= self.hold_pull_at:
                self.hold_pull_at = None
                await exchange.pause(None)
            done = min(done + step, model.size)
        for status_text in ("verifying sha256 digest", "writing manifest", "success"):
            await _line(exchange, {"status": status_text})
        self.installed[model.name] = model

    # Answering

    async def _generate(self, exchange: Exchange, body: dict[str, Any]) -> None:
        """Only what an empty prompt does: load, or with ``keep_alive`` 0 unload."""
        model = await self._runnable(exchange, body)
        if model is None:
            return
        answer = {"model": body["model"], "created_at": _now(), "response": "", "done": True}
        if body.get("keep_alive") in (0, "0", "0s", "0m"):
            self.loaded.pop(model.name, None)
            await exchange.send_json(200, {**answer, "done_reason": "unload"})
            return
        await self._load(model, body)
        await exchange.send_json(200, {**answer, "done_reason": "load"})

    async def _chat(self, exchange: Exchange, body: dict[str, Any]) -> None:
        self.requests.append(body)
        self.note(_in_flight=1)
        try:
            await self._answer(exchange, body)
        except Dropped:
            raise
        except ClientGone:
            self.note(aborted=1)
            raise
        finally:
            self.note(_in_flight=-1)

    async def _answer(self, exchange: Exchange, body: dict[str, Any]) -> None:
        model = await self._runnable(exchange, body)
        if model is None:
            return
        if body.get("think") is True and "thinking" not in model.capabilities:
            await exchange.send_json(400, {"error": f'"{body["model"]}" does not support thinking'})
            return
        load_seconds = await self._load(model, body)
        num_ctx = self.loaded[model.name].num_ctx
        messages = tuple(
            Message(message["role"], message.get("content") or "") for message in body["messages"]
        )
        if prompt_tokens(messages) > num_ctx:
            if body.get("truncate", True) is False:
                await exchange.send_json(400, {"error": _too_long(prompt_tokens(messages), num_ctx)})
                return
            self.note(silent_cuts=1)
            messages = cut_silently(messages, num_ctx)
        schema = body.get("format")
        request = ChatRequest(
            model=model.name,
            messages=messages,
            tokens=prompt_tokens(messages),
            window=num_ctx,
            schema=schema if isinstance(schema, dict) else None,
            think=body.get("think"),
            body=body,
        )
        reply = await self.ask_script(request)
        if reply.status == 0:
            exchange.drop()
            raise Dropped
        if reply.status != 200:
            error = reply.error or "something went wrong, please see the ollama server logs for details"
            await exchange.send_json(reply.status, {"error": error}, dict(reply.headers))
            return
        options = body.get("options") or {}
        limit = num_ctx - request.tokens
        if (num_predict := options.get("num_predict", -1)) >= 0:
            limit = min(limit, num_predict)
        said = cut(reply, limit, options.get("stop") or ())
        await self._stream(exchange, body, request, reply, said, load_seconds)

    async def _stream(
        self,
        exchange: Exchange,
        body: dict[str, Any],
        request: ChatRequest,
        reply: Reply,
        said: Cut,
        load_seconds: float,
    ) -> None:
        started = time.monotonic_ns()
        streaming = body.get("stream", True)
        whole = {"text": "", "thinking": ""}
        if streaming:
            await exchange.start_stream("application/x-ndjson")
        async for piece in self.play(exchange, reply, said):
            if piece.kind == "error":
                await _line(exchange, {"error": piece.text})
                await exchange.finish_stream()
                return
            if not streaming:
                whole[piece.kind] += piece.text
                continue
            message = {"role": "assistant", "content": None if reply.content_null else ""}
            message["content" if piece.kind == "text" else "thinking"] = piece.text
            await _line(
                exchange, {"model": body["model"], "created_at": _now(), "message": message, "done": False}
            )
        message = {"role": "assistant", "content": None if reply.content_null else whole["text"]}
        if whole["thinking"]:
            message["thinking"] = whole["thinking"]
        last = {
            "model": body["model"],
            "created_at": _now(),
            "message": message,
            "done": True,
            "done_reason": said.reason,
        }
        if not reply.no_usage:
            spent = time.monotonic_ns() - started
            load = int(load_seconds * 1e9)
            last |= {
                "total_duration": spent + load,
                "load_duration": load,
                "prompt_eval_count": request.tokens
                if reply.prompt_eval_count is None
                else reply.prompt_eval_count,
                "prompt_eval_duration": 1_000_000 * request.tokens,
                "eval_count": said.tokens if reply.eval_count is None else reply.eval_count,
                "eval_duration": spent,
            }
        if streaming:
            await _line(exchange, last)
            await exchange.finish_stream()
        else:
            await exchange.send_json(200, last)

    async def _runnable(self, exchange: Exchange, body: dict[str, Any]) -> ScriptedModel | None:
        name = body.get("model") or ""
        if not name:
            await exchange.send_json(400, {"error": "model is required"})
            return None
        model = self._find(name)
        if model is None:
            await exchange.send_json(404, {"error": f"model '{name}' not found"})
            return None
        if "completion" not in model.capabilities:
            await exchange.send_json(400, {"error": f'"{name}" does not support chat'})
            return None
        return model

    async def _load(self, model: ScriptedModel, body: dict[str, Any]) -> float:
        """Bring a model into memory if it is not there with the same options. Returns the seconds it took."""
        wanted = (body.get("options") or {}).get("num_ctx", DEFAULT_NUM_CTX)
        num_ctx = min(wanted, self._context_length(model))
        shift = body.get("shift", True)
        loaded = self.loaded.get(model.name)
        if loaded is not None and (loaded.num_ctx, loaded.shift) == (num_ctx, shift):
            return 0.0
        self.loaded.pop(model.name, None)
        if self.vram is not None:
            while (
                self.loaded
                and sum(other.model.size for other in self.loaded.values()) + model.size > self.vram
            ):
                del self.loaded[next(iter(self.loaded))]
        self.loaded[model.name] = _Loaded(model, num_ctx, shift)
        self.loads.append((model.name, num_ctx))
        await asyncio.sleep(self.load_seconds)
        return self.load_seconds


def cut_silently(messages: Sequence[Message], num_ctx: int) -> tuple[Message, ...]:
    """What reaches the model without ``"truncate": false``: old messages go first (never system ones or the last), then
    the last one loses its beginning, so that half of the window is left."""
    kept = list(messages)
    while prompt_tokens(kept) > num_ctx:
        oldest = next((n for n, message in enumerate(kept[:-1]) if message.role != "system"), None)
        if oldest is None:
            break
        del kept[oldest]
    if prompt_tokens(kept) > num_ctx:
        tokens = tokenize(kept[-1].content)
        room = max(0, num_ctx // 2 - (prompt_tokens(kept) - len(tokens)))
        kept[-1] = replace(kept[-1], content="".join(tokens[len(tokens) - room :]))
    return tuple(kept)


def _too_long(tokens: int, num_ctx: int) -> str:
    """The inner server's refusal, JSON inside a string, as Ollama passes it on."""
    message = (
        f"request ({tokens} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"
    )
    inner = {
        "code": 400,
        "message": message,
        "type": "exceed_context_size_error",
        "n_prompt_tokens": tokens,
        "n_ctx": num_ctx,
    }
    return json.dumps({"error": inner})


async def _line(exchange: Exchange, value: dict[str, Any]) -> None:
    await exchange.stream(json.dumps(value, ensure_ascii=False).encode() + b"\n")


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def load_script(name: str) -> Script:
    """A script by name: ``echo``, ``ideal_reader`` or ``package.module:function``."""
    home = {"echo": "tests.scripted.script:echo", "ideal_reader": "tests.scripted.app_reader:read"}.get(
        name, name
    )
    module, _, function = home.partition(":")
    script: Script = getattr(importlib.import_module(module), function)
    return script


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted Ollama server.")
    parser.add_argument("--port", type=int, default=11500)
    parser.add_argument(
        "--script", default="ideal_reader", help="echo, ideal_reader, or package.module:function"
    )
    parser.add_argument("--window", type=int, default=4096, help="tokens that its models were trained for")
    parser.add_argument("--tokens-per-second", type=float, default=None)
    arguments = parser.parse_args()
    server = ScriptedOllama(
        load_script(arguments.script),
        port=arguments.port,
        window=arguments.window,
        tokens_per_second=arguments.tokens_per_second,
    ).start()
    print(f"Scripted Ollama at {server.url}, script {arguments.script}. Ctrl-C stops it.", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()

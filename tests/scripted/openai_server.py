"""A scripted server of the OpenAI chat protocol, with the small differences between such servers to choose from.

with ScriptedOpenAI(script, api_key="secret", refuses={"max_tokens"}) as server: ...  # server.url ends in /v1
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from typing import Any

from tests.scripted.script import ChatRequest, Cut, Message, Reply, Script, ScriptedServer, cut, prompt_tokens
from tests.scripted.wire import ClientGone, Dropped, Exchange


class ScriptedOpenAI(ScriptedServer):
    """``refuses`` are request fields that get a 400 naming them. ``no_done`` leaves out the closing ``[DONE]`` line.

    ``keys_seen`` are the Authorization headers in order.
    """

    def __init__(
        self,
        script: Script,
        *,
        model: str = "scripted",
        port: int = 0,
        window: int = 8192,
        tokens_per_second: float | None = None,
        api_key: str | None = None,
        refuses: Collection[str] = (),
        no_done: bool = False,
    ) -> None:
        super().__init__(script, port=port, window=window, tokens_per_second=tokens_per_second)
        self.model = model
        self.api_key = api_key
        self.refuses = frozenset(refuses)
        self.no_done = no_done
        self.keys_seen: list[str | None] = []

    @property
    def url(self) -> str:
        return super().url + "/v1"

    async def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        key = request.headers.get("authorization")
        self.keys_seen.append(key)
        if self.api_key is not None and key != f"Bearer {self.api_key}":
            await _error(exchange, 401, "Incorrect API key provided.")
        elif (request.method, request.path) == ("GET", "/v1/models"):
            entry = {
                "id": self.model,
                "object": "model",
                "owned_by": "scripted",
                "max_model_len": self.window,
            }
            await exchange.send_json(200, {"object": "list", "data": [entry]})
        elif (request.method, request.path) == ("POST", "/v1/chat/completions"):
            await self._chat(exchange, request.json())
        else:
            await _error(exchange, 404, "Not Found")

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
        if body.get("model") != self.model:
            await _error(exchange, 404, f"The model `{body.get('model')}` does not exist.")
            return
        if refused := sorted(self.refuses & set(body)):
            hint = " Use 'max_completion_tokens' instead." if refused[0] == "max_tokens" else ""
            await _error(
                exchange,
                400,
                f"Unsupported parameter: '{refused[0]}' is not supported with this model.{hint}",
            )
            return
        messages = tuple(
            Message(message["role"], message.get("content") or "") for message in body["messages"]
        )
        tokens = prompt_tokens(messages)
        if tokens > self.window:
            await _error(
                exchange,
                400,
                f"This model's maximum context length is {self.window} tokens. However, your messages resulted in "
                f"{tokens} tokens.",
            )
            return
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        think = (body.get("chat_template_kwargs") or {}).get("enable_thinking")
        request = ChatRequest(body["model"], messages, tokens, self.window, schema, think, body)
        reply = await self.ask_script(request)
        if reply.status == 0:
            exchange.drop()
            raise Dropped
        if reply.status != 200:
            await _error(exchange, reply.status, reply.error or "error", dict(reply.headers))
            return
        limit = self.window - tokens
        if (wanted := body.get("max_tokens") or body.get("max_completion_tokens")) is not None:
            limit = min(limit, wanted)
        said = cut(reply, limit, body.get("stop") or ())
        if body.get("stream"):
            await self._stream(exchange, body, request, reply, said)
        else:
            await self._whole(exchange, body, request, reply, said)

    async def _whole(
        self, exchange: Exchange, body: dict[str, Any], request: ChatRequest, reply: Reply, said: Cut
    ) -> None:
        pieces = [piece async for piece in self.play(exchange, reply, said)]
        content = "".join(piece.text for piece in pieces if piece.kind == "text")
        message = {"role": "assistant", "content": None if reply.content_null else content}
        answer = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": said.reason}],
        }
        if not reply.no_usage:
            answer["usage"] = _usage(request, said)
        await exchange.send_json(200, answer)

    async def _stream(
        self, exchange: Exchange, body: dict[str, Any], request: ChatRequest, reply: Reply, said: Cut
    ) -> None:
        await exchange.start_stream("text/event-stream")
        await self._send(exchange, body, {"role": "assistant", "content": None if reply.content_null else ""})
        async for piece in self.play(exchange, reply, said):
            if piece.kind == "error":
                await _event(exchange, {"error": {"message": piece.text, "type": "server_error"}})
                await exchange.finish_stream()
                return
            await self._send(
                exchange, body, {"content" if piece.kind == "text" else "reasoning_content": piece.text}
            )
        await self._send(exchange, body, {}, said.reason)
        if (body.get("stream_options") or {}).get("include_usage") and not reply.no_usage:
            last = {"id": "chatcmpl-1", "model": self.model, "choices": [], "usage": _usage(request, said)}
            await _event(exchange, last)
        if not self.no_done:
            await exchange.stream(b"data: [DONE]\n\n")
        await exchange.finish_stream()

    async def _send(
        self, exchange: Exchange, body: dict[str, Any], delta: dict[str, Any], reason: str | None = None
    ) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time())}
        await _event(exchange, {**chunk, "model": body["model"], "choices": [choice]})


def _usage(request: ChatRequest, said: Cut) -> dict[str, int]:
    return {
        "prompt_tokens": request.tokens,
        "completion_tokens": said.tokens,
        "total_tokens": request.tokens + said.tokens,
    }


async def _event(exchange: Exchange, value: dict[str, Any]) -> None:
    await exchange.stream(b"data: " + json.dumps(value).encode() + b"\n\n")


async def _error(
    exchange: Exchange, status: int, message: str, headers: dict[str, str] | None = None
) -> None:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    await exchange.send_json(status, body, headers)

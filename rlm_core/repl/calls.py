"""Running a host function for a cell: budgets, bounds on what goes back, and errors that become the cell's own."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from rlm_core.repl import protocol
from rlm_core.repl.protocol import Frame, ProtocolError
from rlm_core.repl.types import ReplLimits

Functions = Mapping[str, Callable[..., Any]]


class CallDesk:
    """Answers the calls of one cell. Budgets are kept here, out of the worker's reach."""

    def __init__(self, functions: Functions, limits: ReplLimits) -> None:
        self._functions = functions
        self._limits = limits
        self._calls = 0
        self._chars = 0
        self._refused = 0

    async def answer(self, frame: Frame) -> tuple[dict[str, Any], list[bytes]]:
        """Header and texts of the REPLY. Raises ProtocolError for a call no honest worker makes."""
        name, args, kwargs = self._read(frame)
        self._calls += 1
        self._chars += sum(map(len, frame.texts))
        refusal = self._over_budget()
        if refusal:
            self._refused += 1
            if self._refused > 3:  # an honest worker stops asking after the first
                raise ProtocolError("calls beyond the budget of a cell")
            return _failure("refused", RuntimeError(refusal))
        try:
            value = await call_function(self._functions[name], args, kwargs)
        except Exception as error:
            return _failure("error", error)
        texts: list[bytes] = []
        try:
            node = protocol.encode_value(_bounded(value, [self._limits.reply_chars]), texts)
        except (TypeError, ValueError) as error:
            return _failure(
                "error", RuntimeError(f"{name} returned something that cannot be passed: {error}")
            )
        return {"outcome": "value", "value": node}, texts

    def _read(self, frame: Frame) -> tuple[str, list[Any], dict[str, Any]]:
        name, args, kwargs = (frame.header.get(field) for field in ("fn", "args", "kwargs"))
        if type(name) is not str or name not in self._functions:
            raise ProtocolError("a call of a function that was not given")
        if type(args) is not list or type(kwargs) is not list:
            raise ProtocolError("a call without its arguments")
        decoded = protocol.decode_value(args, frame.texts)
        named: dict[str, Any] = {}
        for pair in kwargs:
            if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str:
                raise ProtocolError("a call with a bad keyword")
            named[pair[0]] = protocol.decode_value(pair[1], frame.texts)
        return name, decoded, named

    def _over_budget(self) -> str:
        limits = self._limits
        if self._calls > limits.calls_per_cell:
            return (
                f"this cell has made its {limits.calls_per_cell} calls: put more text into each prompt, "
                "or go on in the next cell"
            )
        if self._chars > limits.call_chars_per_cell:
            return (
                f"this cell has passed its {limits.call_chars_per_cell:,} characters to functions: "
                "select the relevant passages first, or go on in the next cell"
            )
        return ""


def interrupted_reply() -> tuple[dict[str, Any], list[bytes]]:
    """The REPLY to a call whose cell is being stopped."""
    return {"outcome": "interrupted"}, []


def _failure(outcome: str, error: Exception) -> tuple[dict[str, Any], list[bytes]]:
    texts: list[bytes] = []
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    node = protocol.encode_value((message or type(error).__name__)[:4000], texts)
    return {"outcome": outcome, "type": type(error).__name__, "message": node}, texts


def _bounded(value: Any, room: list[int]) -> Any:
    """The value with its texts cut where ``room`` characters are used up."""
    if isinstance(value, str):
        if len(value) > room[0]:
            kept = value[: room[0]]
            value = f"{kept}\n[cut: {len(value) - len(kept):,} more characters]"
        room[0] = max(room[0] - len(value), 0)
        return value
    if isinstance(value, (list, tuple)):
        return [_bounded(item, room) for item in value]
    if isinstance(value, dict):
        return {key: _bounded(item, room) for key, item in value.items()}
    return value


async def call_function(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a plain function in a thread of its own (it may block for long), an async one on this loop."""
    method = getattr(type(function), "__call__", None)  # noqa: B004 - an object may have an async __call__
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(method):
        return await function(*args, **kwargs)
    result = await _in_thread(function, args, kwargs)
    return await result if inspect.isawaitable(result) else result


async def _in_thread(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    # Not the loop's executor: its few threads could all wait for sessions that need one of them.
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(function, *args, **kwargs)
        except Exception as problem:
            error = problem
        except BaseException as problem:  # SystemExit in a callback must not end the host
            error = RuntimeError(f"{type(problem).__name__}: {problem}")
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop was closed meanwhile: nobody waits for this call any more
            return

    threading.Thread(target=work, name="rlm-call", daemon=True).start()
    return await done

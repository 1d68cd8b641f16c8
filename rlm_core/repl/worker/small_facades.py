"""Façades that are written here rather than filtered from a module: typing, asyncio, hashlib and pprint."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

TYPING_NAMES: Final = (
    "Any List Dict Set FrozenSet Tuple Optional Union Iterable Iterator Generator Callable Sequence Mapping "
    "MutableMapping Literal Final ClassVar Type Deque DefaultDict Counter Pattern Match Hashable Sized Text NoReturn "
    "Annotated Protocol Generic Self Awaitable Coroutine"
)


class InertType:
    """A name of ``typing`` that can be subscripted, united and inherited from, and does nothing."""

    __slots__ = ()

    def __getitem__(self, _item: Any) -> InertType:
        return self

    def __or__(self, _other: Any) -> InertType:
        return self

    __ror__ = __or__

    def __call__(self, *_args: Any, **_options: Any) -> InertType:
        return self

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return ()


class _TypedDict:
    __slots__ = ()

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (dict,)


def typing_names() -> dict[str, Any]:
    """``typing``: annotations are dropped before a cell runs, so its names only have to exist."""
    inert = InertType()
    names: dict[str, Any] = dict.fromkeys(TYPING_NAMES.split(), inert)
    names |= {
        "TypedDict": _TypedDict(),
        "TypeVar": lambda *args, **options: inert,
        "NewType": lambda name, base: base,
        "cast": lambda kind, value: value,
        "overload": lambda function: function,
        "TYPE_CHECKING": False,
    }
    return names


def asyncio_names() -> dict[str, Any]:
    """``asyncio`` for code that expects it: ``await`` is dropped before a cell runs, so values are there already."""

    def gather(*values: Any, return_exceptions: bool = False) -> list[Any]:
        return list(values)

    def to_thread(function: Any, /, *args: Any, **options: Any) -> Any:
        return function(*args, **options)

    def wait_for(value: Any, timeout: Any = None) -> Any:
        return value

    def keep(value: Any, **_options: Any) -> Any:
        return value

    return {
        "run": keep,
        "gather": gather,
        "create_task": keep,
        "ensure_future": keep,
        "as_completed": list,
        "to_thread": to_thread,
        "wait_for": wait_for,
        "sleep": lambda seconds, result=None: result,
    }


def hashes() -> dict[str, Any]:
    """``hashlib`` from the interpreter's own modules: the real one loads OpenSSL, which costs start-up time."""
    homes = {"md5": "_md5", "sha1": "_sha1", "sha256": "_sha2", "sha512": "_sha2"}
    if sys.version_info < (3, 12):
        homes |= {"sha256": "_sha256", "sha512": "_sha512"}
    table = {name: getattr(import_module(home), name) for name, home in homes.items()}

    def new(name: str, data: bytes = b"") -> Any:
        if name not in table:
            raise ValueError(f"unknown hash {name!r}; available: {', '.join(table)}")
        return table[name](data)

    return {**table, "new": new}


def pretty(echo: Callable[..., None]) -> dict[str, Any]:
    """``pprint``: one element a line for containers that do not fit on one."""

    def lines(value: Any, indent: int, depth: int) -> str:
        flat = repr(value)
        if len(flat) + indent <= 100 or depth > 6 or type(value) not in (dict, list, tuple):
            return flat
        pad = " " * (indent + 1)
        if type(value) is dict:
            inner = [f"{k!r}: {lines(v, indent + len(repr(k)) + 3, depth + 1)}" for k, v in value.items()]
            opening, closing = "{", "}"
        else:
            inner = [lines(item, indent + 1, depth + 1) for item in value]
            opening, closing = ("[", "]") if type(value) is list else ("(", ")")
        return opening + f",\n{pad}".join(inner) + closing

    def pformat(value: Any, *_args: Any, **_options: Any) -> str:
        return lines(value, 0, 0)

    def pprint(value: Any, *_args: Any, **_options: Any) -> None:
        echo(pformat(value))

    return {"pprint": pprint, "pformat": pformat, "pp": pprint}

"""The run-time half of the language wall: reading, writing and creating what static checks cannot decide.

Names are refused by class of access, not by known attack: anything with a leading underscore, everything that walks
from an object to frames, code or modules, and the few public attributes through which C code formats or walks for you.
"""

from __future__ import annotations

import builtins
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Context
from functools import lru_cache
from importlib import import_module
from string import Formatter
from types import (
    BuiltinFunctionType,
    BuiltinMethodType,
    CodeType,
    FrameType,
    FunctionType,
    ModuleType,
    TracebackType,
)
from typing import Any, Final

from RestrictedPython.transformer import INSPECT_ATTRIBUTES

from rlm_core.repl.worker.desugar import PRIVATE_PREFIX, private_name

FORMAT_NAMES: Final = frozenset({"format", "format_map"})
EXCEPTION_NAMES: Final = frozenset({"obj", "path", "with_traceback"})
GUARDED_NAMES: Final = FORMAT_NAMES | EXCEPTION_NAMES | {"mro"} | INSPECT_ATTRIBUTES
"""Public attribute names whose meaning depends on the object; all other public names are plain reads."""

NEVER: Final = (ModuleType, FrameType, TracebackType, CodeType, super)
"""Objects of which no attribute may be read, however a cell came by them."""

SUPER_DUNDERS: Final = frozenset(
    """
    __init__ __repr__ __str__ __len__ __bool__ __iter__ __next__ __getitem__ __setitem__ __delitem__ __contains__
    __enter__ __exit__ __call__ __hash__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __add__ __radd__ __iadd__ __sub__
    __rsub__ __mul__ __rmul__ __truediv__ __floordiv__ __mod__ __pow__ __neg__ __abs__ __int__ __float__ __index__
    __and__ __or__ __xor__ __invert__ __round__
    """.split()  # noqa: SIM905
)

NAMEDTUPLE_METHODS: Final = {
    PRIVATE_PREFIX + n: "_" + n for n in ("asdict", "replace", "make", "fields", "field_defaults")
}

_RAISE: Final = object()


def _refuse(name: str) -> AttributeError:
    return AttributeError(f"the attribute {name!r} is not available here")


def guarded_getattr(obj: Any, name: Any, default: Any = _RAISE) -> Any:
    """``getattr`` for names that are only known at run time, and for the guarded ones."""
    if type(name) is not str:
        raise TypeError("the name of an attribute must be a plain string")
    wanted = private_name(name)
    if wanted.startswith("_") or wanted in INSPECT_ATTRIBUTES or wanted == "mro" or isinstance(obj, NEVER):
        raise _refuse(name)
    if wanted in FORMAT_NAMES:
        if isinstance(obj, str):
            return _bound_format(obj) if wanted == "format" else _bound_format_map(obj)
        if isinstance(obj, type) and issubclass(obj, str):
            raise _refuse(name)
    elif wanted in EXCEPTION_NAMES and isinstance(obj, BaseException):
        raise _refuse(name)
    if wanted in NAMEDTUPLE_METHODS and (
        isinstance(obj, tuple) or (isinstance(obj, type) and issubclass(obj, tuple))
    ):
        wanted = NAMEDTUPLE_METHODS[wanted]
    try:
        return getattr(obj, wanted)
    except AttributeError:
        if default is not _RAISE:
            return default
        raise


def static_getattr(obj: Any, name: str) -> Any:
    """``_getattr_``: the read of a name that the policy has already accepted at compile time."""
    if name in _SLOW_NAMES or isinstance(obj, NEVER):
        return guarded_getattr(obj, name)
    return getattr(obj, name)


_SLOW_NAMES: Final = GUARDED_NAMES | frozenset(NAMEDTUPLE_METHODS)


def guarded_hasattr(obj: Any, name: Any) -> bool:
    """``hasattr`` that knows no more than getattr would give."""
    try:
        guarded_getattr(obj, name)
    except AttributeError:
        return False
    return True


def super_getattr(parent: Any, name: str) -> Any:
    """``_super_attr_``: ``super().name``. str.format would escape the format guard here, so it is refused."""
    public = not name.startswith("_") and name not in GUARDED_NAMES
    if not public and name not in SUPER_DUNDERS:
        raise _refuse(name)
    return getattr(parent, name)


# ---- writing ----

_WRITABLE: Final = frozenset({dict, list, bytearray, defaultdict, Counter, deque, OrderedDict, Context})
_own_classes: Final[weakref.WeakSet[type]] = weakref.WeakSet()


def is_own_class(cls: Any) -> bool:
    """True for a class that a cell defined."""
    return isinstance(cls, type) and cls in _own_classes


def guarded_write(obj: Any) -> Any:
    """``_write_``: only plain containers, and instances and classes of the cell's own, may be changed."""
    kind = type(obj)
    if kind in _WRITABLE or kind in _own_classes or (isinstance(obj, type) and obj in _own_classes):
        return obj
    raise TypeError(f"objects of type {kind.__name__} cannot be changed here")


def _writable_name(name: Any) -> str:
    if type(name) is not str:
        raise TypeError("the name of an attribute must be a plain string")
    wanted = private_name(name)
    if wanted.startswith("_") or wanted in INSPECT_ATTRIBUTES:
        raise _refuse(name)
    return wanted


def guarded_setattr(obj: Any, name: Any, value: Any) -> None:
    """``setattr`` under the rules of ``_write_``."""
    setattr(guarded_write(obj), _writable_name(name), value)


def guarded_delattr(obj: Any, name: Any) -> None:
    """``delattr`` under the rules of ``_write_``."""
    delattr(guarded_write(obj), _writable_name(name))


# ---- types and classes ----


class _TypeOfTypes(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, builtins.type)


class TypeOf(metaclass=_TypeOfTypes):
    """The sandbox's ``type``: one argument, and never the metaclass; ``isinstance(x, type)`` works."""

    def __new__(cls, *args: Any) -> Any:
        """The type of one object."""
        if len(args) != 1:
            raise TypeError("type() takes exactly one argument here")
        kind = builtins.type(args[0])
        if issubclass(kind, builtins.type):
            raise TypeError("type() of a class is not available here")
        return kind


def make_class(name: str, bases: tuple[Any, ...], namespace: dict[str, Any]) -> type:
    """``__metaclass__``: builds the class of a ``class`` statement and marks it as the cell's own."""
    if TypeOf in bases:
        raise TypeError("type cannot be extended here")
    for base in bases:
        build = getattr(base, "_rlm_build_class", None)  # a façade's own kind of class, e.g. NamedTuple
        if build is not None:
            bases, namespace = build(name, bases, namespace)
            break
    cls = builtins.type(name, bases, namespace)
    _own_classes.add(cls)
    return cls


def name_of(obj: Any) -> str:
    """What ``x.__name__`` reads: the name of a class or function."""
    if isinstance(obj, (type, FunctionType, BuiltinFunctionType, BuiltinMethodType)):
        name = obj.__name__
        return name if type(name) is str else "?"
    raise AttributeError("only classes and functions have a __name__ here")


# ---- str.format ----


class _GuardedFormatter(Formatter):
    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        first, rest = _split_field(field_name)
        obj = self.get_value(first, args, kwargs)
        for is_attribute, key in rest:
            obj = guarded_getattr(obj, key) if is_attribute else obj[key]
        return obj, first


_split_field: Final[Any] = import_module("_string").formatter_field_name_split
_formatter: Final = _GuardedFormatter()


@lru_cache(maxsize=512)
def _reads_attributes(template: str) -> bool:
    """True if a replacement field of the template contains a dot, i.e. may read an attribute."""
    for _text, field, spec, _conversion in _formatter.parse(template):
        if field is not None and "." in field:
            return True
        if spec and "{" in spec and _reads_attributes(spec):
            return True
    return False


def _bound_format(template: str) -> Any:
    text = str.__str__(template)

    def format(*args: Any, **kwargs: Any) -> str:
        if len(text) < 10_000 and not _reads_attributes(text):
            return str.format(text, *args, **kwargs)
        return _formatter.vformat(text, args, kwargs)

    return format


def _bound_format_map(template: str) -> Any:
    text = str.__str__(template)

    def format_map(mapping: Any) -> str:
        return _formatter.vformat(text, (), mapping)

    return format_map

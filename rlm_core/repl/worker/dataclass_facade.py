"""``dataclasses`` and ``typing.NamedTuple`` without ``exec``: the real ones build methods from source text.

The pre-pass leaves the names of a class's annotated fields in ``rlm_class_fields``; here they become methods made of
closures.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any, Final

from rlm_core.repl.worker.desugar import CLASS_FIELDS
from rlm_core.repl.worker.guards import guarded_getattr, is_own_class
from rlm_core.repl.worker.interrupts import Interrupts

FIELDS: Final = "_rlm_dataclass_fields"
MISSING: Final = object()


class FrozenInstanceError(AttributeError):
    """A field of a frozen dataclass was assigned."""


class Field:
    """What ``field(...)`` returns and ``fields(...)`` lists."""

    __slots__ = ("compare", "default", "default_factory", "init", "name", "repr")

    def __init__(self, default: Any, default_factory: Any, init: bool, repr: bool, compare: bool) -> None:
        self.name = ""
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.compare = compare


def field(
    *, default: Any = MISSING, default_factory: Any = MISSING, init: bool = True, repr: bool = True, compare: bool = True,
    hash: Any = None, metadata: Any = None, kw_only: bool = False,
) -> Field:  # fmt: skip
    """A field with a default, a factory of defaults, or left out of repr or comparison."""
    return Field(default, default_factory, init, repr, compare)


def dataclass(cls: Any = None, /, **options: Any) -> Any:
    """The decorator. Knows ``frozen``, ``order``, ``eq`` and ``repr``; others are accepted and have no effect here."""
    if cls is None:
        return lambda decorated: dataclass(decorated, **options)
    if not is_own_class(cls):
        raise TypeError("@dataclass is for classes defined here")
    found: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        found.update(base.__dict__.get(FIELDS, {}))
    for name in cls.__dict__.get(CLASS_FIELDS, ()):
        found[name] = _own_field(cls, name)
    type.__setattr__(cls, FIELDS, found)
    type.__setattr__(cls, "__match_args__", tuple(found))
    _add_methods(cls, found, options)
    return cls


def _own_field(cls: type, name: str) -> Field:
    if type(name) is not str or not name.isidentifier() or name.startswith("_"):
        raise TypeError("a field needs a plain name")
    value = cls.__dict__.get(name, MISSING)
    if type(value) is Field:
        result = value
        if result.default is MISSING:
            type.__delattr__(cls, name)
        else:
            type.__setattr__(cls, name, result.default)
    else:
        if type(value) in (list, dict, set):
            kind = type(value).__name__
            raise ValueError(
                f"mutable default {kind} for field {name} is not allowed: use field(default_factory={kind})"
            )
        result = Field(value, MISSING, True, True, True)
    result.name = name
    return result


def _add_methods(cls: type, found: dict[str, Field], options: dict[str, Any]) -> None:
    label = cls.__name__
    asked = [f for f in found.values() if f.init]
    compared = tuple(f.name for f in found.values() if f.compare)
    shown = tuple(f.name for f in found.values() if f.repr)

    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:
        if len(args) > len(asked):
            raise TypeError(f"{label}() takes {len(asked)} values but {len(args)} were given")
        values = dict(zip((f.name for f in asked), args, strict=False))
        for name, value in kwargs.items():
            if name in values or not any(f.name == name for f in asked):
                raise TypeError(f"{label}() got an unexpected or repeated argument {name!r}")
            values[name] = value
        for f in found.values():
            if f.name in values:
                value = values[f.name]
            elif f.default_factory is not MISSING:
                value = f.default_factory()
            elif f.default is not MISSING:
                value = f.default
            elif f.init:
                raise TypeError(f"{label}() missing the argument {f.name!r}")
            else:
                continue
            object.__setattr__(self, f.name, value)
        after = getattr(self, "__post_init__", None)
        if after is not None:
            after()

    def key(obj: Any) -> tuple[Any, ...]:
        return tuple(guarded_getattr(obj, name) for name in compared)

    def __repr__(self: Any) -> str:
        return f"{label}({', '.join(f'{name}={guarded_getattr(self, name)!r}' for name in shown)})"

    def __eq__(self: Any, other: Any) -> Any:
        return key(self) == key(other) if type(other) is type(self) else NotImplemented

    def __lt__(self: Any, other: Any) -> Any:
        return key(self) < key(other) if type(other) is type(self) else NotImplemented

    def __le__(self: Any, other: Any) -> Any:
        return key(self) <= key(other) if type(other) is type(self) else NotImplemented

    def __gt__(self: Any, other: Any) -> Any:
        return key(self) > key(other) if type(other) is type(self) else NotImplemented

    def __ge__(self: Any, other: Any) -> Any:
        return key(self) >= key(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(key(self))

    def __setattr__(self: Any, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r} of a frozen dataclass")

    methods: list[Any] = [__init__]
    if options.get("repr", True) and "__repr__" not in cls.__dict__:
        methods.append(__repr__)
    if options.get("eq", True) and "__eq__" not in cls.__dict__:
        methods.append(__eq__)
        if not options.get("frozen"):
            type.__setattr__(cls, "__hash__", None)
    if options.get("order"):
        methods += [__lt__, __le__, __gt__, __ge__]
    if options.get("frozen"):
        methods += [__setattr__, __hash__]
    for method in methods:
        type.__setattr__(cls, method.__name__, method)


def _fields_of(obj: Any) -> dict[str, Field]:
    found = getattr(obj if isinstance(obj, type) else type(obj), FIELDS, None)
    if found is None:
        raise TypeError("this is for dataclasses and their instances")
    return found  # type: ignore[no-any-return]


def fields(obj: Any) -> tuple[Field, ...]:
    """The fields of a dataclass, in order."""
    return tuple(_fields_of(obj).values())


def asdict(obj: Any) -> dict[str, Any]:
    """A dict of the fields, into lists, tuples, dicts and dataclasses inside."""
    return {name: _plain(guarded_getattr(obj, name), asdict) for name in _fields_of(obj)}


def astuple(obj: Any) -> tuple[Any, ...]:
    """A tuple of the fields' values."""
    return tuple(_plain(guarded_getattr(obj, name), astuple) for name in _fields_of(obj))


def _plain(value: Any, convert: Any) -> Any:
    if hasattr(type(value), FIELDS):
        return convert(value)
    if type(value) in (list, tuple):
        return type(value)([_plain(item, convert) for item in value])
    if type(value) is dict:
        return {key: _plain(item, convert) for key, item in value.items()}
    return value


def replace(obj: Any, /, **changes: Any) -> Any:
    """A copy with some fields changed."""
    kept = {f.name: guarded_getattr(obj, f.name) for f in fields(obj) if f.init}
    return type(obj)(**{**kept, **changes})


def is_dataclass(obj: Any) -> bool:
    """True for a dataclass or an instance of one."""
    return hasattr(obj if isinstance(obj, type) else type(obj), FIELDS)


def make_namedtuple_factory(interrupts: Interrupts) -> Callable[..., Any]:
    """``collections.namedtuple``. The real one evaluates source made of checked names, which the tripwire would take for
    an attack: so its arguments are made plain first, and then it runs as the worker's own code."""

    def make(
        typename: Any, field_names: Any, *, rename: bool = False, defaults: Any = None, module: Any = None
    ) -> Any:
        names = field_names.replace(",", " ").split() if type(field_names) is str else list(field_names)
        plain = [str.__str__(name) for name in names]
        last = None if defaults is None else tuple(defaults)
        with interrupts.deferred():
            return namedtuple(
                str.__str__(typename), plain, rename=rename is True, defaults=last, module="sandbox"
            )

    return make


class NamedTuple:
    """``class P(NamedTuple): x: int`` and ``NamedTuple("P", [("x", int)])``."""

    def __init__(self, make: Callable[..., Any]) -> None:
        def build(
            name: str, bases: Any, namespace: dict[str, Any]
        ) -> tuple[tuple[type, ...], dict[str, Any]]:
            names = namespace.get(CLASS_FIELDS, ())
            parent = make(name, names, defaults=[namespace[n] for n in names if n in namespace])
            return (parent,), {key: value for key, value in namespace.items() if key not in names}

        self._make = make
        self._base = type("NamedTupleBase", (), {"_rlm_build_class": staticmethod(build)})

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (self._base,)

    def __call__(self, name: str, fields: Any) -> Any:
        return self._make(name, [field_name for field_name, _type in fields])

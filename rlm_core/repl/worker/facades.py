"""What ``import`` gives: façades with an explicit list of exports, never a real module.

A real module leaks others through its public attributes (``json.codecs.builtins``), and which ones changes with every
Python version; a list of exports does not. Nothing here may be stateful across cells in a way that matters, and nothing
may build code from text or copy attributes of our own functions.
"""

from __future__ import annotations

import base64
import bisect
import collections
import copy
import csv
import datetime
import decimal
import difflib
import fractions
import functools
import heapq
import html
import io
import itertools
import json
import math
import operator
import random
import re
import statistics
import string
import textwrap
import time
import unicodedata
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from rlm_core.repl.worker import dataclass_facade, small_facades
from rlm_core.repl.worker.guards import guarded_getattr, is_own_class
from rlm_core.repl.worker.interrupts import Interrupts

# datetime.strptime imports this when it is first used, which is too late in a locked process.
_STRPTIME: Final = import_module("_strptime").__name__

_REAL: Final = {
    "base64": (base64, "b64encode b64decode urlsafe_b64encode urlsafe_b64decode b32encode b32decode"),
    "bisect": (bisect, "bisect bisect_left bisect_right insort insort_left insort_right"),
    "collections": (collections, "Counter defaultdict deque OrderedDict ChainMap"),
    "copy": (copy, "copy deepcopy"),
    "csv": (
        csv,
        "reader writer DictReader DictWriter Error QUOTE_ALL QUOTE_MINIMAL QUOTE_NONE QUOTE_NONNUMERIC",
    ),
    "datetime": (datetime, "datetime date time timedelta timezone MINYEAR MAXYEAR UTC"),
    "decimal": (
        decimal,
        "Decimal Context getcontext localcontext InvalidOperation DivisionByZero Inexact Overflow Underflow "
        "ROUND_HALF_UP ROUND_HALF_EVEN ROUND_HALF_DOWN ROUND_DOWN ROUND_UP ROUND_FLOOR ROUND_CEILING",
    ),
    "difflib": (difflib, "SequenceMatcher Differ get_close_matches unified_diff ndiff context_diff"),
    "fractions": (fractions, "Fraction"),
    "functools": (functools, "reduce partial lru_cache cache cmp_to_key"),
    "heapq": (heapq, "heappush heappop heapify heapreplace heappushpop nlargest nsmallest merge"),
    "html": (html, "escape unescape"),
    "io": (io, "StringIO BytesIO"),
    "itertools": (
        itertools,
        "accumulate batched chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse "
        "groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest",
    ),
    "json": (json, "loads dumps JSONDecodeError"),
    "math": (math, " ".join(name for name in dir(math) if not name.startswith("_"))),
    "operator": (
        operator,
        "itemgetter add sub mul truediv floordiv mod pow neg pos abs lt le eq ne ge gt not_ and_ or_ xor invert "
        "contains countOf indexOf getitem concat truth is_ is_not",
    ),
    "re": (
        re,
        "compile search match fullmatch split findall finditer sub subn escape purge error Pattern Match IGNORECASE I "
        "MULTILINE M DOTALL S VERBOSE X ASCII A UNICODE U RegexFlag NOFLAG",
    ),
    "statistics": (
        statistics,
        "mean fmean median median_low median_high median_grouped mode multimode stdev pstdev variance pvariance "
        "geometric_mean harmonic_mean quantiles correlation covariance linear_regression NormalDist StatisticsError",
    ),
    "string": (
        string,
        "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits punctuation whitespace printable "
        "capwords",
    ),
    "textwrap": (textwrap, "wrap fill dedent indent shorten"),
    "time": (time, "time perf_counter monotonic process_time time_ns perf_counter_ns gmtime strftime"),
    "unicodedata": (
        unicodedata,
        "normalize name lookup category bidirectional combining decimal digit numeric east_asian_width mirrored "
        "decomposition is_normalized",
    ),
}

_RANDOM: Final = (
    "random randint randrange choice choices sample shuffle uniform gauss normalvariate expovariate betavariate "
    "triangular lognormvariate seed getrandbits"
)

_ADVICE: Final = {
    "os": "there are no files or environment here; the material is in `context` and `documents`",
    "sys": "to stop early let the cell end; print() writes to the output",
    "pathlib": "there are no files here; the material is in `context` and `documents`",
    "subprocess": "no processes can be started here; do the work in Python",
    "threading": "for many model calls at once use llm_query_batched(prompts)",
    "multiprocessing": "for many model calls at once use llm_query_batched(prompts)",
    "concurrent": "for many model calls at once use llm_query_batched(prompts)",
    "requests": "there is no network here; everything you need is in `context`",
    "urllib": "there is no network here; everything you need is in `context`",
    "http": "there is no network here; everything you need is in `context`",
    "socket": "there is no network here; everything you need is in `context`",
    "numpy": "use lists with statistics, math and sum()",
    "pandas": "use sql(query) on the tables, or csv.DictReader(io.StringIO(text))",
    "sqlite3": "use sql(query), it runs a SELECT on the uploaded tables",
    "openai": "use llm_query(prompt)",
    "ollama": "use llm_query(prompt)",
    "nltk": "use re.findall(r'\\w+', text) or re.split for words and sentences",
    "tiktoken": "estimate tokens as len(text) // 4",
    "rlm": "llm_query, rlm_query, search, context and the rest are already defined, without import",
    "enum": "use plain constants",
    "pickle": "use json",
    "logging": "use print()",
    "contextlib": "write a class with __enter__ and __exit__",
}


class Facade:
    """Stands for a module: its exports are instance attributes, it cannot be changed, and it has no ``__name__``."""

    def __init__(self, label: str, exports: Mapping[str, Any]) -> None:
        vars(self).update(exports, _label=label)

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(sorted(n for n in vars(self) if not n.startswith("_")))
        raise AttributeError(f"{vars(self)['_label']}.{name} is not available here; available: {known}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError("modules cannot be changed here")

    def __delattr__(self, name: str) -> None:
        raise TypeError("modules cannot be changed here")

    def __copy__(self) -> Facade:
        return self

    def __deepcopy__(self, memo: Any) -> Facade:
        return self

    def __repr__(self) -> str:
        return f"<module {vars(self)['_label']!r}>"


def build_facades(echo: Callable[..., None], interrupts: Interrupts) -> dict[str, Facade]:
    """A fresh set of façades for one session. ``echo`` is the session's print."""
    own_random = random.Random()
    namedtuple = dataclass_facade.make_namedtuple_factory(interrupts)
    tables: dict[str, dict[str, Any]] = {
        name: {export: getattr(module, export) for export in exports.split() if hasattr(module, export)}
        for name, (module, exports) in _REAL.items()
    }
    tables["random"] = {name: getattr(own_random, name) for name in _RANDOM.split()} | {
        "Random": random.Random
    }
    tables["collections"]["namedtuple"] = namedtuple
    tables["functools"] |= {"wraps": _wraps, "total_ordering": _total_ordering}
    tables["operator"]["attrgetter"] = _attrgetter
    tables["time"]["sleep"] = _sleep
    tables["hashlib"] = small_facades.hashes()
    tables["pprint"] = small_facades.pretty(echo)
    tables["typing"] = small_facades.typing_names() | {"NamedTuple": dataclass_facade.NamedTuple(namedtuple)}
    tables["asyncio"] = small_facades.asyncio_names()
    tables["dataclasses"] = {
        name: getattr(dataclass_facade, name)
        for name in (
            "dataclass",
            "field",
            "fields",
            "asdict",
            "astuple",
            "replace",
            "is_dataclass",
            "FrozenInstanceError",
        )
    }
    return {name: Facade(name, exports) for name, exports in tables.items()}


def exported_names(facades: Mapping[str, Facade]) -> dict[str, tuple[str, ...]]:
    """What ``from module import *`` brings, by module."""
    return {name: tuple(n for n in vars(facade) if not n.startswith("_")) for name, facade in facades.items()}


class _Inert:
    """What C code gets that imports through our ``__import__`` and ignores the answer."""

    __slots__ = ()


def make_import(facades: Mapping[str, Facade]) -> Callable[..., Any]:
    """The session's ``__import__``."""

    def guarded_import(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        if level == 0 and name in facades:
            return facades[name]
        if name == _STRPTIME and not fromlist:
            return _Inert()
        if level == 0 and name == "collections.abc":
            raise ImportError(
                "collections.abc is not available here; test with isinstance(x, (list, tuple, dict))"
            )
        advice = _ADVICE.get(name.partition(".")[0])
        hint = f"; {advice}" if advice else ""
        raise ImportError(f"{name!r} cannot be imported here{hint}. Available: {', '.join(sorted(facades))}")

    return guarded_import


def _wraps(_wrapped: Any, *_ignored: Any, **_options: Any) -> Callable[[Any], Any]:
    # The real one copies attributes, which could copy those of our own functions.
    return lambda function: function


def _total_ordering(cls: Any) -> Any:
    if not is_own_class(cls):
        raise TypeError("@total_ordering is for classes defined here")
    return functools.total_ordering(cls)


def _attrgetter(*names: Any) -> Callable[[Any], Any]:
    def get(obj: Any) -> Any:
        values = []
        for name in names:
            value = obj
            for part in str.split(name, "."):
                value = guarded_getattr(value, part)
            values.append(value)
        return values[0] if len(values) == 1 else tuple(values)

    return get


def _sleep(_seconds: Any) -> None:
    """Waiting has no use here; it would only spend the cell's time."""

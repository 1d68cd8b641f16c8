"""The user's settings: defaults < file < environment < arguments.

The file is ``config/settings.json``. Every field is optional, unknown keys are refused with their name, and a
damaged file is kept aside instead of being overwritten. Environment variables are called
``LOCALRLM_<FIELD>`` or, for the nested groups, ``LOCALRLM_<GROUP>__<FIELD>``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from rlm_core.errors import SettingsError, SettingsNotKept
from rlm_core.paths import DEFAULT_CONFIG

log = logging.getLogger(__name__)

BackendName = Literal["auto", "ollama", "openai", "embedded"]
Mode = Literal["auto", "direct", "recursive"]
StrategyName = Literal["auto", "loop", "plan", "retrieve"]
Routing = Literal["auto", "by-role", "single"]
Role = Literal["fast", "tools", "quality"]

ENVIRONMENT_PREFIX = "LOCALRLM_"
_DURATION = re.compile(r"-?(\d+|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)")


def _a_duration(text: str) -> str:
    """As Ollama takes it: seconds, or numbers with units; below zero means for ever."""
    if not _DURATION.fullmatch(text.strip()):
        raise PydanticCustomError("duration", "Write a duration like 30m, 1h30m or 90s; -1 means for ever")
    return text.strip()


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Models(_Group):
    """Which model plays which role. The same name may stand in several roles."""

    fast: str = Field(default="qwen3:8b", min_length=1)
    tools: str = Field(default="glm-z1:9b", min_length=1)
    quality: str = Field(default="qwen3:30b-a3b", min_length=1)


class Limits(_Group):
    """The budget of one message, for its whole tree of calls (DESIGN.md 4.4)."""

    max_depth: int = Field(default=2, ge=0, le=8)
    max_iterations: int = Field(default=12, ge=1, le=200)
    max_llm_calls: int = Field(default=64, ge=1, le=100_000)
    max_tokens: int | None = Field(default=None, ge=1)
    max_seconds: float = Field(default=300, gt=0, le=86_400)
    max_parallel: int = Field(default=4, ge=1, le=64)


class Repl(_Group):
    """Limits of one code cell. ``accept_weak_sandbox`` is the user's explicit agreement to run code where the system
    cannot lock its process."""

    seconds: float = Field(default=30, gt=0, le=3600)
    memory_mb: int = Field(default=1024, ge=64, le=1_048_576)
    output_chars: int = Field(default=4000, ge=200, le=200_000)
    accept_weak_sandbox: bool = False


class Memory(_Group):
    """How much of the past a prompt carries, and which model finds it by meaning. ``embedder`` is ``minilm`` (bundled),
    ``ollama:MODEL`` (or ``ollama:MODEL@http://host:port``), the folder of a sentence-transformers model, or ``off``."""

    working_messages: int = Field(default=10, ge=0, le=200)
    recall: int = Field(default=5, ge=0, le=100)
    embedder: str = Field(default="minilm", min_length=1)
    chroma_url: str | None = None


class Server(_Group):
    """Where the page and the HTTP interface listen; ``lan``: also on the home network, whose people log in. Read at the
    start; the switch on the Settings tab acts at once."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=1, le=65_535)
    lan: bool = False


class Settings(_Group):
    """Everything a user can set. Frozen: a change makes a new object (:meth:`changed`)."""

    backend: BackendName = "auto"
    base_url: str | None = None
    api_key: str | None = None
    models: Models = Models()
    routing: Routing = "auto"
    temperature: float = Field(default=0.7, ge=0, le=2)
    num_ctx: int = Field(default=8192, ge=512, le=4_194_304)
    think: Literal["auto", "on", "off"] = "auto"
    keep_alive: Annotated[str, AfterValidator(_a_duration)] = Field(default="30m", coerce_numbers_to_str=True)
    recursive: bool = True
    complexity_threshold: float = Field(default=0.5, ge=0, le=1)
    strategy: StrategyName = "auto"
    limits: Limits = Limits()
    repl: Repl = Repl()
    memory: Memory = Memory()
    server: Server = Server()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> Settings:
        """Read the settings.

        ``path`` is the JSON file (default ``config/settings.json``); a missing file means defaults. ``arguments``
        are field names of this class; a value of None counts as not given, a nested group is a dict.

        Raises :class:`SettingsError` for an unknown key or a bad value in any of the sources.
        """
        file = Path(path) if path is not None else DEFAULT_CONFIG
        values = _read_file(file)
        _merge(values, _from_environment(os.environ if environment is None else environment))
        _merge(values, {key: value for key, value in arguments.items() if value is not None})
        return cls._checked(values)

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """A copy with a partial update, for example ``{"limits": {"max_depth": 1}}``.

        Raises :class:`SettingsError` naming the field on an unknown key or a bad value.
        """
        merged = self.model_dump()
        _merge(merged, values)
        return self._checked(merged)

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the settings atomically and return the file's path. Raises :class:`SettingsNotKept`."""
        file = Path(path) if path is not None else DEFAULT_CONFIG
        try:
            _write(file, self.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise SettingsNotKept(
                f"The settings file {file} cannot be written ({error.strerror or error}). Make room or make it"
                " writable, or start LocalRLM with another one (--config FILE)."
            ) from error
        return file

    @classmethod
    def _checked(cls, values: Mapping[str, Any]) -> Settings:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                raise SettingsError(field, "there is no setting of this name.") from None
            raise SettingsError(field, f"{first['msg']} (given: {first['input']!r}).") from None


def _read_file(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(
            file.read_text(encoding="utf-8-sig")
        )  # some Windows editors begin with a byte order mark
        if not isinstance(values, dict):
            raise ValueError("the file does not hold a JSON object")
    except FileNotFoundError:
        return {}
    except (ValueError, UnicodeDecodeError) as error:
        aside = _free_name(file)
        os.replace(file, aside)
        log.warning("%s is damaged (%s). It is kept as %s; the defaults are used.", file, error, aside)
        return {}
    return values


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _free_name(file: Path) -> Path:
    number = 1
    while (aside := file.with_name(f"{file.name}.damaged-{number}")).exists():
        number += 1
    return aside


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        group, _, field = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        value: Any = None if text.lower() in {"", "null", "none"} else text
        if field:
            values.setdefault(group, {})[field] = value
        else:
            values[group] = value
    return values


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Lay ``new`` over ``into``, group by group."""
    for key, value in new.items():
        if isinstance(value, BaseModel):
            value = value.model_dump()
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value

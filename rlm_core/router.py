"""Role to model, aware of what is installed and what is loaded (DESIGN.md 5.6).

On a small graphics card one model fits. Changing it costs the seconds of loading several gigabytes, so ``auto`` keeps
the loaded model unless the role gains more than the change costs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rlm_core.backends.base import Backend, ModelInfo
from rlm_core.errors import ModelMissing
from rlm_core.settings import Role, Settings

LIST_KEPT_SECONDS = 5.0
LOAD_BYTES_PER_SECOND = 1e9
"""From disk or page cache into the model server, a cautious figure for a home computer."""
ASSUMED_MODEL_BYTES = 6e9
SMALL, TINY = 1e9, 3e8
"""Parameters below which a model counts as such."""

WORTH_SECONDS: dict[tuple[Role, Role], float] = {
    ("tools", "fast"): 20.0,
    ("tools", "quality"): 8.0,
    ("quality", "fast"): 15.0,
    ("quality", "tools"): 12.0,
    ("fast", "quality"): 4.0,
    ("fast", "tools"): 0.0,
}
"""What it is worth to have the model of the first role instead of that of the second. Code that does not run costs whole
turns, hence 20 s; a quick reply from a model that is good at tools is as quick, hence nothing."""


@dataclass(frozen=True)
class Assignment:
    """The model for a call. ``window`` in tokens; ``notice`` says in words when it is not the one that was set;
    ``info`` is what the server said about it, if it did."""

    model: str
    window: int
    loaded: bool
    notice: str | None = None
    info: ModelInfo | None = None

    @property
    def parameter_count(self) -> float:
        """Infinite when the server does not say."""
        return self.info.parameter_count if self.info is not None else float("inf")


class Router:
    """Knows nothing about prompts or messages: a role in, a model's name and window out."""

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self._backend = backend
        self._settings = settings
        self._models: list[ModelInfo] = []
        self._listed_at = float("-inf")

    async def assign(self, role: Role, *, model: str | None = None) -> Assignment:
        """The model that plays ``role`` now; ``model`` overrules the roles.

        Raises :class:`ModelMissing` when the server has no model at all, or not the one asked for, and the other
        errors of the backend.
        """
        models = await self._list()
        if model is not None:
            found = _find(model, models)
            if found is None and models:
                raise ModelMissing(model, f"Installed are: {', '.join(info.name for info in models)}.")
            return self._assignment(model, found)
        wanted = self._wanted(role)
        found = _find(wanted, models)
        notice = None
        if found is None:
            found, notice = self._fallback(role, wanted, models)
        if found is not None and self._settings.routing == "auto":
            found = self._spare_a_swap(role, found, models)
        return self._assignment(found.name if found else wanted, found, notice)

    def forget(self) -> None:
        """Ask the server again at the next call (a model was pulled, deleted or loaded)."""
        self._listed_at = float("-inf")

    def _wanted(self, role: Role) -> str:
        names = self._settings.models
        return names.fast if self._settings.routing == "single" else str(getattr(names, role))

    async def _list(self) -> list[ModelInfo]:
        now = time.monotonic()
        if now - self._listed_at > LIST_KEPT_SECONDS:
            self._models = await self._backend.models()
            self._listed_at = now
        return self._models

    def _fallback(
        self, role: Role, wanted: str, models: Sequence[ModelInfo]
    ) -> tuple[ModelInfo | None, str | None]:
        if self._backend.name == "embedded":
            return (models[0], None) if models else (None, None)
        names = self._settings.models
        others = (_find(name, models) for name in (names.tools, names.fast, names.quality))
        found = next((info for info in others if info is not None), None)
        if found is None and models:
            found = next((info for info in models if info.loaded), models[0])
        if found is None:
            if self._backend.name == "openai":
                return None, None
            raise ModelMissing(wanted, f"No model is installed at all. Get one with `ollama pull {wanted}`.")
        remedy = f" Install it with `ollama pull {wanted}`." if self._backend.name == "ollama" else ""
        return found, (
            f"The model '{wanted}' (role {role}) is not installed; '{found.name}' answers instead.{remedy}"
        )

    def _spare_a_swap(self, role: Role, wanted: ModelInfo, models: Sequence[ModelInfo]) -> ModelInfo:
        if wanted.loaded:
            return wanted
        names = self._settings.models
        others: tuple[tuple[Role, str], ...] = (
            ("tools", names.tools),
            ("fast", names.fast),
            ("quality", names.quality),
        )
        cost = (wanted.size or ASSUMED_MODEL_BYTES) / LOAD_BYTES_PER_SECOND
        for other_role, name in others:
            there = _find(name, models)
            if there is None or not there.loaded or other_role == role:
                continue
            if WORTH_SECONDS[role, other_role] <= cost:
                return there
        return wanted

    def _assignment(self, name: str, info: ModelInfo | None, notice: str | None = None) -> Assignment:
        window = self._settings.num_ctx
        if info is not None and info.context_length:
            window = min(window, info.context_length)
        return Assignment(name, window, bool(info and info.loaded), notice, info)


def _find(name: str, models: Sequence[ModelInfo]) -> ModelInfo | None:
    """Ollama takes ``llama3`` for ``llama3:latest``."""
    full = name if ":" in name else f"{name}:latest"
    return next((info for info in models if info.name in (name, full)), None)

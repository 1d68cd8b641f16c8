"""The RLM engine: every message goes through :class:`RLMEngine`, and one stream of typed events comes back.

Importing this package is cheap on purpose (no torch, no chromadb, no gradio, no HTTP client); each name loads
its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm_core.budget import Budget, CancelToken
    from rlm_core.engine import RLMEngine
    from rlm_core.results import Answer, Citation, Result
    from rlm_core.settings import Settings

__version__ = "0.1.0"
__all__ = ["Answer", "Budget", "CancelToken", "Citation", "RLMEngine", "Result", "Settings", "__version__"]

_HOME = {
    "Answer": "results",
    "Budget": "budget",
    "CancelToken": "budget",
    "Citation": "results",
    "RLMEngine": "engine",
    "Result": "results",
    "Settings": "settings",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"rlm_core.{_HOME[name]}"), name)
    raise AttributeError(f"module 'rlm_core' has no attribute {name!r}")

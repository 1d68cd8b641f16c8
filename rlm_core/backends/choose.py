"""Which backend answers, and why, in words for the page.

Each backend is imported where it is chosen: their client libraries cost memory, and only one of them is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlm_core.backends.base import Backend
from rlm_core.errors import BackendError, SettingsError
from rlm_core.settings import Settings

if TYPE_CHECKING:
    from rlm_core.backends.llama_cpp import EmbeddedBackend


@dataclass(frozen=True)
class Choice:
    """``sentence`` says which backend answers, why this one, and how to get a better one if there is."""

    backend: Backend
    sentence: str


async def open_backend(settings: Settings) -> Backend:
    """The backend that the settings ask for. Raises SettingsError when they cannot be followed."""
    return (await choose_backend(settings)).backend


async def choose_backend(settings: Settings) -> Choice:
    """Like :func:`open_backend`, with the reason.

    ``auto`` takes Ollama if it answers within two seconds and has a model installed on this computer, else the embedded model. A
    named backend is taken whether it answers or not: its own status says what is wrong.
    """
    if settings.backend == "ollama":
        from rlm_core.backends.ollama_client import OllamaBackend

        ollama = OllamaBackend(settings.base_url)
        return Choice(ollama, (await ollama.status()).sentence)
    if settings.backend == "openai":
        if not settings.base_url:
            raise SettingsError("base_url", "the backend 'openai' needs the address of its server.")
        from rlm_core.backends.openai_compatible import OpenAIBackend

        openai = OpenAIBackend(settings.base_url, settings.api_key)
        return Choice(openai, (await openai.status()).sentence)
    if settings.backend == "embedded":
        embedded = _embedded(settings)
        return Choice(embedded, (await embedded.status()).sentence)
    return await _auto(settings)


async def _auto(settings: Settings) -> Choice:
    from rlm_core.backends.ollama_client import OllamaBackend

    ollama = OllamaBackend(None if _is_model_file(settings.base_url) else settings.base_url)
    why = f"Ollama does not answer at {ollama.base_url}"
    better = "Start Ollama with `ollama serve` for better answers"
    status = await ollama.status()
    if status.running:
        try:
            installed = await ollama.models()
        except BackendError as error:
            why = f"Ollama answers, but does not list its models ({error})"
        else:
            if installed:
                names = "1 model" if len(installed) == 1 else f"{len(installed)} models"
                return Choice(ollama, f"{status.sentence} It has {names}.")
            why = "Ollama answers, but no model is installed in it"
            better = f"Get one with `ollama pull {settings.models.fast}` for better answers"
    await ollama.close()
    embedded = _embedded(settings)
    answering = (await embedded.status()).sentence
    return Choice(embedded, f"{why}, so the embedded model answers. {better}. {answering}")


def _embedded(settings: Settings) -> EmbeddedBackend:
    """The bundled model, or the ``.gguf`` file that ``base_url`` or ``models.fast`` names."""
    from rlm_core.backends.llama_cpp import EmbeddedBackend

    for field, name in (("base_url", settings.base_url), ("models.fast", settings.models.fast)):
        if name is not None and _is_model_file(name):
            file = Path(name.removeprefix("file://")).expanduser()
            if not file.is_file():
                raise SettingsError(field, f"there is no file {file}.")
            return EmbeddedBackend(file, num_ctx=settings.num_ctx)
    return EmbeddedBackend(num_ctx=settings.num_ctx)


def _is_model_file(name: str | None) -> bool:
    return name is not None and name.lower().endswith(".gguf")

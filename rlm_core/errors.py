"""What can go wrong, one small class each, with sentences that a user can act on."""

from __future__ import annotations


class LocalRLMError(Exception):
    """Base of all errors whose text is meant for the user."""


class SettingsError(LocalRLMError):
    """A setting is unknown or has a value that cannot be used.

    ``field`` is the dotted name, for example ``limits.max_depth``.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"Setting '{field}': {problem}")
        self.field = field
        self.problem = problem


class SettingsNotKept(LocalRLMError):
    """The settings file cannot be written."""


class BackendError(LocalRLMError):
    """A model server could not do what it was asked."""


class BackendNotRunning(BackendError):
    """Nothing answers at the server's address."""


class ModelMissing(BackendError):
    """The server answers, but does not have this model. ``model`` is its name."""

    def __init__(self, model: str, remedy: str) -> None:
        super().__init__(f"The model '{model}' is not installed. {remedy}")
        self.model = model


class OutOfMemory(BackendError):
    """The model does not fit into the memory of the graphics card or the computer."""


class PromptTooLong(BackendError):
    """A prompt is larger than the window of the model it was meant for. Sizes are in tokens."""

    def __init__(self, tokens: int, window: int, remedy: str) -> None:
        super().__init__(
            f"The prompt has about {tokens:,} tokens, but the model's window takes {window:,}. {remedy}"
        )
        self.tokens = tokens
        self.window = window


class StreamDropped(BackendError):
    """The server broke off in mid-answer."""


class MaterialError(LocalRLMError):
    """A file or text given as material cannot be used."""

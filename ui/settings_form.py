"""The settings as fields of a form: label, one sentence of help, and how a field's value becomes a setting."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rlm_core.errors import SettingsError
from rlm_core.settings import Settings
from ui.html import block, esc

Kind = Literal["choice", "number", "slider", "switch", "text", "secret", "model"]


@dataclass(frozen=True)
class Field:
    """``name`` is dotted, as in an error of :class:`Settings`. ``low``, ``high``, ``step`` are those of a slider."""

    name: str
    label: str
    help: str
    kind: Kind
    choices: tuple[tuple[str, str], ...] = ()
    low: float = 0
    high: float = 1
    step: float = 0.05


@dataclass(frozen=True)
class Group:
    title: str
    fields: tuple[Field, ...]
    opened: bool = False


FORM = (
    Group(
        "Model server",
        (
            Field(
                "backend", "Backend", "Who runs the models. Auto takes Ollama if it answers, else the small built-in model.",
                "choice",
                (("Auto", "auto"), ("Ollama", "ollama"), ("OpenAI-compatible server", "openai"), ("Built in", "embedded")),
            ),
            Field("base_url", "Address", "Of the model server, such as http://127.0.0.1:11434. Empty: its usual address.", "text"),
            Field("api_key", "API key", "Only for servers that ask for one; it is not shown again. A single - removes it.", "secret"),
        ),
    ),
    Group(
        "Models",
        (
            Field("models.fast", "Fast", "Answers simple messages.", "model"),
            Field("models.tools", "Tools", "Writes the code that inspects long material.", "model"),
            Field("models.quality", "Quality", "Writes the final answer of complex tasks.", "model"),
            Field(
                "routing", "Routing",
                "Changing the loaded model costs seconds. Auto changes only when it is worth it; single stays with one model.",
                "choice", (("Auto", "auto"), ("By role", "by-role"), ("Single model", "single")),
            ),
            Field("temperature", "Temperature", "0 gives the same answer each time, higher is more varied.", "slider", high=2),
            Field(
                "num_ctx", "Context window (tokens)",
                "How much one call can read. More needs more graphics memory; a change reloads the model.", "number",
            ),
            Field(
                "think", "Thinking", "Whether a thinking model thinks before it answers.", "choice",
                (("The model decides", "auto"), ("On", "on"), ("Off", "off")),
            ),
            Field("keep_alive", "Keep loaded", "How long a model stays in memory after its last call, such as 30m or 2h.", "text"),
        ),
        opened=True,
    ),
    Group(
        "How messages are answered",
        (
            Field("recursive", "Recursive mode", "Off: every message gets one direct call, long material is not read.", "switch"),
            Field(
                "complexity_threshold", "Complexity threshold",
                "A message that scores above it is answered recursively. Lower: more often, slower, more thorough.", "slider",
            ),
            Field(
                "strategy", "Strategy", "How recursive answers are made. Auto takes what the model has shown it can do.", "choice",
                (("Auto", "auto"), ("Loop: code, step by step", "loop"), ("Plan: sub-tasks", "plan"), ("Retrieve: found passages", "retrieve")),
            ),
        ),
        opened=True,
    ),
    Group(
        "Limits of one message",
        (
            Field("limits.max_seconds", "Seconds", "Then the best answer so far is given.", "number"),
            Field("limits.max_llm_calls", "Model calls", "Of the whole tree of calls together.", "number"),
            Field("limits.max_iterations", "Turns", "Of code that the model may write in one loop.", "number"),
            Field("limits.max_depth", "Depth", "1: sub-calls are plain calls. 2: a sub-call may be an RLM of its own.", "number"),
            Field("limits.max_tokens", "Tokens", "Read and written together. Empty: no limit.", "number"),
            Field("limits.max_parallel", "Calls at the same time", "More is faster only if the server can do it.", "number"),
        ),
    ),
    Group(
        "Code and memory",
        (
            Field("repl.seconds", "Seconds of a code cell", "Time spent in model calls does not count.", "number"),
            Field("repl.memory_mb", "Memory of the code (MB)", "A cell that needs more is ended.", "number"),
            Field("repl.output_chars", "Output shown to the model", "Characters; the whole output stays in the trace.", "number"),
            Field(
                "repl.accept_weak_sandbox", "Allow a weak sandbox",
                "Off: code runs only where the system can lock its process. On: you agree to run it with less protection.", "switch",
            ),
            Field("memory.working_messages", "Recent messages", "The last messages that each prompt carries.", "number"),
            Field("memory.recall", "Remembered messages", "Older messages that are looked up for each question. 0 turns the memory off.", "number"),
            Field(
                "memory.embedder", "Embedding model",
                "Finds messages and passages by meaning: minilm (built in), ollama:nomic-embed-text, the folder of a"
                " sentence-transformers model, or off for words only. A change embeds everything again in the background.", "text",
            ),
            Field("memory.chroma_url", "Chroma server", "Only for a shared index on another machine. Empty: the one on this computer.", "text"),
        ),
    ),
)  # fmt: skip

FIELDS = {field.name: field for group in FORM for field in group.fields}
_WHOLE = {
    "num_ctx", "limits.max_llm_calls", "limits.max_iterations", "limits.max_depth", "limits.max_tokens",
    "limits.max_parallel", "repl.memory_mb", "repl.output_chars", "memory.working_messages", "memory.recall",
}  # fmt: skip


def value_of(settings: Settings, name: str) -> Any:
    """The value of a field as the form shows it. A secret never reaches the page."""
    if FIELDS[name].kind == "secret":
        return ""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return "" if value is None and FIELDS[name].kind == "text" else value


def change(settings: Settings, name: str, value: Any) -> Settings:
    """The settings with one field changed. An empty field means None where the setting allows it; an empty secret stays as
    it is, and a single - removes it.

    Raises :class:`SettingsError`.
    """
    if isinstance(value, str):
        value = value.strip() or None
    if FIELDS[name].kind == "secret":
        if value is None:
            return settings
        value = None if value == "-" else value
    if isinstance(value, float) and value.is_integer() and name in _WHOLE:
        value = int(value)
    update: Mapping[str, Any] = {name.split(".")[-1]: value}
    for part in reversed(name.split(".")[:-1]):
        update = {part: update}
    return settings.changed(update)


def problem(error: SettingsError) -> str:
    """The sentence at the field."""
    return f"Not saved: {error.problem}"


def saved(label: str) -> str:
    """Shown for some seconds when a setting was saved. (The moment makes it appear again at the same field.)"""
    return block(
        f'<div class="notice good at-{time.monotonic_ns()}" role="status">{esc(label)}: saved.</div>'
    )

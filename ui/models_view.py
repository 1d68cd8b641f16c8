"""The state of the model server, its models, the graphics card and the store, for the Settings tab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf

from memory_store.records import StoreStatus
from rlm_core.backends.base import BackendStatus, ModelInfo, PullProgress
from rlm_core.router import SMALL
from rlm_core.settings import Settings
from ui.html import block, chip, do, esc
from ui.words import count, size


@dataclass(frozen=True)
class Card:
    """A graphics card right now. Memory in bytes, ``load`` in percent."""

    name: str
    used: int
    total: int
    load: int


def backend_line(status: BackendStatus, sentence: str, advice: str = "") -> str:
    """Which backend answers, how it is, and what to do about it."""
    style = "good" if status.running else "bad"
    more = f'<p class="quiet">{esc(advice)}</p>' if advice else ""
    return block(f'<div class="backend"><span class="dot {style}"></span>{esc(sentence)}{more}</div>')


def short_status(status: BackendStatus, model: str) -> str:
    """For the head of the page: the backend's name and the model that answers."""
    style = "good" if status.running else "bad"
    text = f"{status.name} · {model}" if status.running else f"{status.name} is not running"
    return block(
        f'<div class="brand"><b>LocalRLM</b><span class="status" title="{esc(status.sentence)}"><span class="dot {style}"></span>{esc(text)}</span></div>'
    )


def model_table(models: Sequence[ModelInfo], settings: Settings, *, manages: bool) -> str:
    """The installed models. ``manages`` is True when the server can load, unload and delete them."""
    if not models:
        return block('<p class="quiet empty">The server has no models.</p>')
    roles = {
        name: [role for role, model in settings.models.model_dump().items() if model == name]
        for name in {model.name for model in models}
    }
    rows = "".join(_model(model, roles[model.name], manages) for model in models)
    head = "<tr><th>Model</th><th>Size</th><th>Context</th><th>State</th><th></th></tr>"
    missing = missing_models(models, settings) if manages else ()
    note = ""
    if missing:
        buttons = "".join(pull_button(model) for model in missing)
        note = (
            f'<div class="notice warn">Not installed: {esc(", ".join(missing))}. Download them, or choose others below.'
            f' <span class="tools">{buttons}</span></div>'
        )
    cost = window_cost(models, settings)
    about = f'<p class="quiet">{esc(cost)}</p>' if cost else ""
    return block(
        f'<div class="scroll"><table class="models"><thead>{head}</thead><tbody>{rows}</tbody></table></div>{about}{note}'
    )


def missing_models(models: Sequence[ModelInfo], settings: Settings) -> list[str]:
    """The models that have a role and are not installed."""
    installed = {model.name for model in models}
    wanted = dict.fromkeys(settings.models.model_dump().values())
    return [name for name in wanted if name not in installed]


def pull_button(model: str) -> str:
    """Downloads a model, with its progress on the Settings tab."""
    return do("page", "pull", model, f"Download {esc(model)}", style="boxed")


def is_small(models: Sequence[ModelInfo], name: str) -> bool:
    """Whether this model is one below a billion parameters, which finds a stated fact and not much more."""
    return any(model.parameter_count < SMALL for model in models if model.name == name)


def window_cost(models: Sequence[ModelInfo], settings: Settings) -> str:
    """What the context window costs in memory with the model that answers simple messages; empty when nothing is known.

    Estimated from the number of parameters. How models of that size are usually built: layers x 8 key-value heads x
    128 numbers x 2 (keys and values) x 2 bytes for each token.
    """
    found = next((model for model in models if model.name == settings.models.fast), None)
    if found is None or isinf(found.parameter_count):
        return ""
    layers = next(layers for limit, layers in _LAYERS if found.parameter_count < limit * 1e9)
    cost = settings.num_ctx * layers * 8 * 128 * 2 * 2
    beside = f" beside its own {size(found.size)}" if found.size else ""
    return f"A context window of {settings.num_ctx:,} tokens takes about {size(cost)} of memory with {found.name}{beside}."


def gpu(cards: Sequence[Card], problem: str | None) -> str:
    """Memory and load of the graphics cards; without one, the sentence that says so."""
    if problem is not None:
        return block(f'<p class="quiet">{esc(problem)}</p>')
    rows = "".join(
        f'<li><b>{esc(card.name)}</b> <progress max="100" value="{100 * card.used // max(1, card.total)}" aria-label="Graphics memory"></progress>'
        f" {size(card.used)} of {size(card.total)} used · {card.load} % busy</li>"
        for card in cards
    )
    return block(f'<ul class="cards">{rows}</ul>')


def pulling(model: str, progress: PullProgress) -> str:
    """How far a download is."""
    if not progress.total:
        return block(f'<p class="pull">{esc(model)}: {esc(progress.status)}</p>')
    percent = 100 * progress.completed / progress.total
    return block(
        f'<p class="pull">{esc(model)}: {esc(progress.status)} <progress max="100" value="{percent:.0f}" aria-label="{esc(model)}"></progress>'
        f" {size(progress.completed)} of {size(progress.total)}</p>"
    )


def store_line(status: StoreStatus) -> str:
    """What the store holds and where."""
    facts = (
        f"{count(status.conversations, 'conversation')}, {count(status.messages, 'message')},"
        f" {count(status.documents, 'document')} · {size(status.bytes_on_disk)} in {status.data_dir}"
    )
    waiting = f" · {count(status.pending, 'piece')} still to be embedded" if status.pending else ""
    trouble = f'<p class="notice warn">{esc(status.problem)}</p>' if status.problem else ""
    return block(
        f'<div class="store"><h3>Data</h3><p>{esc(facts)}{esc(waiting)}</p>'
        f'<p class="quiet">Embeddings: {esc(status.embedder)} · Index: {esc(status.index)}</p>{trouble}'
        f'<div class="tools"><a class="item" href="/page/everything.zip" download>Export everything</a>'
        f"{do('settings', 'erase', 'all', 'Erase everything', style='danger confirm', title='Erase all conversations, documents and traces?')}</div></div>"
    )


_LAYERS = ((1, 24), (2.5, 28), (12, 36), (24, 40), (50, 60), (float("inf"), 80))
"""Parameters in billions up to which a model usually has so many layers."""


def _model(model: ModelInfo, roles: Sequence[str], manages: bool) -> str:
    facts = " ".join(part for part in (model.parameters, model.quantization) if part)
    state = (
        chip("loaded", "good", f"{size(model.vram)} of graphics memory" if model.vram else "")
        if model.loaded
        else ""
    )
    if model.loaded and model.vram is not None and model.size:
        share = min(100, round(100 * model.vram / model.size))
        where = f"{share} % on the graphics card" if share else "on the processor"
        state += f' <span class="quiet">{where}</span>'
    used = "".join(chip(role, "busy") for role in roles)
    tools = ""
    if manages:
        load = (
            do("settings", "unload", model.name, "Unload")
            if model.loaded
            else do("settings", "load", model.name, "Load")
        )
        tools = load + do(
            "settings", "delete", model.name, "Delete", style="danger", title=f"Delete {model.name}"
        )
    window = f"{model.context_length:,}" if model.context_length else "?"
    return (
        f'<tr><td><b>{esc(model.name)}</b> {used}<br><span class="quiet">{esc(facts)}</span></td>'
        f'<td>{size(model.size)}</td><td>{window}</td><td>{state}</td><td class="tools">{tools}</td></tr>'
    )

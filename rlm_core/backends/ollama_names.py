"""How Ollama writes things: addresses, names of models, durations, and what its download errors mean."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

DEFAULT_PORT = 11434
# An entry for a model on Ollama's servers is a few hundred bytes; no real model is that small.
SMALLEST_MODEL = 1_000_000


def ollama_address(text: str) -> str:
    """The address to call, from what ``OLLAMA_HOST`` may hold: a host, a port, both, or a URL.

    ``0.0.0.0`` and ``::`` say where a server listens and are no address to call: they become the loopback address.
    """
    text = text.strip().strip("'\"")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    parts = urlsplit(f"{scheme}://{rest}")
    port = parts.port or (
        {"http": 80, "https": 443}[scheme] if separator and scheme in {"http", "https"} else DEFAULT_PORT
    )
    host = parts.hostname or "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
        if address.version == 6:
            host = f"[{host}]"
    return f"{scheme}://{host}:{port}{parts.path.rstrip('/')}"


def is_cloud(name: str | None) -> bool:
    """Whether a model of this name runs on Ollama's servers instead of this computer."""
    tag = (name or "").rpartition(":")[2]
    return tag == "cloud" or tag.endswith("-cloud")


def is_local(name: str | None, size: int | None) -> bool:
    """Whether an entry of the list of models, ``size`` in bytes, is a model on this computer."""
    return bool(name) and not is_cloud(name) and (size is None or size >= SMALLEST_MODEL)


def keep_alive(text: str) -> str | int:
    """Ollama takes durations with a unit as text, and seconds without one only as a number."""
    return int(text) if re.fullmatch(r"-?\d+", text.strip()) else text.strip()


def pull_problem(model: str, message: str) -> str:
    """A sentence for the user from the message that ended a download."""
    if "file does not exist" in message or "not found" in message:
        return f"Ollama's library has no model '{model}'. Check the spelling."
    if re.search(r"dial tcp|no such host|lookup|timeout|connection refused", message):
        return f"'{model}' cannot be downloaded: Ollama does not reach the internet ({message})."
    if "no space left" in message or "not enough space" in message:
        return f"'{model}' cannot be downloaded: the disk is full ({message})."
    return f"'{model}' cannot be downloaded: {message}."

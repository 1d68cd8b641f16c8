"""From the command line to a running server: which settings hold, who may come in, whether the port is free, how it ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from rlm_core.errors import LocalRLMError
from rlm_core.paths import DEFAULT_CONFIG, DEFAULT_DATA
from rlm_core.security import Access
from rlm_core.settings import Settings


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; ``arguments`` instead of those of this process."""
    parser = argparse.ArgumentParser(
        prog="app.py", description="LocalRLM: ask about documents of any length, offline."
    )
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8000)")
    parser.add_argument(
        "--lan", action="store_true", help="let others on the home network in, with a password"
    )
    parser.add_argument(
        "--backend", choices=["auto", "ollama", "openai", "embedded"], help="who runs the models"
    )
    parser.add_argument("--base-url", metavar="URL", help="address of the model server")
    parser.add_argument("--model", metavar="NAME", help="one model for all roles")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, default=DEFAULT_DATA, help="folder of everything you made"
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path, default=DEFAULT_CONFIG, help="the settings file"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    return parser.parse_args(arguments)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Defaults < file < environment < command line. The file is written at the first start."""
    given = {
        "backend": arguments.backend,
        "base_url": arguments.base_url,
        "models": dict.fromkeys(("fast", "tools", "quality"), arguments.model) if arguments.model else None,
        "server": {k: v for k, v in (("host", arguments.host), ("port", arguments.port)) if v is not None}
        or None,
    }
    if not arguments.config.exists():
        Settings().save(arguments.config)
    return Settings.load(arguments.config, **given)


def access_of(settings: Settings, arguments: argparse.Namespace) -> Access:
    """Who may come in: this computer, or with ``--lan`` whoever on the home network knows the password."""
    if arguments.lan:
        return Access.home_network(
            arguments.data, port=settings.server.port, password=os.environ.get("RLM_PASSWORD")
        )
    if settings.server.host not in ("127.0.0.1", "localhost", "::1"):
        raise LocalRLMError(
            f"'{settings.server.host}' would open LocalRLM to others without a password. Use --lan instead of --host."
        )
    return Access.loopback(host=settings.server.host, port=settings.server.port)


def free(settings: Settings, lan: bool) -> None:
    """Raises LocalRLMError naming the port when another program has it."""
    host = "0.0.0.0" if lan else settings.server.host
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, settings.server.port))
        except OSError as error:
            raise LocalRLMError(
                f"Port {settings.server.port} cannot be used ({error.strerror}). Another program, or another LocalRLM, "
                f"may have it: choose a free one with --port {settings.server.port + 1}."
            ) from None


class Server(uvicorn.Server):
    """Opens ``page`` in the browser once it answers, and sets ``answers``; ends at Ctrl-C, SIGTERM and, on Windows, Ctrl-Break. (uvicorn raises
    the signal once more afterwards, which would cut our own end short.)"""

    def __init__(self, config: uvicorn.Config, page: str | None) -> None:
        super().__init__(config)
        self.page = page
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.answers.set()
        if self.started and self.page:
            threading.Thread(target=webbrowser.open, args=(self.page,), daemon=True).start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        asked_to_end = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}
        before = {number: signal.signal(number, self.handle_exit) for number in asked_to_end}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # open tabs are cut off: no news
        await super().shutdown(sockets)

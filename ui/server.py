"""The server: it listens on this computer, and on addresses of the home network that come and go while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import webbrowser
from collections.abc import Collection, Iterator
from pathlib import Path

import uvicorn


class Server(uvicorn.Server):
    """Opens ``page`` in the browser once it answers, and sets ``answers``; ends at Ctrl-C, SIGTERM and, on Windows, Ctrl-Break. (uvicorn raises
    the signal once more afterwards, which would cut our own end short.)"""

    def __init__(self, config: uvicorn.Config, page: str | None) -> None:
        super().__init__(config)
        self.page = page
        self.answers = asyncio.Event()
        self._more: dict[str, asyncio.Server] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.answers.set()
        if self.started and self.page:
            threading.Thread(target=webbrowser.open, args=(self.page,), daemon=True).start()

    async def listen_also(self, addresses: Collection[str]) -> dict[str, OSError]:
        """From now on listen on exactly these addresses besides the own one. What came in by another is cut off; all other
        connections, and answers in the making, go on. Returns the addresses that cannot be used, and why."""
        for address in self._more.keys() - set(addresses):
            closing = self._more.pop(address)
            self.servers.remove(closing)
            closing.close()
            for connection in list(self.server_state.connections):
                end, transport = getattr(connection, "server", None), getattr(connection, "transport", None)
                if end and end[0] == address and transport is not None:
                    transport.abort()
        refused = {}
        for address in addresses:
            if address not in self._more:
                try:
                    await self._listen(address)
                except OSError as error:
                    refused[address] = error
        return refused

    async def _listen(self, address: str) -> None:
        config = self.config

        def protocol() -> asyncio.Protocol:
            make: type = config.http_protocol_class
            made: asyncio.Protocol = make(
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            protocol, address, config.port, ssl=config.ssl, backlog=config.backlog
        )
        self._more[address] = server
        self.servers.append(server)

    def use_certificate(self, certificate: Path, key: Path) -> None:
        """For all connections that begin from now on."""
        if self.config.ssl is not None:
            self.config.ssl.load_cert_chain(certificate, key)

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

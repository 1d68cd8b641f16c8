"""From the command line to what is to be served: which settings hold, who may come in, whether the port is free."""

from __future__ import annotations

import argparse
import os
import socket
import ssl
from pathlib import Path

from rlm_core.errors import LocalRLMError
from rlm_core.paths import DEFAULT_CONFIG, DEFAULT_DATA
from rlm_core.security import Access
from rlm_core.security.network import home_addresses
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
        "--https", action="store_true", help="encrypt, with a certificate made on this computer"
    )
    parser.add_argument(
        "--certificate", metavar="FILE", type=Path, help="encrypt, with this certificate (PEM)"
    )
    parser.add_argument("--key", metavar="FILE", type=Path, help="the private key of --certificate (PEM)")
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
    given = parser.parse_args(arguments)
    if (given.certificate is None) != (given.key is None):
        parser.error("--certificate and --key belong together: name both files, or use --https alone")
    return given


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


LOOPBACK = ("127.0.0.1", "localhost", "::1")


def access_of(settings: Settings, arguments: argparse.Namespace) -> Access:
    """Who may come in: this computer, and whoever on the home network knows the password if ``--lan`` or the settings say
    so. With ``--lan`` this computer needs the password too."""
    server, password = settings.server, os.environ.get("RLM_PASSWORD")
    if arguments.lan:
        host = server.host if server.host in LOOPBACK else LOOPBACK[0]
        access = Access.home_network(arguments.data, host=host, port=server.port, password=password)
    elif server.host not in LOOPBACK:
        raise LocalRLMError(
            f"'{server.host}' would open LocalRLM to others without a password. Use --lan instead of --host."
        )
    else:
        access = Access.loopback(host=server.host, port=server.port)
        if server.lan:
            access.open_home(arguments.data, password=password)
    if arguments.certificate:
        check_certificate(arguments.certificate, arguments.key)
        access.encrypt(arguments.data, (arguments.certificate, arguments.key))
    elif arguments.https:
        access.encrypt(arguments.data)
    return access


def check_certificate(certificate: Path, key: Path) -> None:
    """Raises LocalRLMError with what is wrong with the files."""
    for file in (certificate, key):
        if not file.is_file():
            raise LocalRLMError(f"There is no file {file}.")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise LocalRLMError(
            f"{certificate} and {key} cannot be used ({error}). Both must be PEM files, the key must belong to the "
            "certificate and must not have a password."
        ) from None


def free(settings: Settings, lan: bool) -> None:
    """Raises LocalRLMError naming the port when another program has it."""
    own = settings.server.host if settings.server.host in LOOPBACK or not lan else LOOPBACK[0]
    for host in (own, *(home_addresses() if lan or settings.server.lan else ())):
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

"""The two ways LocalRLM is open: to this computer only, or to the home network behind a log-in."""

from __future__ import annotations

import io
import ipaddress
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope

from rlm_core.security.accounts import OWNER_NAME, OWNER_SCOPE, Accounts
from rlm_core.security.hosts import host_name
from rlm_core.security.network import home_addresses, host_names, is_loopback
from rlm_core.security.passwords import made_up_password

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
_OF_A_PROXY = (
    *("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-server"),
    *("x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip"),
)
_LOOK_AGAIN_SECONDS = 5.0


def open_accounts(data_dir: Path) -> Accounts:
    """The accounts of the installation whose data lies there."""
    return Accounts(data_dir / "access.sqlite3")


@dataclass
class Access:
    """Who may come in, and under which names this server answers.

    ``accounts`` is None while only this computer may come in. ``password_here`` says whether this computer, too, has to log
    in when there are accounts: with ``--lan`` it does; with the switch in Settings its own connections stay the owner's, as
    they were before. ``made_up_password`` is the owner's password from when it is made up until it has been shown.
    ``refused`` are the addresses of this computer at which the server could not listen.
    """

    host: str
    port: int
    accounts: Accounts | None = None
    password_here: bool = False
    certificate: tuple[Path, Path] | None = None
    made_up_password: str | None = None
    extra_hosts: Sequence[str] = ()
    refused: Collection[str] = ()
    _own_certificate: Path | None = None
    _made: int = 0
    _kept: Accounts | None = None
    _home_hosts: frozenset[str] = frozenset()
    _looked_at: float = field(default=0.0, repr=False)

    @classmethod
    def loopback(
        cls, *, host: str = "127.0.0.1", port: int = 8000, extra_hosts: Sequence[str] = ()
    ) -> Access:
        """This computer only; everybody on it is the user ``local``."""
        return cls(host=host, port=port, extra_hosts=extra_hosts)

    @classmethod
    def home_network(
        cls,
        data_dir: str | Path,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        password: str | None = None,
        https: bool = False,
        certificate: tuple[Path, Path] | None = None,
        extra_hosts: Sequence[str] = (),
    ) -> Access:
        """Everybody on the home network who can log in; on this computer, too, one has to.

        ``password``, ``https`` and ``certificate`` are those of :meth:`open_home` and :meth:`encrypt`. Raises AccountsError
        when ``password`` is too short.
        """
        access = cls(host=host, port=port, password_here=True, extra_hosts=extra_hosts)
        access.open_home(data_dir, password=password)
        if https or certificate:
            access.encrypt(data_dir, certificate)
        return access

    def open_home(self, data_dir: str | Path, *, password: str | None = None) -> None:
        """Let the home network in from now on.

        The owner's password is the kept one, or ``password`` if given (it replaces the kept one and ends its sessions),
        or one that is made up the first time. Raises AccountsError when ``password`` is too short.
        """
        accounts = self._kept = self._kept or open_accounts(Path(data_dir))
        if accounts.account(OWNER_NAME) is None:
            made_up = None if password else made_up_password()
            accounts.add(OWNER_NAME, password or made_up or "", owner=True)
            self.made_up_password = made_up
        elif password and accounts.check(OWNER_NAME, password) is None:
            accounts.set_password(OWNER_NAME, password)
        self.accounts = accounts

    def close_home(self) -> None:
        """Only this computer from now on. Accounts, sessions and keys are kept for the next time."""
        self.accounts = None

    def encrypt(self, data_dir: str | Path, certificate: tuple[Path, Path] | None = None) -> None:
        """Speak HTTPS with this certificate and its key, or with a self-made one."""
        self.certificate = certificate
        if certificate is None:
            self._own_certificate = Path(data_dir) / "https"
            self.renew_certificate()

    def renew_certificate(self) -> bool:
        """Make the self-made certificate anew if this computer has got another address; True if there is a new one."""
        if self._own_certificate is None:
            return False
        from rlm_core.security.certificate import own_certificate

        hosts = [*LOOPBACK_HOSTS, *home_addresses(), *host_names()]
        self.certificate = own_certificate(self._own_certificate, hosts)
        before, self._made = self._made, self.certificate[0].stat().st_mtime_ns
        return before != self._made

    def lets_in_without_log_in(self, scope: Scope) -> bool:
        """Whether whoever sent this request is the owner without saying so: a connection from this computer to itself,
        under its own name, and not passed on by a proxy for somebody else."""
        client, server = scope.get("client"), scope.get("server")
        if not server or not _is_here(server[0]):
            return False
        if not _is_here(client[0]) if client else _is_address(server[0]):
            return False  # a Unix socket has no client; on a network it is one that has hung up already
        if self.accounts is None:
            return True
        headers = Headers(scope=scope)
        if self.password_here or any(name in headers for name in _OF_A_PROXY):
            return False
        name = host_name(headers.get("host", ""))
        return name in LOOPBACK_HOSTS or name in self.extra_hosts

    def is_owner(self, user: str) -> bool:
        """Whether this is the person the installation belongs to."""
        return user == OWNER_SCOPE

    def knows_host(self, name: str) -> bool:
        """Whether a request may name this host. On the home network the addresses are looked up again when one is
        unknown, because a router may hand out a new one while the app runs."""
        if name in LOOPBACK_HOSTS or name in self.extra_hosts:
            return True
        if self.accounts is None:
            return False
        if name not in self._home_hosts and time.monotonic() - self._looked_at > _LOOK_AGAIN_SECONDS:
            self._home_hosts = frozenset([*home_addresses(), *host_names()])
            self._looked_at = time.monotonic()
        return name in self._home_hosts

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    @property
    def urls(self) -> list[str]:
        """The addresses at which others on the home network reach this server, the best first."""
        listening = (address for address in home_addresses() if address not in self.refused)
        return [f"{self.scheme}://{address}:{self.port}" for address in listening]

    @property
    def own_url(self) -> str:
        """The address on this computer itself."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address to tell others, without any secret."""
        return (self.urls or [self.own_url])[0] if self.accounts else self.own_url

    @property
    def first_url(self) -> str:
        """What to open in the owner's own browser."""
        if self.accounts is None or not self.password_here:
            return self.own_url + "/"
        return f"{self.own_url}/login#token={self.accounts.invite(OWNER_NAME)}"

    def invitation_url(self, name: str = OWNER_NAME) -> str:
        """An address that logs ``name`` in, once, within 15 minutes. The token stands behind ``#``: it reaches no log.

        Raises AccountsError for an unknown name, and ValueError when nobody has to log in.
        """
        if self.accounts is None:
            raise ValueError("Nobody has to log in: there is nothing to invite to.")
        return f"{self.url}/login#token={self.accounts.invite(name)}"

    def qr_svg(self, url: str | None = None) -> str:
        """``url`` (default: a fresh invitation of the owner) as an inline SVG."""
        import segno

        out = io.BytesIO()
        segno.make(url or self.invitation_url(), error="m").save(
            out, kind="svg", scale=5, border=4, light="#ffffff", xmldecl=False, svgns=True
        )
        return out.getvalue().decode()

    def announcement(self) -> str:
        """What the terminal shows at the start: address, QR code, and the password if it was just made up."""
        if self.accounts is None:
            return f"LocalRLM is at {self.own_url} (this computer only)."
        import segno

        out = io.StringIO()
        invitation = self.invitation_url()
        segno.make(invitation, error="l").terminal(out, compact=True, border=2)
        lines = [
            f"LocalRLM is open to your home network at {self.url}",
            f"Log in as '{OWNER_NAME}'"
            + (
                f" with the password  {self.made_up_password}  (it is shown this once)."
                if self.made_up_password
                else " with your password."
            ),
            "Or scan this code with a phone: it logs in once, within 15 minutes.",
            out.getvalue(),
        ]
        if self.certificate is None:
            lines.append("The connection is not encrypted: use it only on a network that you trust.")
        return "\n".join(lines)


def _is_here(end: str) -> bool:
    """Whether this end of a connection is on this computer: on its loopback interface, or on no network at all (a test's
    client, a Unix socket)."""
    return is_loopback(end) or not _is_address(end)


def _is_address(end: str) -> bool:
    try:
        ipaddress.ip_address(end)
    except ValueError:
        return False
    return True

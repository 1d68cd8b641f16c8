"""The two ways LocalRLM is open: to this computer only, or to the home network behind a log-in."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rlm_core.security.accounts import OWNER_NAME, OWNER_SCOPE, Accounts
from rlm_core.security.network import home_addresses, host_names
from rlm_core.security.passwords import made_up_password

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
_LOOK_AGAIN_SECONDS = 5.0


def open_accounts(data_dir: Path) -> Accounts:
    """The accounts of the installation whose data lies there."""
    return Accounts(data_dir / "access.sqlite3")


@dataclass
class Access:
    """Who may come in, and under which names this server answers.

    ``accounts`` is None when only this computer may come in and nobody has to log in. ``made_up_password`` is there once:
    in the run in which the owner's password was made up.
    """

    host: str
    port: int
    accounts: Accounts | None = None
    certificate: tuple[Path, Path] | None = None
    made_up_password: str | None = None
    extra_hosts: Sequence[str] = ()
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
        port: int = 8000,
        password: str | None = None,
        https: bool = False,
        certificate: tuple[Path, Path] | None = None,
        extra_hosts: Sequence[str] = (),
    ) -> Access:
        """Everybody on the home network who can log in.

        The owner's password is the kept one, or ``password`` if given (it replaces the kept one and ends its sessions),
        or one that is made up the first time. ``https`` makes a certificate unless ``certificate`` names one.

        Raises AccountsError when ``password`` is too short.
        """
        accounts = open_accounts(Path(data_dir))
        made_up = None
        if accounts.account(OWNER_NAME) is None:
            made_up = None if password else made_up_password()
            accounts.add(OWNER_NAME, password or made_up or "", owner=True)
        elif password and accounts.check(OWNER_NAME, password) is None:
            accounts.set_password(OWNER_NAME, password)
        access = cls(
            host="0.0.0.0",
            port=port,
            accounts=accounts,
            certificate=certificate,
            made_up_password=made_up,
            extra_hosts=extra_hosts,
        )
        if https and certificate is None:
            from rlm_core.security.certificate import own_certificate

            access.certificate = own_certificate(
                Path(data_dir) / "https", [*LOOPBACK_HOSTS, *home_addresses(), *host_names()]
            )
        return access

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
    def url(self) -> str:
        """The address to tell others, without any secret."""
        host = (home_addresses() or ["127.0.0.1"])[0] if self.accounts else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def first_url(self) -> str:
        """What to open in the owner's own browser."""
        base = f"{self.scheme}://127.0.0.1:{self.port}/"
        return base if self.accounts is None else base + "login#token=" + self.accounts.invite(OWNER_NAME)

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
            return f"LocalRLM is at {self.url} (this computer only)."
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

"""The home network: opened and closed while the app runs, followed when this computer's addresses change, remembered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.requests import HTTPConnection

from rlm_core.engine import RLMEngine
from rlm_core.errors import LocalRLMError
from rlm_core.security import Access, current_user
from rlm_core.security.accounts import OWNER_NAME, Accounts, Key, Session
from rlm_core.security.network import home_addresses
from rlm_core.security.passwords import made_up_password
from rlm_core.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0


class NotAllowed(LocalRLMError):
    """Only the owner may do this, or only at this computer."""


@dataclass(frozen=True)
class Person:
    name: str
    owner: bool
    sessions: tuple[Session, ...]
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class State:
    """The home network as one person may see it. ``fixed`` is why they cannot turn the switch, ``trouble`` says at which
    addresses nothing can be listened on, ``people`` is empty for everybody but the owner."""

    is_open: bool
    encrypted: bool
    addresses: tuple[str, ...]
    people: tuple[Person, ...]
    fixed: str
    trouble: str = ""


@dataclass(frozen=True)
class News:
    """What is shown this once: a password or a key that was just made up, a code to scan."""

    password_of: str = ""
    password: str = ""
    key: str = ""
    code_for: str = ""
    code: str = ""


NOTHING_NEW = News()


class HomeNetwork:
    """The switch of one running app. ``visitor`` is the connection of whoever looks or acts; ``listen`` is told on which
    addresses to listen, ``renew`` that the self-made certificate is a new one."""

    def __init__(self, engine: RLMEngine, access: Access, config: Path) -> None:
        self.engine = engine
        self.access = access
        self.config = config
        self.listen: Callable[[Collection[str]], Awaitable[Mapping[str, OSError]]] = _nowhere
        self.renew: Callable[[Path, Path], None] = lambda certificate, key: None
        self._turning = asyncio.Lock()
        self._complained: set[str] = set()

    @property
    def is_open(self) -> bool:
        return self.access.accounts is not None

    def state(self, visitor: HTTPConnection) -> State:
        accounts, owner = self.access.accounts, self.access.is_owner(current_user(visitor))
        names = accounts.names() if accounts is not None and owner else []
        return State(
            is_open=self.is_open,
            encrypted=self.access.certificate is not None,
            addresses=tuple(self.access.urls),
            people=tuple(_person(accounts, name) for name in names) if accounts is not None else (),
            fixed=self._why_fixed(visitor),
            trouble=self._trouble() if self.is_open else "",
        )

    async def turn(self, visitor: HTTPConnection, on: bool) -> News:
        """Open or close the home network now and at each later start. It is opened only if that can be remembered, and if
        it can be reached. Raises :class:`NotAllowed`, LocalRLMError."""
        if reason := self._why_fixed(visitor):
            raise NotAllowed(reason)
        async with self._turning:
            if on == self.is_open:
                return NOTHING_NEW
            if not on:
                await self._close()
                await self._remember(
                    False, "The home network is closed now, but open again at the next start."
                )
                return NOTHING_NEW
            await asyncio.to_thread(self.access.open_home, self.engine.data_dir)
            try:
                if not await self._follow_addresses() and self.access.refused:
                    raise LocalRLMError(self._trouble())
                await self._remember(
                    True, "The home network stays closed, because the choice cannot be kept."
                )
            except BaseException:
                await self._close()
                raise
        news, password = self._code(OWNER_NAME), self.access.made_up_password
        self.access.made_up_password = None
        return replace(news, password_of=OWNER_NAME, password=password) if password else news

    async def act(self, visitor: HTTPConnection, message: Mapping[str, Any]) -> News:
        """What a button says: end a session, revoke a key, show a code, remove somebody, make up a new password.

        Raises :class:`NotAllowed`, AccountsError.
        """
        accounts = self._owners(visitor)
        action, item = str(message.get("action", "")), str(message.get("id", ""))
        match action:
            case "code":
                return self._code(item)
            case "end":
                for name in accounts.names():
                    accounts.end_session_by_id(name, item)
            case "revoke":
                for name in accounts.names():
                    accounts.remove_key(name, item)
            case "remove":
                accounts.remove(item)
            case "password":
                password = made_up_password()
                await asyncio.to_thread(accounts.set_password, item, password)
                return News(password_of=item, password=password)
        return NOTHING_NEW

    async def add(self, visitor: HTTPConnection, name: str) -> News:
        """A new person with a made-up password. Raises :class:`NotAllowed`, AccountsError."""
        accounts, password = self._owners(visitor), made_up_password()
        account = await asyncio.to_thread(accounts.add, name.strip(), password)
        return replace(self._code(account.name), password_of=account.name, password=password)

    async def make_key(self, visitor: HTTPConnection, label: str) -> News:
        """A key with which a program may do what the owner may. Raises :class:`NotAllowed`."""
        return News(key=self._owners(visitor).add_key(OWNER_NAME, label.strip())[1])

    async def follow(self) -> None:
        """Listen where this computer can be reached, for as long as the app runs: a router hands out new addresses."""
        while True:
            async with self._turning:
                try:
                    if self.is_open:
                        await self._follow_addresses()
                except Exception as error:  # whatever it was, the next look may go well
                    self._complain("The addresses of this computer cannot be followed", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _follow_addresses(self) -> list[str]:
        """Returns the addresses of the home network at which LocalRLM can be reached."""
        if await asyncio.to_thread(self.access.renew_certificate) and self.access.certificate:
            self.renew(*self.access.certificate)
        addresses = await asyncio.to_thread(home_addresses)
        refused = await self.listen(addresses)
        self.access.refused = frozenset(refused)
        for address, error in refused.items():
            self._complain(f"The home network cannot come in at {address}", error)
        return [address for address in addresses if address not in refused]

    async def _close(self) -> None:
        self.access.close_home()
        await self.listen(())
        self.access.refused = ()

    def _trouble(self) -> str:
        if not self.access.refused:
            return ""
        port, addresses = self.access.port, ", ".join(sorted(self.access.refused))
        return (
            f"LocalRLM cannot listen at {addresses}. Another program may have port {port} there: start LocalRLM with"
            f" another one, such as --port {port + 1}."
        )

    def _complain(self, what: str, error: Exception) -> None:
        """Once for each reason: it is looked again every few seconds."""
        if str(error) not in self._complained:
            self._complained.add(str(error))
            log.warning("%s: %s", what, error, exc_info=None if isinstance(error, OSError) else error)

    async def _remember(self, on: bool, otherwise: str) -> None:
        """At each later start. ``otherwise`` says what holds if that fails."""
        try:
            stored = Settings.load(self.config, environment={}).changed({"server": {"lan": on}})
            await asyncio.to_thread(stored.save, self.config)
        except (LocalRLMError, OSError) as error:
            raise LocalRLMError(f"{otherwise} {error}") from error
        await self.engine.apply(self.engine.settings.changed({"server": {"lan": on}}))

    def _why_fixed(self, visitor: HTTPConnection) -> str:
        if not self.access.is_owner(current_user(visitor)):
            return "Only the owner of this LocalRLM may change that."
        if self.access.password_here:
            return "It was started with --lan, so it stays open until it ends."
        if not self.access.lets_in_without_log_in(visitor.scope):
            return "This can be changed on the computer that runs LocalRLM only."
        return ""

    def _code(self, name: str) -> News:
        return News(code_for=name, code=self.access.qr_svg(self.access.invitation_url(name)))

    def _owners(self, visitor: HTTPConnection) -> Accounts:
        if not self.access.is_owner(current_user(visitor)):
            raise NotAllowed("Only the owner of this LocalRLM may change that.")
        if self.access.accounts is None:
            raise NotAllowed("Open LocalRLM to the home network first.")
        return self.access.accounts


def _person(accounts: Accounts, name: str) -> Person:
    account = accounts.account(name)
    return Person(
        name,
        account is not None and account.is_owner,
        tuple(accounts.sessions(name)),
        tuple(accounts.keys(name)),
    )


async def _nowhere(addresses: Collection[str]) -> Mapping[str, OSError]:
    """Where nothing listens yet, nothing has to change."""
    return {}

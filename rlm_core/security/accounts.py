"""Named users, their sessions and API keys, in one small SQLite file that only its owner can read.

A *name* is what somebody types at the log-in; a *scope* is the ``user`` under which the store keeps their conversations,
memories, documents and traces. The owner's scope is ``local``: the same data as without ``--lan``.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from rlm_core.errors import LocalRLMError
from rlm_core.security.passwords import check_password, hash_password, hash_token, new_token, nobody

OWNER_SCOPE = "local"
OWNER_NAME = "owner"
SHORTEST_PASSWORD = 8
SESSION_SECONDS = 30 * 86_400.0
INVITATION_SECONDS = 15 * 60.0
KEY_PREFIX = "rlm-"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY, scope TEXT NOT NULL UNIQUE, password TEXT NOT NULL, created_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, name TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at REAL NOT NULL, seen_at REAL NOT NULL, agent TEXT NOT NULL, address TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, name TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE,
    label TEXT NOT NULL, created_at REAL NOT NULL, used_at REAL);
"""


class AccountsError(LocalRLMError):
    """A name or password that cannot be used, or an account that is not there."""


@dataclass(frozen=True)
class Account:
    name: str
    scope: str
    created_at: float

    @property
    def is_owner(self) -> bool:
        return self.scope == OWNER_SCOPE


@dataclass(frozen=True)
class Session:
    """One browser that is logged in. Times in seconds since the epoch."""

    id: str
    name: str
    created_at: float
    seen_at: float
    agent: str
    address: str


@dataclass(frozen=True)
class Key:
    """An API key of a program; the key itself is shown once, when it is made."""

    id: str
    name: str
    label: str
    created_at: float
    used_at: float | None


@dataclass(frozen=True)
class _Invitation:
    """``password`` is the hash that the account had then."""

    name: str
    password: str | None
    expires: float


class Accounts:
    """The accounts in ``file``. Thread-safe; several processes may have it open (the command line beside the app)."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        self._lock = threading.Lock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA foreign_keys = ON")
        self._database.executescript(_SCHEMA)
        self._invitations: dict[str, _Invitation] = {}

    def close(self) -> None:
        self._database.close()

    # accounts

    def names(self) -> list[str]:
        rows = self._rows("SELECT name FROM accounts ORDER BY created_at")
        return [row["name"] for row in rows]

    def account(self, name: str) -> Account | None:
        rows = self._rows("SELECT name, scope, created_at FROM accounts WHERE name = ?", name.casefold())
        return next((Account(**dict(row)) for row in rows), None)

    def add(self, name: str, password: str, *, owner: bool = False) -> Account:
        """Raises :class:`AccountsError` when the name is taken or cannot be used, or the password is too short."""
        name = name.casefold()
        if not _NAME.fullmatch(name) or (name == OWNER_SCOPE and not owner):
            raise AccountsError(
                f"'{name}' cannot be a name. Use 1 to 32 small letters, digits, dots, hyphens or underscores."
            )
        account = Account(name=name, scope=OWNER_SCOPE if owner else name, created_at=time.time())
        try:
            self._write(
                "INSERT INTO accounts VALUES (?, ?, ?, ?)",
                account.name,
                account.scope,
                _hashed(password),
                account.created_at,
            )
        except sqlite3.IntegrityError:
            raise AccountsError(f"There is already an account '{name}'.") from None
        return account

    def set_password(self, name: str, password: str) -> None:
        """Also ends all sessions of this account and its invitations. Raises :class:`AccountsError`."""
        if not self._write(
            "UPDATE accounts SET password = ? WHERE name = ?", _hashed(password), name.casefold()
        ):
            raise AccountsError(f"There is no account '{name}'.")
        self._write("DELETE FROM sessions WHERE name = ?", name.casefold())

    def remove(self, name: str) -> None:
        """Ends sessions and keys; the data of the account stays. Raises :class:`AccountsError`."""
        account = self.account(name)
        if account is None:
            raise AccountsError(f"There is no account '{name}'.")
        if account.is_owner:
            raise AccountsError("The owner's account cannot be removed.")
        self._write("DELETE FROM accounts WHERE name = ?", account.name)

    def check(self, name: str, password: str) -> Account | None:
        """The account if the password is right. Slow on purpose: call it in a thread."""
        stored = self._password(name)
        right = check_password(password, stored or nobody())
        return self.account(name) if right and stored else None

    # sessions of browsers

    def begin_session(self, name: str, *, agent: str = "", address: str = "") -> str:
        """A new session's token, for the cookie."""
        token, now = new_token(), time.time()
        self._write(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)",
            uuid.uuid4().hex,
            hash_token(token),
            name.casefold(),
            now,
            now,
            agent[:200],
            address[:64],
        )
        return token

    def by_session(self, token: str) -> Account | None:
        """Whose session this is; None when there is none or it lay unused for 30 days."""
        now = time.time()
        rows = self._rows(
            "SELECT a.name, a.scope, a.created_at, s.seen_at FROM sessions s JOIN accounts a USING (name) "
            "WHERE s.token = ? AND s.seen_at > ?",
            hash_token(token),
            now - SESSION_SECONDS,
        )
        row = next(iter(rows), None)
        if row is None:
            return None
        if now - row["seen_at"] > 60:
            self._write("UPDATE sessions SET seen_at = ? WHERE token = ?", now, hash_token(token))
        return Account(row["name"], row["scope"], row["created_at"])

    def sessions(self, name: str) -> list[Session]:
        rows = self._rows(
            "SELECT id, name, created_at, seen_at, agent, address FROM sessions WHERE name = ? AND seen_at > ? "
            "ORDER BY seen_at DESC",
            name,
            time.time() - SESSION_SECONDS,
        )
        return [Session(**dict(row)) for row in rows]

    def end_session(self, token: str) -> None:
        self._write("DELETE FROM sessions WHERE token = ?", hash_token(token))

    def end_session_by_id(self, name: str, session_id: str) -> bool:
        """False when this account has no such session."""
        return bool(self._write("DELETE FROM sessions WHERE id = ? AND name = ?", session_id, name))

    # keys of programs

    def add_key(self, name: str, label: str) -> tuple[Key, str]:
        """A new key's record and the key itself. Raises :class:`AccountsError`."""
        if self.account(name) is None:
            raise AccountsError(f"There is no account '{name}'.")
        secret = KEY_PREFIX + new_token()
        key = Key(uuid.uuid4().hex, name.casefold(), label[:100], time.time(), None)
        self._write(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?, NULL)",
            key.id,
            hash_token(secret),
            key.name,
            key.label,
            key.created_at,
        )
        return key, secret

    def by_key(self, secret: str) -> Account | None:
        rows = self._rows(
            "SELECT a.name, a.scope, a.created_at, k.id, k.used_at FROM keys k JOIN accounts a USING (name) "
            "WHERE k.token = ?",
            hash_token(secret),
        )
        row = next(iter(rows), None)
        if row is None:
            return None
        now = time.time()
        if now - (row["used_at"] or 0) > 60:
            self._write("UPDATE keys SET used_at = ? WHERE id = ?", now, row["id"])
        return Account(row["name"], row["scope"], row["created_at"])

    def keys(self, name: str) -> list[Key]:
        rows = self._rows(
            "SELECT id, name, label, created_at, used_at FROM keys WHERE name = ? ORDER BY created_at", name
        )
        return [Key(**dict(row)) for row in rows]

    def remove_key(self, name: str, key_id: str) -> bool:
        """False when this account has no such key."""
        return bool(self._write("DELETE FROM keys WHERE id = ? AND name = ?", key_id, name))

    # invitations: a log-in that works once, for a QR code

    def invite(self, name: str) -> str:
        """A token that logs ``name`` in once within 15 minutes, unless the password changes first, here or on the command
        line. Lost when the app ends. Raises :class:`AccountsError`."""
        account = self.account(name)
        if account is None:
            raise AccountsError(f"There is no account '{name}'.")
        now = time.time()
        token = new_token()
        invitation = _Invitation(account.name, self._password(account.name), now + INVITATION_SECONDS)
        with self._lock:
            kept = {key: value for key, value in self._invitations.items() if value.expires > now}
            self._invitations = {**kept, hash_token(token): invitation}
        return token

    def accept(self, token: str) -> Account | None:
        """The invited account; the token is spent."""
        with self._lock:
            found = self._invitations.pop(hash_token(token), None)
        if found is None or found.expires <= time.time() or self._password(found.name) != found.password:
            return None
        return self.account(found.name)

    def _password(self, name: str) -> str | None:
        """The hash; it is another one after each change, and for somebody else of the same name."""
        rows = self._rows("SELECT password FROM accounts WHERE name = ?", name.casefold())
        return next((row["password"] for row in rows), None)

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def _write(self, statement: str, *values: object) -> int:
        with self._lock:
            return self._database.execute(statement, values).rowcount


def _hashed(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise AccountsError(f"The password is too short: use at least {SHORTEST_PASSWORD} characters.")
    if len(password) > 1000:
        raise AccountsError("The password is too long: use at most 1,000 characters.")
    return hash_password(password)

"""Passwords and tokens: made up here, kept only as hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import cache

_COST, _BLOCK, _LANES = 2**15, 8, 1  # scrypt, RFC 7914: about 0.1 s and 32 MiB a try
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"  # without what is easily misread


def made_up_password() -> str:
    """Three groups of five readable characters, about 74 bits."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(3))


def new_token() -> str:
    """256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Tokens are random, so one round of SHA-256 is enough to make a stolen table useless."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """``scrypt$cost$block$lanes$salt$hash``, salt and hash in hexadecimal."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_COST}${_BLOCK}${_LANES}${salt.hex()}${_scrypt(password, salt, _COST, _BLOCK, _LANES).hex()}"


def check_password(password: str, stored: str) -> bool:
    """Whether ``stored`` was made from ``password``; takes as long for a wrong one as for the right one."""
    _, cost, block, lanes, salt, expected = stored.split("$")
    found = _scrypt(password, bytes.fromhex(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(found, bytes.fromhex(expected))


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    memory = 128 * cost * block * lanes + 2**20
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=memory, dklen=32)


@cache
def nobody() -> str:
    """Compared with when the name is unknown, so that the time of an answer does not tell which names exist."""
    return hash_password(new_token())

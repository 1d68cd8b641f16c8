"""Who may come in: hosts, origins, accounts, sessions, keys and limits.

Everything here is plain ASGI and SQLite; it knows nothing about models, messages or pages. SECURITY.md says what is
promised.
"""

from __future__ import annotations

from rlm_core.security.access import Access
from rlm_core.security.accounts import OWNER_SCOPE, Account, Accounts, AccountsError
from rlm_core.security.gate import current_user

__all__ = ["OWNER_SCOPE", "Access", "Account", "Accounts", "AccountsError", "current_user"]

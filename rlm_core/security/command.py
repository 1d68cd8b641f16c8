"""`python -m rlm_core users`: accounts from the command line, also while the app runs."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from rlm_core.security.access import open_accounts
from rlm_core.security.accounts import AccountsError
from rlm_core.security.passwords import made_up_password


def users(action: str, name: str | None, data_dir: Path) -> int:
    """Do one of list, add, remove, password and key; returns the exit code."""
    accounts = open_accounts(data_dir)
    try:
        if action == "list":
            for known in accounts.names():
                account = accounts.account(known)
                print(f"{known} (the owner)" if account and account.is_owner else known)
            return 0
        if not name:
            raise AccountsError(f"Say whose: python -m rlm_core users {action} NAME")
        if action == "add":
            password = _new_password()
            accounts.add(name, password)
        elif action == "password":
            password = _new_password()
            accounts.set_password(name, password)
        elif action == "key":
            print(accounts.add_key(name, "made on the command line")[1])
        else:
            accounts.remove(name)
    except AccountsError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        accounts.close()
    return 0


def _new_password() -> str:
    """Typed on the terminal or piped in; an empty one is made up and shown."""
    given = (
        getpass.getpass("Password (empty: one is made up): ") if sys.stdin.isatty() else sys.stdin.readline()
    )
    password = given.rstrip("\r\n")
    if not password:
        password = made_up_password()
        print(f"The password is  {password}  (it is shown this once).")
    return password

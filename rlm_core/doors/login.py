"""`/login`, `/logout` and `/account`: who is coming in, with what, and who may."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from rlm_core.doors.house import House, NotHere, Refused, TheHouse
from rlm_core.doors.schemas import Deleted, Id, Problem, Wish
from rlm_core.security.accounts import SESSION_SECONDS, Account, Accounts
from rlm_core.security.gate import COOKIE, current_account
from rlm_core.security.limits import LoginAttempts, client_address

router = APIRouter(tags=["account"])

PAGES = Path(__file__).with_name("pages")
_SCRYPT_AT_ONCE = 2


class SessionOut(BaseModel):
    id: str
    created_at: float
    seen_at: float
    agent: str
    address: str


class KeyOut(BaseModel):
    id: str
    label: str
    created_at: float
    used_at: float | None


class AccountOut(BaseModel):
    name: str
    owner: bool
    sessions: list[SessionOut]
    keys: list[KeyOut]
    users: list[str]


class NewKey(Wish):
    label: str = Field(default="", max_length=100)


class KeyMade(BaseModel):
    """``key`` is shown this once."""

    id: str
    label: str
    key: str


class NewUser(Wish):
    name: str = Field(min_length=1, max_length=32)
    password: str = Field(min_length=8, max_length=1000)


class NewPassword(Wish):
    current: str = Field(max_length=1000)
    new: str = Field(min_length=8, max_length=1000)


class WhoToInvite(Wish):
    name: str = Field(min_length=1, max_length=32)


class Invitation(BaseModel):
    """``url`` logs ``name`` in once within 15 minutes; ``qr`` is the same as an SVG."""

    name: str
    url: str
    qr: str


class LoginDesk:
    """Checks passwords: few at a time, because each costs 32 MiB on purpose, and slower for those who guess."""

    def __init__(self) -> None:
        self.attempts = LoginAttempts()
        self._places = asyncio.Semaphore(_SCRYPT_AT_ONCE)

    async def check(
        self, accounts: Accounts, name: str, password: str, address: str
    ) -> Account | float | None:
        """The account; None when name or password are wrong; seconds to wait after too many tries."""
        async with self._places:
            wait = self.attempts.wait(address)
            if wait > 0:
                return wait
            account = await asyncio.to_thread(accounts.check, name, password)
            if account is None:
                self.attempts.failed(address)
            else:
                self.attempts.succeeded(address)
            return account


@router.get("/login", response_class=HTMLResponse)
async def login_page(house: TheHouse) -> Response:
    """The page to log in at."""
    if house.access.accounts is None:
        return RedirectResponse("/", 303)
    return HTMLResponse(page("login"))


@router.post("/login", responses={401: {"model": Problem}, 429: {"model": Problem}})
async def login(
    request: Request,
    house: TheHouse,
    name: Annotated[str, Form(max_length=64)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    token: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Log in with name and password, or with the one-time ``token`` of an invitation. Sets the session's cookie."""
    accounts = house.access.accounts
    if accounts is None:
        return RedirectResponse("/", 303)
    desk: LoginDesk = request.app.state.login_desk
    address = client_address(request.scope)
    if token:
        wait = desk.attempts.wait(address)
        outcome = wait if wait > 0 else accounts.accept(token)
        if outcome is None:
            desk.attempts.failed(address)
        sentence = "This invitation has been used or is too old. Ask for a new one, or use your password."
    else:
        outcome = await desk.check(accounts, name, password, address)
        sentence = "The name or the password is wrong."
    if isinstance(outcome, float):
        problem = Problem(detail=f"Too many wrong tries. Wait {outcome:.0f} seconds.")
        return JSONResponse(problem.model_dump(), 429, {"Retry-After": f"{outcome:.0f}"})
    if outcome is None:
        return JSONResponse(Problem(detail=sentence, field="password").model_dump(), 401)
    session = accounts.begin_session(
        outcome.name, agent=request.headers.get("user-agent", ""), address=address
    )
    response = JSONResponse({"name": outcome.name, "next": local_path(next)})
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(SESSION_SECONDS),
        httponly=True,
        samesite="lax",
        secure=house.access.certificate is not None,
    )
    return response


@router.post("/logout", responses={303: {}})
async def logout(request: Request, house: TheHouse) -> Response:
    """End this browser's session."""
    token = request.cookies.get(COOKIE)
    if house.access.accounts is not None and token:
        house.access.accounts.end_session(token)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/account", response_class=HTMLResponse)
async def account_page(house: TheHouse) -> Response:
    """The page about this account: sessions, keys, password and, for the owner, the other users."""
    return HTMLResponse(page("account"))


@router.get("/account/me", responses={404: {"model": Problem}})
def me(request: Request, house: TheHouse) -> AccountOut:
    """This account with its sessions and keys; the owner also sees all names."""
    account, accounts = _account(request, house)
    return AccountOut(
        name=account.name,
        owner=account.is_owner,
        sessions=[
            SessionOut(
                id=session.id,
                created_at=session.created_at,
                seen_at=session.seen_at,
                agent=session.agent,
                address=session.address,
            )
            for session in accounts.sessions(account.name)
        ],
        keys=[
            KeyOut(id=key.id, label=key.label, created_at=key.created_at, used_at=key.used_at)
            for key in accounts.keys(account.name)
        ],
        users=accounts.names() if account.is_owner else [],
    )


@router.post("/account/password", responses={403: {"model": Problem}, 404: {"model": Problem}})
async def change_password(wish: NewPassword, request: Request, house: TheHouse) -> Deleted:
    """A new password; it ends all sessions of this account, this one too."""
    account, accounts = _account(request, house)
    desk: LoginDesk = request.app.state.login_desk
    checked = await desk.check(accounts, account.name, wish.current, client_address(request.scope))
    if not isinstance(checked, Account):
        raise Refused("The current password is wrong.")
    await asyncio.to_thread(accounts.set_password, account.name, wish.new)
    return Deleted(deleted="sessions")


@router.delete("/account/sessions/{session_id}", responses={404: {"model": Problem}})
def end_session(session_id: Id, request: Request, house: TheHouse) -> Deleted:
    """Log another browser out."""
    account, accounts = _account(request, house)
    if not accounts.end_session_by_id(account.name, session_id):
        raise NotHere("There is no such session.")
    return Deleted(deleted=session_id)


@router.post("/account/keys", status_code=201, responses={404: {"model": Problem}})
def make_key(wish: NewKey, request: Request, house: TheHouse) -> KeyMade:
    """An API key for a program; it may do what this account may."""
    account, accounts = _account(request, house)
    key, secret = accounts.add_key(account.name, wish.label)
    return KeyMade(id=key.id, label=key.label, key=secret)


@router.delete("/account/keys/{key_id}", responses={404: {"model": Problem}})
def remove_key(key_id: Id, request: Request, house: TheHouse) -> Deleted:
    """Take a program's key away."""
    account, accounts = _account(request, house)
    if not accounts.remove_key(account.name, key_id):
        raise NotHere("There is no such key.")
    return Deleted(deleted=key_id)


@router.post("/account/users", status_code=201, responses={403: {"model": Problem}, 404: {"model": Problem}})
def add_user(wish: NewUser, request: Request, house: TheHouse) -> AccountOut:
    """Another user with conversations, memories, documents and traces of their own. For the owner."""
    accounts = _owner(request, house)
    added = accounts.add(wish.name, wish.password)
    return AccountOut(name=added.name, owner=False, sessions=[], keys=[], users=[])


@router.delete("/account/users/{name}", responses={403: {"model": Problem}, 404: {"model": Problem}})
def remove_user(name: Id, request: Request, house: TheHouse) -> Deleted:
    """Shut a user out. What belongs to them stays on the disk. For the owner."""
    _owner(request, house).remove(name)
    return Deleted(deleted=name)


@router.post("/account/invitations", responses={403: {"model": Problem}, 404: {"model": Problem}})
def invite(wish: WhoToInvite, request: Request, house: TheHouse) -> Invitation:
    """A log-in for a phone that works once. For oneself, and for the owner also for others."""
    account, _ = _account(request, house)
    if wish.name.casefold() != account.name:
        _owner(request, house)
    url = house.access.invitation_url(wish.name)
    return Invitation(name=wish.name.casefold(), url=url, qr=house.access.qr_svg(url))


@cache
def page(name: str) -> str:
    """One of our own pages: plain HTML without anything from elsewhere, the common style written into it."""
    style = (PAGES / "pages.css").read_text(encoding="utf-8")
    return (PAGES / f"{name}.html").read_text(encoding="utf-8").replace("/* pages.css */", style)


def local_path(target: str) -> str:
    """``target`` if it stays on this server, else the start page."""
    parts = urlsplit(target)
    stays = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if stays and not parts.scheme and not parts.netloc else "/"


def _account(request: Request, house: House) -> tuple[Account, Accounts]:
    account = current_account(request)
    if account is None or house.access.accounts is None:
        raise NotHere(
            "Nobody has to log in here: only this computer can reach LocalRLM. Open it to the home network on the Settings "
            "tab, or start it with --lan."
        )
    return account, house.access.accounts


def _owner(request: Request, house: House) -> Accounts:
    account, accounts = _account(request, house)
    if not account.is_owner:
        raise Refused("Only the owner of this LocalRLM may do that.")
    return accounts

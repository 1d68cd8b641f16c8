"""``server.log``: six days in the life of an invented library catalogue's servers (more than 50,000 tokens)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .questions import Question, all_of, names, number, words
from .text import Dice, Page, Span

NAME = "server.log"

WEB = ("web-1", "web-2", "web-3")
PATHS = (
    "/catalogue",
    "/catalogue/search",
    "/loans",
    "/loans/renew",
    "/reservations",
    "/account",
    "/opening-hours",
    "/covers/{id}.jpg",
    "/branches/{branch}",
    "/api/v2/items/{id}",
)
BRANCHES = ("north", "harbour", "castle", "riverside", "station")
USERS = tuple(f"u{number}" for number in range(1040, 1100))
ADDRESSES = ("10.4.0.17", "10.4.0.23", "10.4.1.8", "10.4.1.92", "10.4.2.41", "10.4.3.5")
WARNINGS = (
    "connection pool at {n} of 40", "slow query {n}00 ms on table loans", "disk /var at {n} percent", "clock differs by {n} ms from the time server",
    "cache miss rate {n} percent", "retrying delivery of reminder mail, attempt {n}",
)  # fmt: skip
ERRORS = (
    "payment gateway refused the request",
    "could not write cover image",
    "timeout while renewing a loan",
    "lost connection to the database",
    "bad answer from the branch printer",
)
PLANTED = (
    (0.13, "INFO", "db-1", "deploy version=5.12.0 by=tolliver"), (0.31, "INFO", "web-2", "certificate renewed serial=4F-A2-19 expires=2026-02-27"),
    (0.47, "INFO", "db-1", "deploy version=5.12.1 by=okonjo"), (0.55, "ERROR", "db-1", "index of table reservations is damaged, rebuilding"),
    (0.552, "INFO", "db-1", "index of table reservations rebuilt rows=418273 seconds=94"), (0.71, "WARN", "mail-1", "mailbox of the harbour branch is full, 317 reminders held back"),
    (0.83, "INFO", "db-1", "deploy version=5.13.0 by=tolliver"), (0.905, "INFO", "web-3", "feature flag new-search switched on by=desrosiers"),
)  # fmt: skip
COUNT = 2_900
START = datetime(2025, 3, 3, 0, 0, 4)


@dataclass(frozen=True)
class Line:
    """One line. ``milliseconds`` is the time of a request, else None."""

    time: datetime
    level: str
    host: str
    message: str
    milliseconds: int | None
    path: str | None
    user: str | None
    span: Span


def make() -> tuple[str, list[Question]]:
    """The log's text and its questions."""
    dice, page = Dice("server log"), Page()
    planted = {int(place * COUNT): (level, host, message) for place, level, host, message in PLANTED}
    lines: list[Line] = []
    time, slowest = START, int(0.62 * COUNT)
    next_backup = START.replace(hour=2, minute=15, second=0)
    for count in range(COUNT):
        time += timedelta(seconds=dice.between(20, 330))
        if time >= next_backup:
            size = dice.between(41_000, 47_000)
            lines.append(
                _line(
                    page,
                    next_backup,
                    "INFO",
                    "db-1",
                    f"backup finished size={size}MB target=vault-{dice.between(1, 2)}",
                )
            )
            next_backup += timedelta(days=1)
        if count in planted:
            level, host, message = planted[count]
            lines.append(_line(page, time, level, host, message))
        else:
            lines.append(_ordinary(dice, page, time, slow=count == slowest))
    return page.text, _questions(lines)


def _ordinary(dice: Dice, page: Page, time: datetime, *, slow: bool) -> Line:
    chance = dice.between(1, 1000)
    if slow or chance <= 900:
        path = (
            dice.pick(PATHS)
            .replace("{id}", str(dice.between(30_000, 99_999)))
            .replace("{branch}", dice.pick(BRANCHES))
        )
        status = dice.pick((200,) * 30 + (304, 304, 404, 503))
        milliseconds = 9_871 if slow else dice.between(3, 60) * dice.pick((1, 1, 2, 4, 12))
        user, host = dice.pick(USERS), dice.pick(WEB)
        message = f"GET {path} status={status} ms={milliseconds} user={user} from={dice.pick(ADDRESSES)}"
        return _line(page, time, "INFO", host, message, milliseconds, path, user)
    if chance <= 945:
        return _line(
            page,
            time,
            "WARN",
            dice.pick(("web-1", "web-2", "web-3", "db-1", "mail-1")),
            dice.pick(WARNINGS).replace("{n}", str(dice.between(2, 99))),
        )
    if chance <= 970:
        message = f"{dice.pick(ERRORS)} request={dice.between(100_000, 999_999)}"
        return _line(page, time, "ERROR", dice.pick(("web-1", "web-2", "web-3", "db-1")), message)
    if chance <= 992:
        return _line(
            page,
            time,
            "WARN",
            dice.pick(WEB),
            f"login failed user={dice.pick(USERS)} from={dice.pick(ADDRESSES)}",
        )
    return _line(page, time, "INFO", dice.pick(WEB), f"process restarted pid={dice.between(2_000, 30_000)}")


def _line(
    page: Page,
    time: datetime,
    level: str,
    host: str,
    message: str,
    ms: int | None = None,
    path: str | None = None,
    user: str | None = None,
) -> Line:
    span = page.add(f"{time:%Y-%m-%dT%H:%M:%SZ} {level:<5} {host:<6} {message}", "\n")
    return Line(time, level, host, message, ms, path, user, span)


def _questions(lines: Sequence[Line]) -> list[Question]:
    def ask(
        kind: str, question: str, answer: object, accept: tuple[str, ...], found: Sequence[Line]
    ) -> Question:
        return Question(NAME, kind, question, str(answer), accept, tuple(line.span for line in found))  # type: ignore[arg-type]

    def those(test: Callable[[Line], bool]) -> list[Line]:
        return [line for line in lines if test(line)]

    certificate = those(lambda line: "certificate renewed" in line.message)
    deploys = those(lambda line: line.message.startswith("deploy"))
    rebuilt = those(lambda line: "rebuilt rows" in line.message)
    damaged = those(lambda line: "is damaged" in line.message)[0]
    before = [line for line in deploys if line.time < damaged.time][-1]
    slowest = max(lines, key=lambda line: line.milliseconds or 0)
    same_user = those(lambda line: line.user == slowest.user)
    backups = those(lambda line: line.message.startswith("backup"))
    errors = those(lambda line: line.level == "ERROR" and line.host == "web-2")
    restarts = those(lambda line: line.message.startswith("process restarted") and line.host == "web-3")
    covers = Counter(line.host for line in lines if "could not write cover" in line.message)
    hosts = [host for host in WEB if covers[host]]
    failed = those(lambda line: line.message.startswith("login failed"))
    per_day = Counter(line.time.date() for line in failed)
    fourth, fifth = (datetime(2025, 3, day).date() for day in (4, 5))
    gap = abs(per_day[fourth] - per_day[fifth])
    assert gap, "the two days have as many failed logins"
    worse = max((fourth, fifth), key=lambda day: per_day[day])
    total = sum(int(line.message.split("size=")[1].split("MB")[0]) for line in backups)
    versions = [line.message.split("version=")[1].split()[0] for line in deploys]
    versions_text, versions_accept = names(versions)
    hosts_text, hosts_accept = names(hosts)
    version = before.message.split("version=")[1].split()[0]
    return [
        ask("find_one", "What is the serial of the certificate that was renewed?", "4F-A2-19", (words("4F-A2-19"),), certificate),
        ask("find_one", "How many rows had the index of the table reservations when it was rebuilt?", "418,273", (number(418_273),), rebuilt),
        ask("aggregate", "How many milliseconds did the slowest request take?", f"{slowest.milliseconds:,}", (number(slowest.milliseconds or 0),), [slowest]),
        ask("find_several", "Which versions were deployed?", versions_text, versions_accept, deploys),
        ask("find_several", "Which web servers logged the error that a cover image could not be written?", hosts_text, hosts_accept,
            those(lambda line: "could not write cover" in line.message and line.host in WEB)),
        ask("count", "How many ERROR lines did web-2 log?", len(errors), (number(len(errors)),), errors),
        ask("count", "How many times was a process restarted on web-3?", len(restarts), (number(len(restarts)),), restarts),
        ask("compare", "On which day did more logins fail, 2025-03-04 or 2025-03-05, and how many more?", f"{worse.isoformat()}, {gap} more",
            (all_of((rf"(?:{worse.isoformat()}|{worse.day}(?:th)?(?: of)? March|March {worse.day})", number(gap))),),
            [line for line in failed if line.time.date() in {fourth, fifth}]),
        ask("multi_hop", "Who deployed the last version before the index of the table reservations was found damaged?", before.message.split("by=")[1],
            (words(before.message.split("by=")[1]),), [before, damaged]),
        ask("multi_hop", "Which version was running when the index of the table reservations was found damaged?", version, (words(version),), [before, damaged]),
        ask("multi_hop", "How many requests in all did the user make whose request was the slowest?", f"{len(same_user)} ({slowest.user})", (number(len(same_user)),), same_user),
        ask("aggregate", "What is the total size of all backups, in MB?", f"{total:,} MB", (number(total),), backups),
    ]  # fmt: skip

"""The ideal reader of the tests, taught to read the sentences and questions of the haystacks."""

from __future__ import annotations

import re
from collections import defaultdict

from tests.scripted import facts, programmer
from tests.scripted.answers import asks, count, items
from tests.scripted.app_reader import app_reader
from tests.scripted.facts import Fact
from tests.scripted.ideal_reader import IdealReader

_NAME = r"[A-Z]\w+ [A-Z]\w+"
_SENTENCES = {
    "code": r"The access code of the (?P<item>[a-z ]+?) is (?P<n>\d+)\.",
    "spare key": rf"(?P<who>{_NAME}) keeps a spare key in the (?P<item>[a-z ]+?)\.",
    "toll": rf"(?P<who>{_NAME}) paid the ferry toll on day (?P<n>\d+)\.",
    "locker": rf"The locker of (?P<who>{_NAME}) has the number (?P<n>\d+)\.",
    "lives": rf"(?P<who>{_NAME}) lives in house number (?P<n>\d+)\.",
    "door": r"The door of house number (?P<n>\d+) is (?P<item>\w+)\.",
}


def ideal_reader_for_haystacks() -> IdealReader:
    """The reader with the kinds of facts and questions of :mod:`benchmarks.haystacks`."""
    if "code" not in facts._SENTENCE:
        facts._SENTENCE.update({kind: re.compile(pattern) for kind, pattern in _SENTENCES.items()})
        _learn_questions()
    return app_reader()


def _learn_questions() -> None:
    @asks(r"access code of the (?P<item>.+?)\?", "code", narrow=lambda m, f: f["item"] == m["item"])
    def code(match: re.Match[str], found: list[Fact]) -> str | None:
        return found[0]["n"] if found else None

    by_name = {"narrow": lambda m, f: f["who"] == m["who"]}
    asks(r"places where (?P<who>.+?) keeps a spare key", "spare key", **by_name)(items)
    asks(r"how many times did (?P<who>.+?) pay the ferry toll", "toll", **by_name)(count)

    @asks(r"two people have lockers with the same number", "locker")
    def pair(match: re.Match[str], found: list[Fact]) -> list[str]:
        owners: dict[str, list[str]] = defaultdict(list)
        for fact in found:
            owners[fact["n"]].append(fact["who"])
        return next((names for names in owners.values() if len(names) > 1), [])

    @asks(r"door of the house in which (?P<who>.+?) lives", "lives", "door")
    def colour(match: re.Match[str], found: list[Fact]) -> str | None:
        houses = {fact["n"] for fact in found if fact.kind == "lives" and fact["who"] == match["who"]}
        return next((fact["item"] for fact in found if fact.kind == "door" and fact["n"] in houses), None)

    programmer.program(
        r"access code of the (?P<place>.+?)\?",
        code='result = re.search(rf"access code of the {place} is (\\d+)", context)[1]',
    )
    programmer.program(
        r"places where (?P<who>.+?) keeps a spare key",
        code='result = ", ".join(re.findall(rf"{who} keeps a spare key in the (.+?)\\.", context))',
    )
    programmer.program(
        r"how many times did (?P<who>.+?) pay the ferry toll",
        code='result = context.count(f"{who} paid the ferry toll")',
    )
    programmer.program(
        r"two people have lockers with the same number",
        code="""owners = {}
for who, n in re.findall(r"The locker of (\\w+ \\w+) has the number (\\d+)", context): owners.setdefault(n, []).append(who)
result = next(who for who in owners.values() if len(who) > 1)""",
    )
    programmer.program(
        r"door of the house in which (?P<who>.+?) lives",
        code="""house = re.search(rf"{who} lives in house number (\\d+)", context)[1]
result = re.search(rf"The door of house number {house} is (\\w+)", context)[1]""",
    )

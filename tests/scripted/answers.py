"""From a question and facts to the answer: what a perfect reader concludes, and which facts it needs for that.

One entry of :data:`QUESTIONS` is a way of asking. Add to it with :func:`asks`; the first entry whose pattern is found in the
question takes it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.scripted.facts import Fact

Conclusion = Callable[[re.Match[str], list[Fact]], "str | float | list[str] | None"]
Narrowing = Callable[[re.Match[str], Fact], bool]
Keeping = Callable[[re.Match[str], list[Fact]], list[Fact]]


@dataclass(frozen=True)
class Asked:
    """A way of asking: the facts it needs are of these ``kinds`` and pass ``narrow``.

    ``dated`` says that it matters when or where a fact stands; ``narrow`` lets facts pass whose date is not known yet.
    ``keep`` picks from the facts of one passage those that can still matter when all passages are together.
    """

    pattern: re.Pattern[str]
    kinds: tuple[str, ...]
    narrow: Narrowing
    dated: bool
    keep: Keeping
    conclude: Conclusion


QUESTIONS: list[Asked] = []


def everything(match: re.Match[str], facts: list[Fact]) -> list[Fact]:
    return facts


def anything(match: re.Match[str], fact: Fact) -> bool:
    return True


def asks(
    pattern: str, *kinds: str, narrow: Narrowing = anything, dated: bool = False, keep: Keeping = everything
) -> Callable[[Conclusion], Conclusion]:
    def add(conclude: Conclusion) -> Conclusion:
        QUESTIONS.append(Asked(re.compile(pattern, re.IGNORECASE), kinds, narrow, dated, keep, conclude))
        return conclude

    return add


def number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def phrase(answer: str | float | list[str] | None) -> str | None:
    """An answer in words; None when the facts do not give one."""
    if answer is None or answer == []:
        return None
    if isinstance(answer, list):
        return listed(list(dict.fromkeys(answer)))
    return answer if isinstance(answer, str) else number(answer)


def named(match: re.Match[str], fact: Fact) -> bool:
    """The fact is about the item that the question names as ``item``."""
    return fact["item"].lower() == match["item"].lower()


def about(words: str, text: str) -> bool:
    """Whether a text has all words of a phrase, endings apart ("overhaul" and "overhauled")."""
    stems = [
        word[:6].lower()
        for word in re.findall(r"\w{3,}", words)
        if word.lower() not in {"the", "new", "for", "all"}
    ]
    return all(re.search(rf"\b{stem}", text.lower()) for stem in stems)


def first_number(match: re.Match[str], facts: list[Fact]) -> float | None:
    return facts[0].n if facts else None


def count(match: re.Match[str], facts: list[Fact]) -> float:
    return len(facts)


def total(match: re.Match[str], facts: list[Fact]) -> float:
    return sum(fact.n for fact in facts)


def largest(match: re.Match[str], facts: list[Fact]) -> float | None:
    return max((fact.n for fact in facts), default=None)


def only_largest(match: re.Match[str], facts: list[Fact]) -> list[Fact]:
    return sorted(facts, key=lambda fact: fact.n)[-1:]


def in_year(match: re.Match[str], fact: Fact) -> bool:
    return fact.on is None or fact.on.year == int(match["year"])


def who(match: re.Match[str], facts: list[Fact]) -> list[str]:
    return [fact["who"] for fact in facts]


def items(match: re.Match[str], facts: list[Fact]) -> list[str]:
    return [fact["item"] for fact in facts]


def of(facts: list[Fact], kind: str) -> list[Fact]:
    return [fact for fact in facts if fact.kind == kind]


def compared(facts: list[Fact], one: str, other: str, unit: str = "") -> str | None:
    """Which of two named things has the larger number, and by how much."""
    sizes = {
        name: next((fact.n for fact in facts if about(name, fact.source)), None) for name in (one, other)
    }
    if None in sizes.values():
        return None
    (_, low), (large, high) = sorted(sizes.items(), key=lambda pair: pair[1] or 0)
    return f"{large}, by {number((high or 0) - (low or 0))}{unit}"


# The handbook

asks(r"days of paid leave", "leave")(first_number)
asks(r"deposit for the (?P<item>.+?)(?:, in|\?)", "deposit", narrow=named)(first_number)
asks(r"who is the keeper of the (?P<item>.+?)\?", "keeper", narrow=named)(who)
asks(r"weeks is the (?P<item>.+?) serviced", "service", narrow=named)(first_number)
asks(r"who are the first-aiders", "first-aider")(who)
asks(r"deliver within (?P<n>\d+) ", "delivery", narrow=lambda m, f: f.n <= int(m["n"]))(items)
asks(r"deposit more than (?P<n>\d+)", "deposit", narrow=lambda m, f: f.n > int(m["n"]))(count)
asks(
    r"machines and tools are kept in the (?P<place>.+?)\?",
    "kept",
    narrow=lambda m, f: f["place"] == m["place"],
)(count)
asks(r"repairs take more than (?P<n>\d+)", "repair", narrow=lambda m, f: f.n > int(m["n"]))(count)
asks(r"bicycles does the rental fleet have in all", "owned")(total)


@asks(r"rents for more a day, (?P<one>.+?) or (?P<other>.+?), and", "rent")
def _rent(match: re.Match[str], facts: list[Fact]) -> str | None:
    return compared(facts, match["one"], match["other"], " euros")


@asks(r"extension of the keeper of the (?P<item>.+?)\?", "keeper", "extension")
def _keepers_extension(match: re.Match[str], facts: list[Fact]) -> str | None:
    keepers = [fact["who"] for fact in of(facts, "keeper") if named(match, fact)]
    return next(
        (f"{fact.n:.0f} ({fact['who']})" for fact in of(facts, "extension") if fact["who"] in keepers), None
    )


@asks(r"extension of the person who guides the longest", "ride", "guide", "extension")
def _guides_extension(match: re.Match[str], facts: list[Fact]) -> str | None:
    ride = max(of(facts, "ride"), key=lambda fact: fact.n, default=None)
    guides = [fact["who"] for fact in of(facts, "guide") if ride is not None and fact["item"] == ride["item"]]
    return next(
        (f"{fact.n:.0f} ({fact['who']})" for fact in of(facts, "extension") if fact["who"] in guides), None
    )


@asks(r"bicycles do we own of the model with the smallest deposit", "deposit", "owned")
def _smallest_deposit(match: re.Match[str], facts: list[Fact]) -> str | None:
    model = min(of(facts, "deposit"), key=lambda fact: fact.n, default=None)
    return next(
        (f"{f.n:.0f} ({f['item']})" for f in of(facts, "owned") if model and f["item"] == model["item"]), None
    )


@asks(r"replace all the machines and tools that are kept in the (?P<place>.+?)\?", "kept", "replacing")
def _replacing(match: re.Match[str], facts: list[Fact]) -> float:
    there = {fact["item"] for fact in of(facts, "kept") if fact["place"] == match["place"]}
    return sum(fact.n for fact in of(facts, "replacing") if fact["item"] in there)


# The meeting notes

asks(r"budget for the (?P<what>.+?), in euros", "decision", narrow=lambda m, f: about(m["what"], f["what"]))(
    first_number
)
asks(
    r"who owns the decision to (?P<what>.+?)\?", "decision", narrow=lambda m, f: about(m["what"], f["what"])
)(who)


@asks(
    r"number of the decision to (?P<what>.+?)\?", "decision", narrow=lambda m, f: about(m["what"], f["what"])
)
def _number(match: re.Match[str], facts: list[Fact]) -> str | None:
    return facts[0]["id"] if facts else None


@asks(
    r"what date was it decided to (?P<what>.+?)\?",
    "decision",
    dated=True,
    narrow=lambda m, f: about(m["what"], f["what"]),
)
def _decided(match: re.Match[str], facts: list[Fact]) -> str | None:
    return f"{facts[0].on.day} {facts[0].on:%B} {facts[0].on.year}" if facts and facts[0].on else None


asks(
    r"owns the decisions of (?P<year>\d{4}) that have a budget above (?P<n>[\d,]+)",
    "decision",
    dated=True,
    narrow=lambda m, f: in_year(m, f) and f.n > float(m["n"].replace(",", "")),
)(who)


@asks(
    r"dates in (?P<one>\w+) and (?P<two>\w+) (?P<year>\d{4}) was (?P<who>.+?) absent",
    "absent",
    dated=True,
    narrow=lambda m, f: (
        in_year(m, f) and (f.on is None or f"{f.on:%B}" in (m["one"], m["two"])) and m["who"] in f["names"]
    ),
)
def _absent_on(match: re.Match[str], facts: list[Fact]) -> list[str]:
    return [f"{fact.on.day} {fact.on:%B} {fact.on.year}" for fact in facts if fact.on]


asks(
    r"decisions made in (?P<year>\d{4}) are owned by (?P<who>.+?)\?",
    "decision",
    dated=True,
    narrow=lambda m, f: in_year(m, f) and f["who"] == m["who"],
)(count)
asks(r"meetings did (?P<who>.+?) chair", "chair", narrow=lambda m, f: f["who"] == m["who"])(count)


@asks(
    r"larger budget, (?P<one>.+?) or (?P<other>.+?), and",
    "decision",
    narrow=lambda m, f: about(m["one"], f["what"]) or about(m["other"], f["what"]),
)
def _larger_budget(match: re.Match[str], facts: list[Fact]) -> str | None:
    return compared(facts, match["one"], match["other"], " euros")


def _one_meeting(match: re.Match[str], facts: list[Fact]) -> list[Fact]:
    """The decision, what else is known of its meeting, and of the last meeting here, which may go on elsewhere."""
    decided = {fact.number for fact in of(facts, "decision") if about(match["what"], fact["what"])}
    last = max((fact.number for fact in facts if fact.number is not None), default=None)
    return [
        fact
        for fact in facts
        if (fact.kind == "decision" and about(match["what"], fact["what"]))
        or (fact.kind != "decision" and fact.number in decided | {last})
    ]


@asks(
    r"(?P<asked>minutes of|absent from) the meeting that decided to (?P<what>.+?)\?",
    "decision",
    "absent",
    "chair",
    keep=_one_meeting,
)
def _at_the_meeting(match: re.Match[str], facts: list[Fact]) -> str | None:
    meetings = {fact.number for fact in of(facts, "decision") if about(match["what"], fact["what"])}
    absent = match["asked"].lower() == "absent from"
    here = [fact for fact in of(facts, "absent" if absent else "chair") if fact.number in meetings]
    return (here[0]["names"] if absent else here[0]["minutes"]) if here else None


asks(
    r"budgets of all decisions made in (?P<month>\w+) (?P<year>\d{4})",
    "decision",
    dated=True,
    narrow=lambda m, f: f.on is None or f"{f.on:%B %Y}" == f"{m['month']} {m['year']}",
)(total)
asks(
    r"budgets of the decisions made in (?P<year>\d{4}) that (?P<who>.+?) owns",
    "decision",
    dated=True,
    narrow=lambda m, f: in_year(m, f) and f["who"] == m["who"],
)(total)
asks(
    r"set aside for (?P<what>.+?) over all decisions",
    "decision",
    narrow=lambda m, f: re.search(rf"\b{re.escape(m['what'])}\b", f["what"]) is not None,
)(total)

# The orders


def _order(match: re.Match[str], fact: Fact) -> bool:
    return fact["id"] == match["id"]


def _in_month(match: re.Match[str], fact: Fact) -> bool:
    return fact.on is not None and f"{fact.on:%B %Y}" == match["month"]


def _totals(facts: list[Fact]) -> float:
    return round(sum(float(fact["total"]) for fact in facts), 2)


asks(r"which product was ordered in order (?P<id>GS-\d+)", "order", narrow=_order)(items)


@asks(r"total of order (?P<id>GS-\d+)", "order", narrow=_order)
def _total_of(match: re.Match[str], facts: list[Fact]) -> str | None:
    return facts[0]["total"] if facts else None


asks(
    r"customers in (?P<city>\w+) ordered five or more (?P<item>.+?)s in one order",
    "order",
    narrow=lambda m, f: f["city"] == m["city"] and f["item"] == m["item"] and f.n >= 5,
)(who)
asks(
    r"orders were (?P<status>\w+) in (?P<month>\w+ \d{4})",
    "order",
    narrow=lambda m, f: f["status"] == m["status"] and _in_month(m, f),
)(count)
asks(
    r"orders of the (?P<item>.+?) were (?P<status>\w+)\?",
    "order",
    narrow=lambda m, f: named(m, f) and f["status"] == m["status"],
)(count)


@asks(
    r"city did delivered orders bring more money, (?P<one>\w+) or (?P<other>\w+)",
    "order",
    narrow=lambda m, f: f["status"] == "delivered" and f["city"] in (m["one"], m["other"]),
)
def _cities(match: re.Match[str], facts: list[Fact]) -> str:
    sums = {
        city: _totals([fact for fact in facts if fact["city"] == city])
        for city in match.group("one", "other")
    }
    (_, low), (city, high) = sorted(sums.items(), key=lambda pair: pair[1])
    return f"{city}, by {high - low:,.2f} euros"


@asks(r"orders did the customer of order (?P<id>GS-\d+) place", "order")
def _orders_of_customer(match: re.Match[str], facts: list[Fact]) -> str | None:
    customer = next((fact["who"] for fact in facts if _order(match, fact)), None)
    return f"{sum(fact['who'] == customer for fact in facts)} ({customer})" if customer else None


@asks(r"delivered orders of the customer with the most orders", "order")
def _best_customer(match: re.Match[str], facts: list[Fact]) -> str | None:
    if not facts:
        return None
    customer = Counter(fact["who"] for fact in facts).most_common(1)[0][0]
    spent = _totals([fact for fact in facts if fact["who"] == customer and fact["status"] == "delivered"])
    return f"{spent:,.2f} ({customer})"


@asks(
    r"delivered orders of the category (?P<category>\w+) in (?P<month>\w+ \d{4})",
    "order",
    narrow=lambda m, f: f["status"] == "delivered" and f["category"] == m["category"] and _in_month(m, f),
)
def _category(match: re.Match[str], facts: list[Fact]) -> str:
    return f"{_totals(facts):,.2f}"


asks(r"packets of (?P<item>.+?) were ordered in all", "order", narrow=named)(total)

# The server log


def _field(fact: Fact, name: str) -> str:
    found = re.search(rf"\b{name}=(\S+)", fact["text"])
    return found[1] if found else ""


def _ms(fact: Fact) -> float:
    return float(_field(fact, "ms") or 0)


def _says(text: str) -> Narrowing:
    return lambda match, fact: text in fact["text"]


def _requests(match: re.Match[str], fact: Fact) -> bool:
    return re.match(r"(?:GET|POST|PUT|DELETE) ", fact["text"]) is not None


@asks(r"serial of the certificate that was renewed", "log", narrow=_says("certificate renewed"))
def _serial(match: re.Match[str], facts: list[Fact]) -> list[str]:
    return [_field(fact, "serial") for fact in facts]


@asks(
    r"rows had the index of the table (?P<table>\w+)",
    "log",
    narrow=lambda m, f: f"table {m['table']} rebuilt" in f["text"],
)
def _rows(match: re.Match[str], facts: list[Fact]) -> float | None:
    return float(_field(facts[0], "rows")) if facts else None


@asks(
    r"milliseconds did the slowest request take",
    "log",
    narrow=_requests,
    keep=lambda match, facts: sorted(facts, key=_ms)[-1:],
)
def _slowest(match: re.Match[str], facts: list[Fact]) -> float | None:
    return max((_ms(fact) for fact in facts), default=None)


@asks(r"which versions were deployed", "log", narrow=_says("deploy version="))
def _versions(match: re.Match[str], facts: list[Fact]) -> list[str]:
    return [_field(fact, "version") for fact in facts]


@asks(
    r"servers logged the error that a cover image could not be written",
    "log",
    narrow=_says("could not write cover image"),
)
def _hosts(match: re.Match[str], facts: list[Fact]) -> list[str]:
    return sorted({fact["host"] for fact in facts})


asks(
    r"how many (?P<level>[A-Z]+) lines did (?P<host>\S+) log",
    "log",
    narrow=lambda m, f: (f["level"], f["host"]) == (m["level"], m["host"]),
)(count)
asks(
    r"process restarted on (?P<host>\S+?)\?",
    "log",
    narrow=lambda m, f: f["host"] == m["host"] and f["text"].startswith("process restarted"),
)(count)


@asks(
    r"day did more logins fail, (?P<one>[\d-]+) or (?P<other>[\d-]+)",
    "log",
    narrow=lambda m, f: f["text"].startswith("login failed") and f["at"][:10] in (m["one"], m["other"]),
)
def _logins(match: re.Match[str], facts: list[Fact]) -> str:
    days = {day: sum(fact["at"].startswith(day) for fact in facts) for day in match.group("one", "other")}
    (_, low), (day, high) = sorted(days.items(), key=lambda pair: pair[1])
    return f"{day}, {high - low} more"


@asks(
    r"(?P<asked>who deployed the last version before|which version was running when) the index of the table (?P<table>\w+) was found damaged",
    "log",
    narrow=lambda m, f: "deploy version=" in f["text"] or f"table {m['table']} is damaged" in f["text"],
)
def _deployed(match: re.Match[str], facts: list[Fact]) -> str | None:
    damaged = min((fact["at"] for fact in facts if "is damaged" in fact["text"]), default=None)
    before = [
        fact for fact in facts if "deploy" in fact["text"] and damaged is not None and fact["at"] < damaged
    ]
    last = max(before, key=lambda fact: fact["at"], default=None)
    return _field(last, "by" if match["asked"].lower().startswith("who") else "version") if last else None


@asks(r"requests in all did the user make whose request was the slowest", "log", narrow=_requests)
def _slowest_user(match: re.Match[str], facts: list[Fact]) -> str | None:
    if not facts:
        return None
    user = _field(max(facts, key=_ms), "user")
    return f"{sum(_field(fact, 'user') == user for fact in facts)} ({user})"


@asks(r"total size of all backups", "log", narrow=_says("backup finished"))
def _backups(match: re.Match[str], facts: list[Fact]) -> str:
    return number(sum(float(_field(fact, "size").removesuffix("MB")) for fact in facts)) + " MB"


# The journal


@asks(r"where was the (?P<item>.+?) buried", "buried", narrow=named)
def _buried(match: re.Match[str], facts: list[Fact]) -> list[str]:
    return [fact["place"] for fact in facts]


@asks(r"did the crew name the (?P<item>.+?)\?", "named", narrow=named)
def _named(match: re.Match[str], facts: list[Fact]) -> list[str]:
    return [fact["name"] for fact in facts]


asks(r"how many (?P<item>.+?) were broken", "broken", narrow=named)(first_number)
asks(r"greatest depth that the lead gave", "depth", keep=only_largest)(largest)
asks(r"islands was a depot left", "depot")(items)


@asks(r"people climbed the (?P<item>\w+)", "climbed", narrow=named)
def _climbed(match: re.Match[str], facts: list[Fact]) -> str | None:
    return facts[0]["names"] if facts else None


MONTHS = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"


def _in_period(match: re.Match[str], fact: Fact) -> bool:
    months = re.findall(MONTHS, match["months"])
    return (
        fact.on is not None
        and fact.on.year == int(match["year"])
        and (not months or f"{fact.on:%B}" in months)
    )


def _days(match: re.Match[str], facts: list[Fact]) -> float:
    return len({fact.number for fact in facts})


asks(r"days did it blow a gale in (?P<months>.+?) (?P<year>\d{4})", "gale", narrow=_in_period)(_days)
asks(r"days of (?P<months>\w+) (?P<year>\d{4}) .*miles were walked", "walk", narrow=_in_period)(_days)
asks(r"miles were walked in (?P<months>\w+) (?P<year>\d{4})", "walk", narrow=_in_period)(total)
asks(
    r"how many (?P<item>\w+) were counted in (?P<months>)(?P<year>\d{4})",
    "count",
    narrow=lambda m, f: named(m, f) and _in_period(m, f),
)(total)
asks(r"largest number of (?P<item>\w+) counted on one day", "count", narrow=named, keep=only_largest)(largest)


@asks(r"depot had more tins, the one on (?P<one>.+?) or the one on (?P<other>.+?), and", "depot")
def _more_tins(match: re.Match[str], facts: list[Fact]) -> str | None:
    return compared(facts, match["one"], match["other"])


@asks(r"island was the depot with the most tins", "depot")
def _most_tins(match: re.Match[str], facts: list[Fact]) -> str | None:
    return max(facts, key=lambda fact: fact.n)["item"] if facts else None


asks(r"tins were left in all the depots", "depot")(total)


@asks(r"which town does the person who (?P<what>mended|found) the (?P<item>.+?) come", "deed", "home")
def _town(match: re.Match[str], facts: list[Fact]) -> str | None:
    people = [
        fact["who"] for fact in of(facts, "deed") if named(match, fact) and fact["what"] == match["what"]
    ]
    return next(
        (f"{fact['place']} ({fact['who']})" for fact in of(facts, "home") if fact["who"] in people), None
    )

"""What the sample documents' lines state, read from whatever part of them is there.

A :class:`Fact` is one line or sentence with its values. Facts that mean nothing without their place in the document (a
decision belongs to a meeting, "We walked 7 miles" to a day) carry it as far as the text tells: from the heading before,
or, where a passage begins in the middle, from the number of the next heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

_DATE = r"\d{1,2} [A-Z][a-z]+ \d{4}"
_WHO = r"[A-Z][\w'-]+ [A-Z][\w'-]+"
_SENTENCES = {
    "leave": r"Everyone has (?P<n>\d+) days of paid leave a year",
    "deposit": r"The deposit for the (?P<item>[^.]+?) is (?P<n>[\d,]+) euros\.",
    "keeper": rf"The keeper of the (?P<item>[^.]+?) is (?P<who>{_WHO})\.",
    "service": r"The (?P<item>[^.]+?) is serviced every (?P<n>\d+) weeks\.",
    "first-aider": rf"(?P<who>{_WHO}) is a first-aider\.",
    "delivery": r"Orders to (?P<item>[^.]+?) take (?P<n>\d+) working days\.",
    "kept": r"The (?P<item>[^.]+?) is kept in the (?P<place>[^.]+?)\.",
    "rent": r"The (?P<item>[^.]+?) rents for (?P<n>[\d,]+) euros a day\.",
    "extension": rf"(?P<who>{_WHO}) is the (?P<role>[^.;]+); the extension is (?P<n>\d+)\.",
    "owned": r"We own (?P<n>[\d,]+) bicycles of the model (?P<item>[^.]+)\.",
    "ride": r"The (?P<item>[^.]+?) ride is (?P<n>\d+) kilometres long",
    "guide": rf"The (?P<item>[^.]+?) ride is guided by (?P<who>{_WHO})\.",
    "repair": r"The (?P<item>[^.]+?) takes (?P<n>[\d,]+) minutes and costs",
    "replacing": r"Replacing the (?P<item>[^.]+?) costs (?P<n>[\d,]+) euros\.",
    "absent": r"Absent: (?P<names>[^.\n]+)\.",
    "chair": rf"Chair: (?P<who>{_WHO})\. Minutes: (?P<minutes>{_WHO})\.",
    "decision": r"Decision (?P<id>\d+): (?P<what>[^\n]+?) Owner: (?P<who>[^.\n]+)\. Due: [^.\n]+\. "
    r"Budget: (?P<n>none|[\d,]+ euros)\.",
    "order": r"(?P<id>GS-\d+),(?P<on>[\d-]{10}),(?P<who>[^,\n]+),(?P<city>[^,\n]+),(?P<item>[^,\n]+),"
    r"(?P<category>[^,\n]+),(?P<n>\d+),[\d.]+,\d+,(?P<total>[\d.]+),(?P<status>[a-z]+)",
    "log": r"(?P<at>\d{4}-\d\d-\d\dT[\d:]{8}Z) (?P<level>[A-Z]+) +(?P<host>\S+) +(?P<text>\S[^\n]*\S)",
    "buried": r"We buried the (?P<item>[^.]+?) (?P<place>under [^.,]+)",
    "named": r"The (?P<item>[^.]+?) that follows us was named (?P<name>[A-Z]\w+) by the crew",
    "broken": r"The crate fell from the cliff, and (?P<n>\d+) (?P<item>[^.]+?) were broken\.",
    "depth": r"The lead gave (?P<n>\d+) fathoms",
    "depot": r"We left a depot of (?P<n>\d+) tins on (?P<item>[^.]+)\.",
    "climbed": r"(?P<names>[^.]+?) climbed the (?P<item>[A-Z]\w+) and left a bottle",
    "deed": rf"(?P<who>{_WHO}) (?P<what>mended|found) the (?P<item>[^.]+?) (?:with|behind) ",
    "home": rf"(?P<who>{_WHO}) comes from (?P<place>[^.]+)\.",
    "gale": r"It blew a gale today\.",
    "walk": r"We walked (?P<n>\d+) miles\.",
    "count": r"Counted today on (?P<place>[^.:]+): (?P<n>\d+) (?P<item>\w+)\.",
}
_SENTENCE = {kind: re.compile(pattern) for kind, pattern in _SENTENCES.items()}
_HEADING = re.compile(
    rf"MEETING (?P<meeting>\d+)(?: - (?P<held>{_DATE}))?|Day (?P<day>\d+)\. (?P<on>{_DATE})\."
)
IN_MEETINGS = frozenset({"absent", "chair", "decision"})
IN_DAYS = frozenset({"gale", "walk", "count", "depth", "depot"})
WHOLE_LINES = frozenset({"order", "log"})


@dataclass(frozen=True)
class Fact:
    """``values`` are the words of the line, ``n`` its number; ``place`` is the heading that it stands under, if known.

    ``identity`` is equal for the same line seen twice, as happens where passages overlap.
    """

    kind: str
    source: str
    values: Mapping[str, str]
    n: float
    place: str = ""
    number: int | None = None
    on: date | None = None

    @property
    def identity(self) -> tuple[str, str, int | None]:
        return self.kind, self.source, self.number

    @property
    def note(self) -> str:
        """The line with its place, so that it can be understood away from its passage."""
        return f"({self.place}) {self.source}" if self.place else self.source

    def __getitem__(self, name: str) -> str:
        return self.values[name]


@dataclass(frozen=True)
class _Place:
    start: int
    text: str = ""
    number: int | None = None
    on: date | None = None


def read_facts(passages: Iterable[str], kinds: Iterable[str] | None = None) -> list[Fact]:
    """The facts in some passages, each once, in order. A meeting dated in one passage is dated in all."""
    found: dict[tuple[str, str, int | None], Fact] = {}
    held: dict[int, date] = {}
    for passage in passages:
        places = _places(passage)
        held |= {
            place.number: place.on
            for place in places
            if place.text.startswith("MEETING") and place.on and place.number
        }
        for kind in kinds or _SENTENCE:
            for match in _SENTENCE[kind].finditer(passage):
                fact = _fact(kind, match, places)
                found.setdefault(fact.identity, fact)
    cut_off = _cut_off(fact.source for fact in found.values() if fact.kind in WHOLE_LINES)
    return [_dated(fact, held) for fact in found.values() if fact.source not in cut_off]


def last_heading(passage: str) -> str:
    """The heading that what follows the passage stands under, with its date; empty when there is none."""
    return next((match[0] for match in reversed(list(_HEADING.finditer(passage)))), "")


def _cut_off(lines: Iterable[str]) -> set[str]:
    """Lines that a passage ended in the middle of, and that another passage has in full."""
    ordered = sorted(lines)
    return {line for line, following in pairwise(ordered) if following.startswith(line)}


def _fact(kind: str, match: re.Match[str], places: Sequence[_Place]) -> Fact:
    values = {name: value for name, value in match.groupdict().items() if value is not None}
    number = re.sub(r"[^\d.]", "", values.get("n", ""))
    place = _Place(0)
    if kind in IN_MEETINGS | IN_DAYS:
        place = next((each for each in reversed(places) if each.start <= match.start()), place)
    on = date.fromisoformat(values["on"]) if kind == "order" else place.on
    return Fact(kind, match[0], values, float(number or 0), place.text, place.number, on)


def _places(passage: str) -> list[_Place]:
    places = []
    for match in _HEADING.finditer(passage):
        stated = match["held"] or match["on"]
        on = datetime.strptime(stated, "%d %B %Y").date() if stated else None
        number = int(match["meeting"] or match["day"])
        places.append(_Place(match.start(), match[0], number, on))
    if places and places[0].number and places[0].number > 1:
        places.insert(0, _before(places[0]))
    return places


def _before(first: _Place) -> _Place:
    """Where a passage is that begins in the middle: meetings and days are numbered one after the other."""
    assert first.number is not None
    number = first.number - 1
    if first.text.startswith("MEETING"):
        return _Place(0, f"MEETING {number:03}", number)
    assert first.on is not None
    on = first.on - timedelta(days=1)
    return _Place(0, f"Day {number}. {on.day} {on:%B} {on.year}.", number, on)


def _dated(fact: Fact, held: Mapping[int, date]) -> Fact:
    if fact.kind in IN_MEETINGS and fact.on is None and fact.number in held:
        return Fact(fact.kind, fact.source, fact.values, fact.n, fact.place, fact.number, held[fact.number])
    return fact

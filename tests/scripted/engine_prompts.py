"""How the ideal reader answers the prompts of the engine: each is recognised by its wording (rlm_core/prompts.py) and answered
from what stands in it.

What it cannot know from the prompt it says so, or asks for a further search where the prompt offers one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.scripted.answers import about, asks, count, items, largest, named, number, of, phrase, total, who
from tests.scripted.facts import Fact, read_facts
from tests.scripted.ideal_reader import NOTHING, IdealReader, Understood, split_passages
from tests.scripted.script import ChatRequest

NONE = "NONE"
_QUESTION = re.compile(r"^Question(?: about a (?:whole|long) document)?: (?P<question>.+)$", re.MULTILINE)
_KNOWN = re.compile(r"^Known so far:\n(?P<known>.*?)\n\n?Passages \(part", re.MULTILINE | re.DOTALL)
_PASSAGES = re.compile(
    r"^Passages \(part \d+ of \d+\):\n(?P<passages>.*?)\n\n(?:Write|List) ", re.MULTILINE | re.DOTALL
)
_NOTES = re.compile(
    r"^Notes from reading [^\n]*:\n\n(?P<notes>.*?)\n\n(?:Reckoned by|Answer the|Merge these)", re.M | re.S
)
_RECKONED = re.compile(r"^Reckoned by a program [^\n]*:\n(?P<lines>.*?)\n\n", re.MULTILINE | re.DOTALL)
_FIGURES = re.compile(
    r"^(?P<name>.+?): (?P<items>\d+) items?(?:, sum (?P<sum>[-\d.,]*\d))?(?:, largest (?P<largest>[-\d.,]*\d))?"
)
_PLACE = re.compile(r"\[(\d+)\]")

asks(
    r"which customer placed order (?P<id>GS-\d+)",
    "order",
    narrow=lambda match, fact: fact["id"] == match["id"],
)(who)


# --- lists of items, and what a program made of them -------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """What a program reckoned of all items, or of one group."""

    name: str
    items: int
    sum: float
    largest: float


@dataclass(frozen=True)
class Listing:
    """How to list facts for a question when too many lines matter to be told in full: the group and the number of each, and
    what follows from the figures (of all items, of the groups)."""

    pattern: re.Pattern[str]
    group: Callable[[Fact], str]
    number: Callable[[Fact], float | None]
    conclude: Callable[[Figures, list[Figures]], str]


def _word(name: str) -> Callable[[Fact], str]:
    return lambda fact: (re.findall(rf"\b{name}=(\S+)", fact["text"]) or ["-"])[0]


def _cities(whole: Figures, groups: list[Figures]) -> str:
    more, less = sorted(groups, key=lambda group: -group.sum)[:2]
    return f"{more.name}, by {more.sum - less.sum:,.2f} euros"


def _of_the_largest(whole: Figures, groups: list[Figures]) -> str:
    group = next(group for group in groups if group.largest == whole.largest)
    return f"{group.items} ({group.name})"


def _of_most_items(whole: Figures, groups: list[Figures]) -> str:
    group = max(groups, key=lambda group: group.items)
    return f"{group.sum:,.2f} ({group.name})"


LISTINGS = (
    Listing(
        re.compile(r"city did delivered orders bring more money"),
        lambda fact: fact["city"],
        lambda fact: float(fact["total"]),
        _cities,
    ),
    Listing(
        re.compile(r"delivered orders of the customer with the most orders"),
        lambda fact: fact["who"],
        lambda fact: float(fact["total"]) if fact["status"] == "delivered" else None,
        _of_most_items,
    ),
    Listing(
        re.compile(r"did the user make whose request was the slowest"),
        _word("user"),
        lambda fact: float(_word("ms")(fact)),
        _of_the_largest,
    ),
    Listing(
        re.compile(r"orders did the customer of order"),
        lambda fact: fact["who"],
        lambda fact: None,
        lambda whole, groups: f"{whole.items} ({groups[0].name})",
    ),
)


def read_items(reader: IdealReader, request: ChatRequest) -> str | None:
    """READ_ITEMS: the facts that count, as ``item | group | number``."""
    if "\nitem | group | number\n" not in request.last:
        return None
    question, known, passages = _parts(request.last)
    facts = _related(reader, question, passages, known)
    listing = _listing(question)
    if listing is not None:
        lines = [_line("-", listing.group(fact), listing.number(fact)) for fact in facts]
    else:
        understood = reader.understand(question)
        conclude = understood.asked.conclude if understood else count
        if understood is not None:
            facts = understood.asked.keep(understood.match, facts)
        lines = []
        for fact in facts:
            group = fact["who"] if conclude is who else fact["item"] if conclude is items else "-"
            lines.append(_line(fact.note, group, fact.n if conclude in (total, largest) else None))
    return "\n".join(lines) or NONE


def _line(text: str, group: str, amount: float | None) -> str:
    return f"{text} | {group} | {'-' if amount is None else f'{amount:.10g}'}"


def _listing(question: str) -> Listing | None:
    return next((listing for listing in LISTINGS if listing.pattern.search(question)), None)


def _from_figures(reader: IdealReader, question: str, prompt: str) -> str | None:
    """What follows from the reckoned figures; None when the lines themselves are needed."""
    found = _RECKONED.search(prompt)
    understood = reader.understand(question)
    if found is None or understood is None:
        return None
    figures = [
        Figures(
            match["name"],
            int(match["items"]),
            float((match["sum"] or "0").replace(",", "")),
            float((match["largest"] or match["sum"] or "0").replace(",", "")),
        )
        for match in map(_FIGURES.match, found["lines"].splitlines())
        if match is not None
    ]
    whole = figures[0]
    groups = [group for group in figures[1:] if not group.name.startswith("difference of")]
    if (listing := _listing(question)) is not None:
        return listing.conclude(whole, groups)
    conclude = understood.asked.conclude
    if conclude is count:
        return number(whole.items)
    if conclude is total:
        return number(whole.sum)
    if conclude is largest:
        return number(whole.largest)
    return phrase([group.name for group in groups]) if conclude in (who, items) else None


# --- notes and answers -----------------------------------------------------------------------------------------------------


def read_notes(reader: IdealReader, request: ChatRequest) -> str | None:
    """READ_PASSAGES and READ_ALL: the lines that matter, each with the number of its passage."""
    if "Passages (part " not in request.last:
        return None
    question, known, passages = _parts(request.last)
    notes = []
    for passage in passages:
        place = _PLACE.match(passage)
        notes += [
            f"{fact.note} [{place[1] if place else 1}]"
            for fact in _related(reader, question, [passage], known)
        ]
    return "\n".join(dict.fromkeys(notes)) or NONE


def answer_from_notes(reader: IdealReader, request: ChatRequest) -> str | None:
    """ANSWER_FROM_NOTES: from the figures that were reckoned, else from the notes; else what has to be looked up."""
    if not (notes := _NOTES.search(request.last)) or "Merge these" in request.last:
        return None
    question = _question(request.last)
    answer = _from_figures(reader, question, request.last) or reader.answer(question, [notes["notes"]])
    return _answer_or_ask_back(reader, request.last, question, [notes["notes"]], answer)


def answer_from_passages(reader: IdealReader, request: ChatRequest) -> str | None:
    """ANSWER_FROM_PASSAGES: the answer, or what has to be looked up."""
    if "\nAnswer the question from these passages alone." not in request.last:
        return None
    question = _question(request.last)
    passages = split_passages(request.last.rpartition("\nAnswer the question from")[0])
    facts = _related(reader, question, passages, "")
    return _answer_or_ask_back(
        reader, request.last, question, passages, reader.answer(question, passages) if facts else None
    )


def _answer_or_ask_back(
    reader: IdealReader, prompt: str, question: str, passages: Sequence[str], answer: str | None
) -> str:
    if answer is not None:
        places = list(dict.fromkeys(_PLACE.findall("\n".join(passages))))
        return f"{answer} [{places[0]}]" if len(places) == 1 else answer
    if "SEARCH: the words to look for" not in prompt:
        return NOTHING
    search = _missing(reader.understand(question), read_facts(passages))
    return f"SEARCH: {search}" if search else NONE


def merge_notes(reader: IdealReader, request: ChatRequest) -> str | None:
    """MERGE_NOTES: every different line once."""
    if not (notes := _NOTES.search(request.last)) or "Merge these" not in request.last:
        return None
    return "\n".join(dict.fromkeys(notes["notes"].splitlines()))


def look_up_first(reader: IdealReader, request: ChatRequest) -> str | None:
    """LOOK_UP_FIRST: the question that has to be answered before the parts are read."""
    if not request.last.startswith("Question about a long document:"):
        return None
    described = re.search(r"the customer of order (GS-\d+)", _question(request.last))
    return f"Which customer placed order {described[1]}?" if described else NONE


def _question(prompt: str) -> str:
    found = _QUESTION.findall(prompt)
    return str(found[-1]).strip() if found else ""


def _parts(prompt: str) -> tuple[str, str, list[str]]:
    """The question, what is known already, and the passages of a prompt for reading."""
    known, passages = _KNOWN.search(prompt), _PASSAGES.search(prompt)
    return (
        _question(prompt),
        known["known"] if known else "",
        split_passages(passages["passages"] if passages else ""),
    )


def _related(reader: IdealReader, question: str, passages: Iterable[str], known: str) -> list[Fact]:
    """The facts that matter for the question. Of a chain (the keeper's extension) the second link only for those that
    the first link, here or known already, leads to."""
    understood = reader.understand(question)
    facts = reader.facts(question, passages)
    if understood is None or not facts:
        return facts
    before = read_facts([known], understood.asked.kinds) if known else []
    if understood.asked.kinds == ("order",) and "id" in understood.match.groupdict():
        customers = {fact["who"] for fact in before if fact["id"] == understood.match["id"]}
        return [fact for fact in facts if fact["who"] in customers] if customers else facts
    if understood.asked.kinds[0] not in {"keeper", "deed", "decision"} or len(understood.asked.kinds) == 1:
        return facts
    meant = [
        fact
        for fact in [*before, *facts]
        if fact.kind == understood.asked.kinds[0] and _meant(understood, fact)
    ]
    people = {fact["who"] for fact in meant if fact.kind != "decision"}
    meetings = {fact.number for fact in meant if fact.kind == "decision"}
    return [
        fact
        for fact in facts
        if fact in meant
        or (fact.kind in {"extension", "home"} and fact["who"] in people)
        or (fact.kind in {"absent", "chair"} and fact.number in meetings)
    ]


def _meant(understood: Understood, fact: Fact) -> bool:
    if fact.kind == "decision":
        return about(understood.match["what"], fact["what"])
    return named(understood.match, fact)


def _missing(understood: Understood | None, facts: list[Fact]) -> str:
    """Words to search for the next link of a chain; "" when there is none."""
    if understood is None:
        return ""
    kinds = understood.asked.kinds
    if "decision" in kinds and len(kinds) > 1:
        decisions = [fact for fact in of(facts, "decision") if _meant(understood, fact)]
        return (
            f"{decisions[0].place} Present Absent Chair Minutes" if decisions and decisions[0].place else ""
        )
    if kinds == ("ride", "guide", "extension"):
        ride = max(of(facts, "ride"), key=lambda fact: fact.n, default=None)
        guides = [
            fact["who"] for fact in of(facts, "guide") if ride is not None and fact["item"] == ride["item"]
        ]
        return f"{guides[0]} extension" if guides else ""
    links = {("keeper", "extension"): "extension", ("deed", "home"): "comes from"}
    if kinds in links:
        people = [fact["who"] for fact in of(facts, kinds[0]) if _meant(understood, fact)]
        return f"{people[0]} {links[kinds]}" if people else ""
    return "deploy version" if "damaged" in understood.asked.pattern.pattern else ""


# --- other prompts ---------------------------------------------------------------------------------------------------------


def judge_complexity(reader: IdealReader, request: ChatRequest) -> str | None:
    """COMPLEXITY: a long context is complex."""
    size = re.search(r"^Context length: (\d+) tokens$", request.last, re.MULTILINE)
    if size is None or "Classify as:" not in request.last:
        return None
    is_long = int(size[1]) > reader.window // 2
    return json.dumps(
        {"complexity": "COMPLEX" if is_long else "SIMPLE", "reason": f"{size[1]} tokens of context"}
    )


def make_plan(reader: IdealReader, request: ChatRequest) -> str | None:
    """DECOMPOSITION: search for the question's words, then answer from what was found."""
    task = re.search(r'^Task: "(.+)"$', request.last, re.MULTILINE) or re.search(
        r'this task [^"]*"(.+)"', request.last
    )
    if task is None or "sub_tasks" not in request.last:
        return None
    parts = re.split(r",? and ", task[1]) if "two or three sub-tasks" in request.last else [task[1]]
    tasks: list[dict[str, object]] = [
        {"id": n, "type": "search_context", "input": part.strip(" ?"), "depends_on": []}
        for n, part in enumerate(parts, start=1)
    ]
    tasks.append(
        {
            "id": len(tasks) + 1,
            "type": "llm_call",
            "input": task[1],
            "depends_on": [n + 1 for n in range(len(tasks))],
        }
    )
    return json.dumps({"sub_tasks": tasks, "synthesis_strategy": "Take the answer of the last sub-task."})


POLICIES = (
    read_items,
    read_notes,
    merge_notes,
    answer_from_notes,
    answer_from_passages,
    look_up_first,
    judge_complexity,
    make_plan,
)

"""``expedition_journal.txt``: a year on an invented group of islands, day by day (more than 150,000 tokens)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from .journal_phrases import ANIMALS, CREW, EVERY_SEASON, ISLANDS, PLANTED, POOLS, SUMMER, WEATHER, WINTER
from .questions import Question, all_of, names, number, words
from .text import Deck, Dice, Page, Span, fill, long_date

NAME = "expedition_journal.txt"
START, COUNT = date(1911, 3, 6), 412
DEPOTS = {
    41: "Tarn Island",
    97: "Hollow Skerry",
    146: "Great Skerrow",
    203: "Candle Rock",
    268: "Ember Holm",
    331: "Little Skerrow",
}
HOMES = (
    "Saltburn Quay",
    "Wendle",
    "Cold Ferry",
    "Marrow Bridge",
    "Aldmouth",
    "Upper Keld",
    "Stonning",
    "Fernhythe",
    "Brack",
    "Lowmoor",
    "Eastering",
    "Pell Harbour",
)


@dataclass(frozen=True)
class Mark:
    """A fact of the journal: on which day, about what, how much, and where its sentence stands."""

    day: int
    about: str
    amount: int
    span: Span


@dataclass
class Facts:
    """Everything the questions are computed from, gathered while the journal is written."""

    days: list[Span]
    gales: list[Mark]
    walks: list[Mark]
    counts: list[Mark]
    soundings: list[Mark]
    depots: list[Mark]
    homes: dict[str, Mark]
    planted: dict[str, Span]


def make() -> tuple[str, list[Question]]:
    """The journal's text and its questions."""
    dice, page = Dice("journal"), Page()
    facts = Facts([], [], [], [], [], [], {}, {})
    page.add("THE SKERROW JOURNAL", "\n")
    page.add(
        "kept by Edith Farrow, naturalist, on the islands of that name, from March 1911 to April 1912", "\n\n"
    )
    decks = {name: Deck(dice, pool) for name, pool in POOLS.items()} | {
        "who": Deck(dice, CREW),
        "island": Deck(dice, ISLANDS),
    }
    phrases = {season: Deck(dice, season + EVERY_SEASON) for season in (WINTER, SUMMER)}
    weather = Deck(dice, WEATHER)
    homes = dict(
        zip(dice.some(range(3, 60), len(CREW)), zip(CREW, dice.shuffled(HOMES), strict=True), strict=True)
    )
    for day in range(1, COUNT + 1):
        _day(dice, page, facts, day, weather, phrases[_season(day)], decks, homes)
    page.add("Here the journal ends. The rest is in the report.", "\n")
    return page.text, _questions(facts)


def _day(
    dice: Dice, page: Page, facts: Facts, day: int, weather: Deck, phrases: Deck, decks: dict[str, Deck], homes: dict[int, tuple[str, str]]
) -> None:  # fmt: skip
    island = ISLANDS[min((day - 1) // 59, len(ISLANDS) - 1)]
    facts.days.append(page.add(f"Day {day}. {_on(day)}. {island}.", "\n"))
    sentences: list[tuple[str, Callable[[Span], None] | None]] = []

    def mark(sentence: str, into: list[Mark], about: str, amount: int) -> None:
        sentences.append((sentence, lambda span: into.append(Mark(day, about, amount, span))))

    if dice.chance(0.1):
        mark("It blew a gale today.", facts.gales, island, 1)
    sentences.append(
        (
            fill(
                weather.draw(),
                decks,
                {"degrees": dice.between(-11, 4) if _season(day) is WINTER else dice.between(3, 17)},
            ),
            None,
        )
    )
    story = [
        fill(phrases.draw(), decks, {"island": island, "n": dice.between(3, 40), "hour": dice.between(4, 11)})
        for _ in range(dice.between(19, 24))
    ]
    sentences += [(sentence[0].upper() + sentence[1:], None) for sentence in story]
    if day in homes:
        who, town = homes[day]
        sentences.insert(
            dice.between(2, 8),
            (f"{who} comes from {town}.", lambda span: facts.homes.update({who: Mark(day, town, 0, span)})),
        )
    if day in PLANTED:
        key, sentence = PLANTED[day]
        sentences.insert(dice.between(2, 8), (sentence, lambda span: facts.planted.update({key: span})))
    if dice.chance(0.35):
        miles = dice.between(2, 14)
        mark(f"We walked {miles} miles.", facts.walks, island, miles)
    if dice.chance(0.3):
        animal, amount = dice.pick(ANIMALS), dice.between(4, 160)
        mark(f"Counted today on {island}: {amount} {animal}.", facts.counts, animal, amount)
    if dice.chance(0.2):
        fathoms = 97 if day == 289 else dice.between(5, 88)
        mark(f"The lead gave {fathoms} fathoms off {island}.", facts.soundings, island, fathoms)
    if day in DEPOTS:
        tins = dice.between(20, 95)
        mark(f"We left a depot of {tins} tins on {DEPOTS[day]}.", facts.depots, DEPOTS[day], tins)
    half = len(sentences) // 2
    for part in (sentences[:half], sentences[half:]):
        spans = page.paragraph([sentence for sentence, _ in part], after="\n")
        for (_, keep), span in zip(part, spans, strict=True):
            if keep:
                keep(span)
    page.add("", "\n")


def _on(day: int) -> str:
    return long_date(START + timedelta(days=day - 1))


def _questions(facts: Facts) -> list[Question]:
    def ask(kind: str, question: str, answer: object, accept: tuple[str, ...], *evidence: Span) -> Question:
        return Question(NAME, kind, question, str(answer), accept, evidence)  # type: ignore[arg-type]

    def spans(marks: Sequence[Mark]) -> tuple[Span, ...]:
        return tuple(mark.span for mark in marks)

    def month(marks: Sequence[Mark], year: int, number_of_month: int) -> list[Mark]:
        return [mark for mark in marks if _month(mark.day) == (year, number_of_month)]

    planted = facts.planted
    deepest = max(facts.soundings, key=lambda mark: mark.amount)
    richest = max(facts.depots, key=lambda mark: mark.amount)
    june = month(facts.walks, 1911, 6)
    autumn = [mark for mark in facts.gales if _month(mark.day) in {(1911, 9), (1911, 10), (1911, 11)}]
    seals = [mark for mark in facts.counts if mark.about == "seals"]
    best_seals = max(seals, key=lambda mark: mark.amount)
    puffins = [mark for mark in facts.counts if mark.about == "puffins" and _month(mark.day)[0] == 1911]
    tins = sum(mark.amount for mark in facts.depots)
    islands_text, islands_accept = names([mark.about for mark in facts.depots])
    first, second = facts.depots[0], facts.depots[4]
    more, fewer = (first, second) if first.amount > second.amount else (second, first)
    assert more.amount > fewer.amount
    mended, found = facts.homes["Anselm Brodie"], facts.homes["Corin Vale"]
    return [
        ask("find_one", "Where was the spare chronometer buried?", "under the cairn at Candle Point", (words("Candle Point"),), planted["chronometer"]),
        ask("find_one", "What did the crew name the white goat?", "Admiral", (words("Admiral"),), planted["goat"]),
        ask("find_one", "How many lamp chimneys were broken when the crate fell from the cliff?", 23, (number(23),), planted["crate"]),
        ask("aggregate", "What was the greatest depth that the lead gave, in fathoms?", deepest.amount, (number(deepest.amount),), deepest.span),
        ask("find_several", "On which islands was a depot left?", islands_text, islands_accept, *spans(facts.depots)),
        ask("find_several", "Which three people climbed the Anvil?", "Maud Sorrel, Piers Hatherley and Ragna Holm",
            (all_of(words(name) for name in ("Maud Sorrel", "Piers Hatherley", "Ragna Holm")),), planted["anvil"]),
        ask("count", "On how many days did it blow a gale in September, October and November 1911 together?", len(autumn), (number(len(autumn)),), *spans(autumn)),
        ask("count", "On how many days of June 1911 does the journal say how many miles were walked?", len(june), (number(len(june)),), *spans(june)),
        ask("compare", f"Which depot had more tins, the one on {first.about} or the one on {second.about}, and by how many?", f"the one on {more.about}, by {more.amount - fewer.amount}",
            (all_of((words(more.about), number(more.amount - fewer.amount))),), more.span, fewer.span),
        ask("multi_hop", "From which town does the person who mended the sextant come?", f"{mended.about} (Anselm Brodie)", (words(mended.about),), planted["sextant"], mended.span),
        ask("multi_hop", "From which town does the person who found the old whalers' oven come?", f"{found.about} (Corin Vale)", (words(found.about),), planted["oven"], found.span),
        ask("compare", "On which island was the depot with the most tins left?", richest.about, (words(richest.about),), *spans(facts.depots)),
        ask("aggregate", "How many tins were left in all the depots together?", tins, (number(tins),), *spans(facts.depots)),
        ask("aggregate", "How many miles were walked in June 1911 in all?", sum(mark.amount for mark in june), (number(sum(mark.amount for mark in june)),), *spans(june)),
        ask("aggregate", "How many puffins were counted in 1911 in all?", sum(mark.amount for mark in puffins), (number(sum(mark.amount for mark in puffins)),), *spans(puffins)),
        ask("aggregate", "What is the largest number of seals counted on one day?", best_seals.amount, (number(best_seals.amount),), best_seals.span),
    ]  # fmt: skip


def _season(day: int) -> tuple[str, ...]:
    return SUMMER if 4 <= _month(day)[1] <= 9 else WINTER


def _month(day: int) -> tuple[int, int]:
    on = START + timedelta(days=day - 1)
    return on.year, on.month

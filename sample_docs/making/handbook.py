"""``handbook.md``: the staff handbook of an invented bicycle works (about 13,000 tokens)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .handbook_phrases import (
    BIKE_NOTES,
    BIKES,
    PEOPLE,
    PERSON_NOTES,
    POLICIES,
    POOLS,
    ROOMS,
    ROUTE_NOTES,
    ROUTES,
    SERVICE_NOTES,
    SERVICES,
    SUPPLIER_NOTES,
    SUPPLIERS,
    TOOL_NOTES,
    TOOLS,
    YEAR,
)
from .questions import Question, all_of, names, number, words
from .text import Deck, Dice, Page, Span, fill

NAME = "handbook.md"


@dataclass(frozen=True)
class Fact:
    """One thing of the handbook, its numbers, and where its sentences stand."""

    name: str
    numbers: dict[str, int]
    words: dict[str, str]
    spans: dict[str, Span]


def make() -> tuple[str, list[Question]]:
    """The handbook's text and its questions."""
    dice, page = Dice("handbook"), Page()
    page.add("# Staff handbook of Larkspur Cycle Works", "\n\n")
    page.paragraph(
        [
            "Edition of this spring.",
            "Prices are in euros and include tax.",
            "A day means a working day unless it says otherwise.",
        ]
    )
    fixed: dict[str, Span] = {}
    for title, sentences in POLICIES:
        page.add(f"## {title}", "\n\n")
        for group in (sentences[:3], sentences[3:]):
            if group:
                fixed.update(zip(group, page.paragraph(group), strict=True))
    people = _people(dice, page)
    tools = _tools(dice, page)
    bikes = _bikes(dice, page)
    suppliers = _suppliers(dice, page)
    services = _services(dice, page)
    routes = _routes(dice, page)
    page.add("## The year", "\n\n")
    for month, sentences in YEAR:
        page.paragraph([f"**{month}.** {sentences[0]}", *sentences[1:]])
    page.add("## How this handbook changes", "\n\n")
    page.paragraph(["Write your change on paper, read it out on a Monday, and let it hang beside the kettle for two weeks.",
                    "If nobody crosses it out, it is in."], after="\n")  # fmt: skip
    return page.text, _questions(people, tools, bikes, suppliers, services, routes, fixed)


def _people(dice: Dice, page: Page) -> list[Fact]:
    page.add("## People", "\n\n")
    page.paragraph(
        [
            "The house has one telephone number and many extensions.",
            "Those who are first-aiders wear the green badge.",
        ]
    )
    decks = {name: Deck(dice, pool) for name, pool in POOLS.items()}
    notes, aiders = Deck(dice, PERSON_NOTES), set(dice.some([name for name, _ in PEOPLE], 6))
    extensions = dice.some(range(201, 299), len(PEOPLE))
    found = []
    for (name, role), extension in zip(PEOPLE, extensions, strict=True):
        page.add(f"### {name}", "\n\n")
        sentences = [f"{name} is the {role}; the extension is {extension}."]
        if name in aiders:
            sentences.append(f"{name} is a first-aider.")
        sentences += dict.fromkeys(fill(notes.draw(), decks) for _ in range(3))
        spans = page.paragraph(sentences)
        marks = {"extension": spans[0]} | ({"aid": spans[1]} if name in aiders else {})
        found.append(Fact(name, {"extension": extension}, {"role": role}, marks))
    return found


def _tools(dice: Dice, page: Page) -> list[Fact]:
    page.add("## Machines and tools", "\n\n")
    page.paragraph(
        [
            "Every machine has a keeper, who knows it best and decides who may use it.",
            "The value is what we would pay to replace it today.",
        ]
    )
    notes, found = Deck(dice, TOOL_NOTES), []
    for tool in TOOLS:
        keeper, room = dice.pick(PEOPLE)[0], dice.pick(ROOMS)
        value, weeks = dice.between(4, 190) * 10, dice.pick((2, 4, 6, 8, 12, 26))
        page.add(f"### {tool.capitalize()}", "\n\n")
        spans = page.paragraph([
            f"The {tool} is kept in {room}.", f"The keeper of the {tool} is {keeper}.", notes.draw(),
            f"The {tool} is serviced every {weeks} weeks.", f"Replacing the {tool} costs {value} euros.", notes.draw(), notes.draw(),
        ])  # fmt: skip
        marks = {"room": spans[0], "keeper": spans[1], "weeks": spans[3], "value": spans[4]}
        found.append(Fact(tool, {"value": value, "weeks": weeks}, {"room": room, "keeper": keeper}, marks))
    return found


def _bikes(dice: Dice, page: Page) -> list[Fact]:
    page.add("## The rental fleet", "\n\n")
    page.paragraph(
        [
            "Prices are for one day; a week costs five days.",
            "The deposit is taken in cash or blocked on a card, and given back when the bicycle is back and whole.",
        ]
    )
    notes, found = Deck(dice, BIKE_NOTES), []
    prices = dice.some(range(11, 59), len(BIKES))
    for bike, price in zip(BIKES, prices, strict=True):
        deposit, count, days = dice.between(4, 40) * 10, dice.between(2, 19), dice.between(20, 90)
        page.add(f"### {bike}", "\n\n")
        spans = page.paragraph([
            f"We own {count} bicycles of the model {bike}.", f"The {bike} rents for {price} euros a day.", f"The deposit for the {bike} is {deposit} euros.",
            notes.draw(), f"The {bike} goes to the workshop after {days} rental days.", notes.draw(), notes.draw(),
        ])  # fmt: skip
        marks = {"count": spans[0], "price": spans[1], "deposit": spans[2], "days": spans[4]}
        found.append(
            Fact(bike, {"count": count, "price": price, "deposit": deposit, "days": days}, {}, marks)
        )
    return found


def _suppliers(dice: Dice, page: Page) -> list[Fact]:
    page.add("## Suppliers", "\n\n")
    page.paragraph(
        [
            "Orders are placed by the parts buyer, on Wednesdays.",
            "Ask before you order elsewhere, even a single bolt.",
        ]
    )
    notes, found = Deck(dice, SUPPLIER_NOTES), []
    for supplier, goods in SUPPLIERS:
        days, least = dice.between(2, 21), dice.between(3, 30) * 10
        page.add(f"### {supplier}", "\n\n")
        spans = page.paragraph([
            f"{supplier} sends us {goods}.", f"Orders to {supplier} take {days} working days.", notes.draw(),
            f"The smallest order that {supplier} accepts is {least} euros.",
        ])  # fmt: skip
        found.append(
            Fact(
                supplier,
                {"days": days, "least": least},
                {"goods": goods},
                {"days": spans[1], "least": spans[3]},
            )
        )
    return found


def _services(dice: Dice, page: Page) -> list[Fact]:
    page.add("## Repairs and their prices", "\n\n")
    page.paragraph(
        [
            "Parts are extra.",
            "The minutes are those of a practised hand; double them for an apprentice and do not charge the difference.",
        ]
    )
    notes, found = Deck(dice, SERVICE_NOTES), []
    for service in SERVICES:
        minutes, price = dice.between(2, 48) * 5, dice.between(8, 160)
        page.add(f"### {service[0].upper()}{service[1:]}", "\n\n")
        spans = page.paragraph(
            [
                f"The {service} takes {minutes} minutes and costs {price} euros.",
                notes.draw(),
                notes.draw(),
                notes.draw(),
            ]
        )
        found.append(Fact(service, {"minutes": minutes, "price": price}, {}, {"price": spans[0]}))
    return found


def _routes(dice: Dice, page: Page) -> list[Fact]:
    page.add("## Guided rides", "\n\n")
    page.paragraph(
        [
            "Guided rides start at the chestnut tree.",
            "A ride with fewer than four people is called off the evening before, and the money goes back the same day.",
        ]
    )
    notes, found = Deck(dice, ROUTE_NOTES), []
    for route in ROUTES:
        guide, kilometres, price = dice.pick(PEOPLE)[0], dice.between(9, 72), dice.between(6, 35)
        page.add(f"### {route}", "\n\n")
        spans = page.paragraph([
            f"The {route} is {kilometres} kilometres long and costs {price} euros a person.", f"The {route} is guided by {guide}.", notes.draw(), notes.draw(), notes.draw(),
        ])  # fmt: skip
        found.append(
            Fact(route, {"kilometres": kilometres}, {"guide": guide}, {"length": spans[0], "guide": spans[1]})
        )
    return found


def _questions(
    people: Sequence[Fact], tools: Sequence[Fact], bikes: Sequence[Fact], suppliers: Sequence[Fact],
    services: Sequence[Fact], routes: Sequence[Fact], fixed: dict[str, Span],
) -> list[Question]:  # fmt: skip
    phone = {person.name: person for person in people}
    aiders = [person for person in people if "aid" in person.spans]
    quick = [supplier for supplier in suppliers if supplier.numbers["days"] <= 5]
    costly = [bike for bike in bikes if bike.numbers["deposit"] > 250]
    back = [tool for tool in tools if tool.words["room"] == "the back room"]
    first, second = sorted(bikes[8:12], key=lambda bike: -bike.numbers["price"])[:2]
    jig, drill = tools[1], tools[11]
    value = sum(tool.numbers["value"] for tool in back)
    keeper = phone[jig.words["keeper"]]
    fewest, next_fewest = sorted(bikes, key=lambda bike: bike.numbers["deposit"])[:2]
    assert fewest.numbers["deposit"] < next_fewest.numbers["deposit"], "two models share the smallest deposit"
    longest = max(routes, key=lambda route: route.numbers["kilometres"])
    guide = phone[longest.words["guide"]]
    slow = [service for service in services if service.numbers["minutes"] > 180]
    gap = first.numbers["price"] - second.numbers["price"]
    week = next(tool for tool in tools if tool.name == "battery tester")
    leave = "Everyone has 27 days of paid leave a year, and one more after every fifth year in the house."
    aid_text, aid_accept = names([person.name for person in aiders])
    quick_text, quick_accept = names([supplier.name for supplier in quick])
    extension = keeper.numbers["extension"]

    def ask(kind: str, question: str, answer: object, accept: tuple[str, ...], *evidence: Span) -> Question:
        return Question(NAME, kind, question, str(answer), accept, evidence)  # type: ignore[arg-type]

    bike = bikes[6]
    return [
        ask("find_one", "How many days of paid leave does everyone have a year?", 27, (number(27),), fixed[leave]),
        ask("find_one", f"What is the deposit for the {bike.name}, in euros?", bike.numbers["deposit"], (number(bike.numbers["deposit"]),), bike.spans["deposit"]),
        ask("find_one", f"Who is the keeper of the {drill.name}?", drill.words["keeper"], (words(drill.words["keeper"]),), drill.spans["keeper"]),
        ask("find_one", f"Every how many weeks is the {week.name} serviced?", week.numbers["weeks"], (number(week.numbers["weeks"]),), week.spans["weeks"]),
        ask("find_several", "Who are the first-aiders?", aid_text, aid_accept, *(person.spans["aid"] for person in aiders)),
        ask("find_several", "Which suppliers deliver within 5 working days or fewer?", quick_text, quick_accept, *(supplier.spans["days"] for supplier in quick)),
        ask("count", "For how many models of the rental fleet is the deposit more than 250 euros?", len(costly), (number(len(costly)),), *(bike.spans["deposit"] for bike in costly)),
        ask("count", "How many of the machines and tools are kept in the back room?", len(back), (number(len(back)),), *(tool.spans["room"] for tool in back)),
        ask("compare", f"Which rents for more a day, the {first.name} or the {second.name}, and by how many euros?", f"the {first.name}, by {gap} euros",
            (all_of((words(first.name), number(gap))),), first.spans["price"], second.spans["price"]),
        ask("multi_hop", f"What is the telephone extension of the keeper of the {jig.name}?", f"{extension} ({keeper.name})", (number(extension),),
            jig.spans["keeper"], keeper.spans["extension"]),
        ask("multi_hop", "How many bicycles do we own of the model with the smallest deposit?", f"{fewest.numbers['count']} ({fewest.name})",
            (number(fewest.numbers["count"]),), fewest.spans["deposit"], fewest.spans["count"]),
        ask("multi_hop", "What is the telephone extension of the person who guides the longest of the guided rides?", f"{guide.numbers['extension']} ({guide.name})",
            (number(guide.numbers["extension"]),), longest.spans["length"], longest.spans["guide"], guide.spans["extension"]),
        ask("count", "How many of the repairs take more than 180 minutes?", len(slow), (number(len(slow)),), *(service.spans["price"] for service in slow)),
        ask("aggregate", "What would it cost in euros to replace all the machines and tools that are kept in the back room?", value, (number(value),),
            *(span for tool in back for span in (tool.spans["room"], tool.spans["value"]))),
        ask("aggregate", "How many bicycles does the rental fleet have in all, over all models?", sum(bike.numbers["count"] for bike in bikes),
            (number(sum(bike.numbers["count"] for bike in bikes)),), *(bike.spans["count"] for bike in bikes)),
    ]  # fmt: skip

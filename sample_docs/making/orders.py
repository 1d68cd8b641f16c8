"""``orders.csv``: the orders of an invented web shop for garden seeds and tools, one a line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from .questions import Question, all_of, names, number, words
from .text import Dice, Page, Span

NAME = "orders.csv"

FIRST = (
    "Ada",
    "Bruno",
    "Clara",
    "Dev",
    "Elif",
    "Faye",
    "Goran",
    "Hana",
    "Ivo",
    "Juno",
    "Kofi",
    "Lena",
    "Milo",
    "Nadia",
    "Oskar",
    "Pia",
    "Quentin",
    "Rosa",
    "Samir",
    "Tilda",
    "Uma",
    "Viktor",
    "Wren",
    "Yusuf",
)
LAST = (
    "Abbott",
    "Bergstrom",
    "Cardoso",
    "Dimitrov",
    "Eriksen",
    "Farouk",
    "Galloway",
    "Hartmann",
    "Ilic",
    "Jansen",
    "Kowalski",
    "Laurent",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quiroga",
    "Rahman",
    "Schmidt",
    "Tanaka",
)
CITIES = (
    "Antwerp",
    "Bergen",
    "Cork",
    "Dresden",
    "Exeter",
    "Faro",
    "Ghent",
    "Halle",
    "Innsbruck",
    "Jena",
    "Kiel",
    "Lille",
)
PRODUCTS = (
    ("tomato seeds Amber", "seeds", 2.9), ("tomato seeds Midnight", "seeds", 3.4), ("bean seeds Climber", "seeds", 2.2), ("sunflower seeds Giant", "seeds", 1.9), ("basil seeds Lemon", "seeds", 2.5),
    ("hand trowel", "tools", 14.5), ("pruning shears", "tools", 32.0), ("watering can 9 l", "tools", 24.9), ("garden fork", "tools", 41.5), ("folding saw", "tools", 27.8),
    ("peat-free compost 40 l", "soil", 9.8), ("worm humus 10 l", "soil", 13.2), ("clay pot 24 cm", "pots", 11.4), ("zinc trough 60 cm", "pots", 46.0), ("raised bed kit", "pots", 129.0),
    ("bee hotel", "wildlife", 36.5), ("bird feeder", "wildlife", 21.0), ("hedgehog house", "wildlife", 58.0),
)  # fmt: skip
STATUS = ("delivered",) * 16 + ("returned", "returned", "cancelled", "open")
HEADER = (
    "order_id,ordered_on,customer,city,product,category,quantity,unit_price,discount_percent,total,status"
)
COUNT = 3600


@dataclass(frozen=True)
class Order:
    """One line. Money is in cents; ``total`` is after the discount."""

    id: str
    day: date
    customer: str
    city: str
    product: str
    category: str
    quantity: int
    price: int
    discount: int
    total: int
    status: str
    span: Span


def make() -> tuple[str, list[Question]]:
    """The CSV's text and its questions."""
    dice, page = Dice("orders"), Page()
    page.add(HEADER, "\n")
    customers = dice.some([f"{first} {last}" for first in FIRST for last in LAST], 240)
    home = {customer: dice.pick(CITIES) for customer in customers}
    orders = []
    day = date(2024, 1, 2)
    for count in range(COUNT):
        customer, (product, category, euros) = dice.pick(customers), dice.pick(PRODUCTS)
        quantity = dice.between(1, 24 if category == "seeds" else 6)
        price, discount = round(euros * 100), dice.pick((0, 0, 0, 0, 5, 10, 15))
        total = (quantity * price * (100 - discount) + 50) // 100
        order = f"GS-{10_001 + count}"
        status = dice.pick(STATUS)
        cells = (
            order,
            day.isoformat(),
            customer,
            home[customer],
            product,
            category,
            quantity,
            f"{price / 100:.2f}",
            discount,
            f"{total / 100:.2f}",
            status,
        )
        span = page.add(",".join(str(cell) for cell in cells), "\n")
        orders.append(
            Order(
                order,
                day,
                customer,
                home[customer],
                product,
                category,
                quantity,
                price,
                discount,
                total,
                status,
                span,
            )
        )
        if dice.chance(0.2):
            day += timedelta(days=1)
    return page.text, _questions(orders)


def _questions(orders: Sequence[Order]) -> list[Question]:
    def ask(
        kind: str, question: str, answer: object, accept: tuple[str, ...], found: Sequence[Order]
    ) -> Question:
        return Question(NAME, kind, question, str(answer), accept, tuple(order.span for order in found))  # type: ignore[arg-type]

    def those(test: Callable[[Order], bool]) -> list[Order]:
        return [order for order in orders if test(order)]

    one, other = orders[1_734], orders[2_890]
    per_customer = Counter(order.customer for order in orders)
    (best, most), (_, second) = per_customer.most_common(2)
    assert most > second, "two customers share the first place"
    returned = those(lambda o: o.status == "returned" and o.product == "raised bed kit")
    cancelled = those(lambda o: o.status == "cancelled" and o.day.year == 2025 and o.day.month == 3)
    big = those(lambda o: o.product == "hedgehog house" and o.quantity >= 5 and o.city == "Ghent")
    big_text, big_accept = names(list(dict.fromkeys(order.customer for order in big)))
    money: dict[str, int] = defaultdict(int)
    for order in orders:
        if order.status == "delivered":
            money[order.city] += order.total
    gap = abs(money["Cork"] - money["Lille"])
    richer = max(("Cork", "Lille"), key=lambda city: money[city])
    may = those(
        lambda o: (
            o.category == "wildlife" and o.status == "delivered" and (o.day.year, o.day.month) == (2025, 5)
        )
    )
    buyer = those(lambda o: o.customer == orders[812].customer)
    best_delivered = those(lambda o: o.customer == best and o.status == "delivered")
    return [
        ask("find_one", f"Which product was ordered in order {one.id}?", one.product, (words(one.product),), [one]),
        ask("find_one", f"What is the total of order {other.id}, in euros?", f"{other.total / 100:.2f}", (number(other.total / 100),), [other]),
        ask("find_several", "Which customers in Ghent ordered five or more hedgehog houses in one order?", big_text, big_accept, big),
        ask("count", "How many orders were cancelled in March 2025?", len(cancelled), (number(len(cancelled)),), cancelled),
        ask("count", "How many orders of the raised bed kit were returned?", len(returned), (number(len(returned)),), returned),
        ask("compare", "From which city did delivered orders bring more money, Cork or Lille, and by how many euros?", f"{richer}, by {gap / 100:,.2f} euros",
            (all_of((words(richer), number(gap / 100))),), those(lambda o: o.status == "delivered" and o.city in {"Cork", "Lille"})),
        ask("multi_hop", f"How many orders did the customer of order {orders[812].id} place in all?", f"{len(buyer)} ({orders[812].customer})",
            (number(len(buyer)),), buyer),
        ask("multi_hop", "What is the sum of the totals of the delivered orders of the customer with the most orders, in euros?",
            f"{sum(order.total for order in best_delivered) / 100:,.2f} ({best})", (number(sum(order.total for order in best_delivered) / 100),), best_delivered),
        ask("aggregate", "What is the sum of the totals of all delivered orders of the category wildlife in May 2025, in euros?", f"{sum(order.total for order in may) / 100:,.2f}",
            (number(sum(order.total for order in may) / 100),), may),
        ask("aggregate", "How many packets of tomato seeds Midnight were ordered in all, over all orders?", sum(order.quantity for order in orders if order.product == "tomato seeds Midnight"),
            (number(sum(order.quantity for order in orders if order.product == "tomato seeds Midnight")),), those(lambda o: o.product == "tomato seeds Midnight")),
    ]  # fmt: skip

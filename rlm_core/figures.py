"""Counts, sums, averages and extremes that code reads off the material by itself, for models that cannot write the code.

Each statement says what was counted, so that it is true even where something else was meant. Where the question has a
condition that is not understood here (a comparison, a number or a name that is not found), nothing is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rlm_core.context import Context
from rlm_core.grids import Grid, Row, grids
from rlm_core.line_counts import COMPARES, COUNTS, MOST_PLACES, YEAR, Figure, names_in, stands_in
from rlm_core.lines import asked_for, in_german
from rlm_core.tally import readable

MOST_VALUES = 40

_SUM = re.compile(r"\b(?:sum|total|how much|altogether|in all|summe|insgesamt|gesamt\w*|wie ?viel)\b", re.I)
_AVERAGE = re.compile(r"\b(?:average|mean|durchschnitt\w*|im schnitt|mittelwert)\b", re.I)
_ADDS_UP = re.compile(r"\b(?:sums?|average|mean|summe\w*|durchschnitt\w*)\b", re.I)
_LARGEST = re.compile(
    r"\b(?:highest|largest|biggest|greatest|longest|most|maximum|höchste\w*|größte\w*|längste\w*|teuerste\w*|meiste\w*)\b",
    re.I,
)
_SMALLEST = re.compile(
    r"\b(?:lowest|smallest|shortest|cheapest|least|fewest|minimum|niedrigste\w*|kleinste\w*|kürzeste\w*|billigste\w*|günstigste\w*)\b",
    re.I,
)
_WHICH = re.compile(r"\b(?:which|what are|list|welche[rns]?|nenne|liste)\b", re.I)
_ASKS = (COUNTS, _SUM, _AVERAGE, _LARGEST, _SMALLEST, _WHICH)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?: .+)?|\d{1,2}\.\d{1,2}\.\d{4}")
_MONTHS = ("jan", "feb", "mar|mär", "apr", "may|mai", "jun", "jul", "aug", "sep", "o[ck]t", "nov", "de[cz]")


def figure_of_table(question: str, context: Context, before: str = "") -> Figure | None:
    """What the table that fits the question best says about it as a whole; None when that is nothing. ``before`` is the
    question that this one follows up: what is not said anew holds on."""
    said = f"{before} {question}"
    if COMPARES.search(said) or not any(asks.search(said) for asks in _ASKS):
        return None
    asked = max(
        (_Asked(question, grid, before) for grid in grids(context)), key=lambda one: one.fit, default=None
    )
    return asked.figure() if asked is not None and asked.fit else None


@dataclass(frozen=True)
class _Dated:
    """A period: the column that holds dates, how those within it are written, and what the question calls it."""

    column: int
    within: re.Pattern[str]
    words: str


class _Asked:
    """A question about one table: which columns it names, and which rows by what stands in them."""

    def __init__(self, question: str, grid: Grid, before: str) -> None:
        self._question = f"{before} {question[:1].lower()}{question[1:]}" if before else question
        self._asks = question if any(asks.search(question) for asks in _ASKS) else self._question
        self._grid = grid
        words = asked_for(self._question)
        shares = [len(asked_for(name) & words) / (len(asked_for(name)) or 1) for name in grid.columns]
        self._columns = sorted((n for n, share in enumerate(shares) if share), key=lambda n: -shares[n])
        named = dict(self._named_values())
        self._values = {column: found[-1] for column, found in named.items()}
        several = not before and any(  # values of one column: this one and that one
            value.casefold() not in found[-1].casefold() for found in named.values() for value in found
        )
        self._dated = self._named_period()
        self._rows = [number for number, row in enumerate(grid.rows) if self._meant(row)]
        self.fit = 0 if several else sum(shares) + 2 * len(self._values)

    def _meant(self, row: Row) -> bool:
        if self._dated is not None and not self._dated.within.fullmatch(row.cells[self._dated.column]):
            return False
        return all(row.cells[column] == value for column, value in self._values.items())

    def figure(self) -> Figure | None:
        """The statement; None when a part of the question was not understood, or a single row answers it."""
        known = {
            word
            for text in (
                *self._values.values(),
                self._grid.name,
                *self._grid.columns,
                self._dated.words if self._dated else "",
            )
            for word in asked_for(text)
        }
        names = [name for name in names_in(self._question) if not asked_for(name) <= known]
        digits = [name for name in names if any(map(str.isdigit, name))]
        if digits or (names and not in_german(self._question)) or len(self._rows) < 2:
            return None
        number = self._number_column()
        texts = [n for n in self._columns if n not in self._grid.numbers and n not in self._values]
        extreme = _LARGEST.search(self._asks) or _SMALLEST.search(self._asks)
        if extreme and (_ADDS_UP.search(self._asks) or COUNTS.search(self._asks)):
            return None  # one after the other
        if number is not None and _AVERAGE.search(self._asks):
            return self._worked_out("average", number)
        if number is not None and extreme:
            return self._extreme(number)
        if COUNTS.search(self._asks) and (self._values or texts):
            return self._counted(texts)
        if number is not None and (_SUM.search(self._asks) or COUNTS.search(self._asks)):
            return self._worked_out("sum", number)
        if texts and (_WHICH.search(self._asks) or _LARGEST.search(self._asks)):
            return self._listed(texts[0])
        return None

    def _number_column(self) -> int | None:
        """The column of numbers that the question names, or the only one there is."""
        numbers = self._grid.numbers
        named = [column for column in self._columns if column in numbers]
        return named[0] if named else next(iter(numbers)) if len(numbers) == 1 else None

    def _worked_out(self, what: str, column: int) -> Figure | None:
        values = self._given(column)
        if not values:
            return None
        total = sum((value for _, value in values), Decimal(0))
        said = readable(total if what == "sum" else total / len(values))
        return self._say(
            f"The {what} of {self._grid.columns[column]} over {self._which_rows(len(values))} is {said}."
        )

    def _extreme(self, column: int) -> Figure | None:
        largest = _LARGEST.search(self._asks)
        values = self._given(column)
        if not values:
            return None
        row, value = (max if largest else min)(values, key=lambda pair: pair[1])
        what = "largest" if largest else "smallest"
        said = (
            f"The {what} {self._grid.columns[column]} in {self._which_rows(len(values))} is {readable(value)}"
        )
        return Figure(f"{said}: “{row.text.strip()}”", ((row.start, row.end),))

    def _counted(self, texts: Sequence[int]) -> Figure:
        said = []
        if self._values or self._dated:
            said.append(
                f"{len(self._rows):,} of the {len(self._grid.rows):,} rows of {self._grid.name} have {self._condition()}."
            )
        if texts:
            different = len(self._counter(texts[0]))
            where = "These rows hold" if said else f"The {len(self._rows):,} rows of {self._grid.name} hold"
            if not said or different < len(self._rows) / 2:
                said.append(f"{where} {different:,} different values of {self._grid.columns[texts[0]]}.")
        return self._say(" ".join(said))

    def _listed(self, column: int) -> Figure | None:
        counter = self._counter(column)
        if not 1 < len(counter) <= MOST_VALUES:
            return None
        values = ", ".join(f"{value} ({count:,})" for value, count in counter.most_common())
        return self._say(
            f"{self._grid.columns[column]} has {len(counter)} different values in {self._which_rows(len(self._rows))}: {values}."
        )

    def _counter(self, column: int) -> Counter[str]:
        cells = (self._grid.rows[number].cells[column] for number in self._rows)
        return Counter(cell for cell in cells if cell)

    def _given(self, column: int) -> list[tuple[Row, Decimal]]:
        values = self._grid.numbers[column]
        found = ((self._grid.rows[number], values[number]) for number in self._rows)
        return [(row, value) for row, value in found if value is not None]

    def _which_rows(self, number: int) -> str:
        if not self._values and self._dated is None:
            return f"all {number:,} rows of {self._grid.name}"
        return f"the {number:,} rows of {self._grid.name} that have {self._condition()}"

    def _condition(self) -> str:
        said = [f"“{value}” as {self._grid.columns[column]}" for column, value in self._values.items()]
        if self._dated is not None:
            said.append(f"a day of {self._dated.words} as {self._grid.columns[self._dated.column]}")
        return " and ".join(said)

    def _say(self, said: str) -> Figure:
        rows = [self._grid.rows[number] for number in self._rows[:MOST_PLACES]]
        return Figure(said, tuple((row.start, row.end) for row in rows))

    def _named_values(self) -> Iterator[tuple[int, list[str]]]:
        """What stands in cells of a column and in the question, in its order: the last corrects the question before."""
        asked = self._question.casefold()
        taken: set[str] = set()
        for column in range(len(self._grid.columns)):
            if column in self._grid.numbers:
                continue
            values = {row.cells[column] for row in self._grid.rows}
            found = [
                value for value in values if value.casefold() in asked and stands_in(value, self._question)
            ]
            if not found:
                continue
            found.sort(key=lambda value: (asked.rfind(value.casefold()) + len(value.casefold()), len(value)))
            best = found[-1]
            if len(best) > 1 and best.casefold() not in taken:
                taken.add(best.casefold())
                yield column, found

    def _named_period(self) -> _Dated | None:
        """The year, or the month of a year, that the question names, if a column holds dates."""
        year = YEAR.search(self._question)
        columns = (
            n
            for n in range(len(self._grid.columns))
            if all(_DATE.fullmatch(row.cells[n]) for row in self._grid.rows)
        )
        column = next(columns, None)
        if year is None or column is None:
            return None
        for number, names in enumerate(_MONTHS, start=1):
            month = re.search(rf"\b(?:{names})[a-zé]* {year[0]}", self._question, re.I)
            if month is not None:
                within = re.compile(rf"{year[0]}-{number:02}-.+|\d+\.0?{number}\.{year[0]}")
                return _Dated(column, within, month[0])
        return _Dated(column, re.compile(rf"{year[0]}-.+|.+\.{year[0]}"), year[0])

"""``meeting_notes.txt``: three years of meetings of an invented theatre (more than 50,000 tokens)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from .questions import Question, all_of, names, number, words
from .text import MONTHS, Deck, Dice, Page, Span, fill, long_date

NAME = "meeting_notes.txt"

MEMBERS = (
    "Hedda Marsh", "Lucian Obi", "Frances Tolliver", "Anton Breck", "Mirela Hughes", "Stellan Grove", "Beatrix Amadi", "Owen Castor", "Paloma Reyes", "Gideon Lark",
)  # fmt: skip
THINGS = (
    "the boiler", "the fly tower ropes", "the lighting desk lamps", "the costume store", "the bar licence", "the box office window", "the youth group", "the touring van", "the roof over the foyer",
    "the seat covers", "the programme booklet", "the fire curtain", "the dressing room mirrors", "the orchestra pit rail", "the subscription prices", "the rehearsal calendar", "the workshop saw",
    "the paint shop drain", "the hearing loop", "the cloakroom numbers", "the volunteers' evening", "the poster boards", "the summer school", "the courtyard stage", "the stage door lock", "the sound desk",
    "the archive of photographs", "the neighbours' complaint about noise", "the sponsors' dinner", "the insurance", "the wig cupboard", "the bicycle rack", "the coffee machine", "the surtitles screen", "the puppet workshop",
)  # fmt: skip
SAID = (
    "{who} reported that {thing} had come up again in {count} letters since the last meeting.", "{who} had looked at {thing} together with the caretaker and found it worse than expected.",
    "{who} thought that the house could live with it for another season.", "{who} asked whether anybody knew what was paid the last time; nobody did.",
    "{who} reminded everyone that the ticket money of the winter is already spoken for.", "There was a long talk about whose task this is.", "{who} and {other} disagreed about the order of the work, politely.",
    "{who} showed drawings on the back of a seating plan.", "{who} warned that the spring premiere leaves no free weekend before the second half of the month.", "Two firms had been asked and one had answered.",
    "{who} would rather wait for the grant, which may come in autumn or not at all.", "{other} offered to ask at the opera, where they had the same trouble a few years ago.",
    "{who} counted {count} hours of volunteer work since the beginning of the season.", "The fire inspector's letter was read out in full, including the part about the ladders.", "{who} said that visitors mention it at the bar, which is where one hears the truth.",
    "{other} had kept the old invoices and promised to copy them.", "It was agreed that nobody should climb up there alone again.", "{who} asked for a decision this time and not for another list.",
    "The minutes of the previous meeting were wrong on this point and were corrected by hand.", "{who} pointed out that the matinee audience sees it every week and the committee never does.",
    "{other} asked what happens if we do nothing; {who} said: it will rain in.", "A sponsor might be found if the name can be put on a small brass plate.", "{who} suggested doing it ourselves over two Sundays, with soup.",
    "After {count} minutes the chair closed the discussion.", "Everyone had something to say about {thing}, and most of it had been said in the spring.", "{who} passed round a sample, which nobody liked.",
    "The youth group had written a letter of its own, with drawings, and it was the clearest paper of the evening.", "{other} remembered that {thing} was the reason for the quarrel of ten years ago and asked for calm.",
    "{who} has found a second-hand one at a closed cinema in the next county.", "The technician's view was that it is safe but not beautiful.", "{who} would take it on if somebody else did the telephoning.",
)  # fmt: skip
DECIDED = (
    "We repair {thing} before the next premiere", "We ask three firms for a price for {thing}", "We leave {thing} as it is until the end of the season", "We pay for new parts for {thing}",
    "We set up a working group for {thing}", "We have {thing} inspected", "We put {thing} on the list for the grant", "We hire help for {thing} for two weekends", "We start again with {thing} from the beginning",
)  # fmt: skip
NOTICES = (
    "The piano tuner comes on the first Tuesday.", "The cat of the stage door has been seen by a doctor and is well.", "Keys to the costume store are to be signed for.", "{count} tickets were left for Saturday at the time of the meeting.",
    "The lost property box is full and will be emptied.", "{who} thanks everyone who carried chairs.", "The heating will be off for one day for cleaning.", "Please write on the props list what you take.", "{who} has a new telephone number, which is on the board.",
    "The bar takings of the week were good.", "The school matinee is sold out with {count} children.", "The rehearsal room smells of varnish and should be aired.",
)  # fmt: skip
PLANTED = {
    9: ("the revolving stage", "We buy a new motor for the revolving stage", 8_450), 21: ("the grand piano", "We have the grand piano overhauled", 6_120), 34: ("the old projector", "We sell the old film projector to the museum", 0),
    47: ("the ghost light", "We keep the ghost light burning through the whole summer break", 75), 58: ("the rain drum", "We build a second rain drum for the storm scene", 390),
    70: ("the trapdoor", "We close the left trapdoor for good", 1_180), 83: ("the guest company from Varna", "We invite the guest company from Varna for six evenings", 14_300), 96: ("the swan boat", "We lend the swan boat to the harbour festival", 0),
}  # fmt: skip
COUNT = 112


@dataclass(frozen=True)
class Decision:
    """One decision; ``meeting`` counts from 1, ``budget`` is in euros (0: none was needed)."""

    number: int
    meeting: int
    day: date
    what: str
    owner: str
    budget: int
    span: Span


@dataclass(frozen=True)
class Meeting:
    number: int
    day: date
    chair: str
    minutes: str
    absent: tuple[str, ...]
    head: Span
    minutes_span: Span
    absent_span: Span


def make() -> tuple[str, list[Question]]:
    """The notes' text and their questions."""
    dice, page = Dice("meetings"), Page()
    said, notices = Deck(dice, SAID), Deck(dice, NOTICES)
    things = Deck(dice, THINGS)
    page.add("HARROW STREET THEATRE", "\n")
    page.add("Notes of the house committee from January 2023 on", "\n")
    page.add("Budgets are in euros. A decision stays valid until a later one replaces it.", "\n\n")
    meetings: list[Meeting] = []
    decisions: list[Decision] = []
    day = date(2023, 1, 10)
    for count in range(1, COUNT + 1):
        meeting = _head(dice, page, count, day)
        meetings.append(meeting)
        present = [name for name in MEMBERS if name not in meeting.absent]
        topics = [things.draw() for _ in range(dice.between(3, 4))]
        if count in PLANTED:
            topics.insert(dice.between(0, 2), PLANTED[count][0])
        for item, thing in enumerate(topics, 1):
            decision = _item(dice, page, said, meeting, present, item, thing, len(decisions) + 1)
            decisions.append(decision)
        cards = {"who": Deck(dice, present)}
        page.paragraph(
            ["Notices.", *(fill(notices.draw(), cards, {"count": dice.between(12, 90)}) for _ in range(3))]
        )
        day += timedelta(days=dice.pick((7, 7, 7, 14)))
    page.add("END OF THE NOTES", "\n")
    return page.text, _questions(meetings, decisions)


def _head(dice: Dice, page: Page, count: int, day: date) -> Meeting:
    absent = dice.some(MEMBERS, dice.between(1, 3))
    present = [name for name in MEMBERS if name not in absent]
    chair, minutes = dice.some(present, 2)
    head = page.add(f"MEETING {count:03} - {long_date(day)}", "\n")
    page.add(f"Present: {', '.join(present)}.", "\n")
    absent_span = page.add(f"Absent: {', '.join(absent)}.", "\n")
    page.add(f"Chair: {chair}.", " ")
    minutes_span = page.add(f"Minutes: {minutes}.", "\n\n")
    return Meeting(count, day, chair, minutes, tuple(absent), head, minutes_span, absent_span)


def _item(
    dice: Dice,
    page: Page,
    said: Deck,
    meeting: Meeting,
    present: Sequence[str],
    item: int,
    thing: str,
    count: int,
) -> Decision:
    page.add(f"{item}. {thing[0].upper()}{thing[1:]}", "\n")
    sentences = []
    for _ in range(dice.between(3, 5)):
        who, other = dice.some(present, 2)
        sentence = fill(
            said.draw(), {}, {"who": who, "other": other, "thing": thing, "count": dice.between(3, 60)}
        )
        sentences.append(sentence[0].upper() + sentence[1:])
    page.paragraph(sentences, after="\n")
    planted = PLANTED.get(meeting.number)
    if planted and planted[0] == thing:
        _, what, budget = planted
    else:
        what = dice.pick(DECIDED).replace("{thing}", thing)
        budget = 0 if what.startswith("We leave") or dice.chance(0.25) else dice.between(5, 240) * 10
    owner, due = dice.pick(present), meeting.day + timedelta(days=dice.between(10, 80))
    money = f"{budget:,} euros" if budget else "none"
    line = f"Decision {count:03}: {what}. Owner: {owner}. Due: {long_date(due)}. Budget: {money}."
    return Decision(count, meeting.number, meeting.day, what, owner, budget, page.add(line, "\n\n"))


def _questions(meetings: Sequence[Meeting], decisions: Sequence[Decision]) -> list[Question]:
    def ask(kind: str, question: str, answer: object, accept: tuple[str, ...], *evidence: Span) -> Question:
        return Question(NAME, kind, question, str(answer), accept, evidence)  # type: ignore[arg-type]

    def decided(part: str) -> Decision:
        return next(decision for decision in decisions if part in decision.what)

    def those(test: Callable[[Decision], bool]) -> list[Decision]:
        return [decision for decision in decisions if test(decision)]

    stage, piano, varna, drum = (
        decided("revolving stage"),
        decided("grand piano"),
        decided("Varna"),
        decided("rain drum"),
    )
    projector, swan, trapdoor = decided("projector"), decided("swan boat"), decided("trapdoor")
    seller = meetings[projector.meeting - 1]
    lender = meetings[swan.meeting - 1]
    march = those(lambda d: (d.day.year, d.day.month) == (2024, 3) and d.budget > 0)
    paloma = those(lambda d: d.owner == "Paloma Reyes" and d.day.year == 2025)
    gideon = those(lambda d: d.owner == "Gideon Lark" and d.day.year == 2023 and d.budget > 0)
    large = those(lambda d: d.budget > 2_350 and d.day.year == 2024)
    boiler = those(lambda d: "the boiler" in d.what and d.budget > 0)
    chaired = [meeting for meeting in meetings if meeting.chair == "Hedda Marsh"]
    summer = [
        meeting
        for meeting in meetings
        if "Owen Castor" in meeting.absent and (meeting.day.year, meeting.day.month) in {(2024, 6), (2024, 7)}
    ]
    owners = sorted({decision.owner for decision in large}, key=MEMBERS.index)
    gap = piano.budget - stage.budget
    bigger, smaller = (piano, stage) if gap > 0 else (stage, piano)
    label = {
        piano.number: "the overhaul of the grand piano",
        stage.number: "the motor for the revolving stage",
    }
    owners_text, owners_accept = names(owners)
    dates_text, dates_accept = names([long_date(meeting.day) for meeting in summer])
    march_sum, gideon_sum = sum(d.budget for d in march), sum(d.budget for d in gideon)
    month, plain_day = MONTHS[trapdoor.day.month - 1], trapdoor.day
    return [
        ask("find_one", "What is the budget for the new motor for the revolving stage, in euros?", f"{stage.budget:,} euros", (number(stage.budget),), stage.span),
        ask("find_one", "Who owns the decision to invite the guest company from Varna?", varna.owner, (words(varna.owner),), varna.span),
        ask("find_one", "What is the number of the decision to build a second rain drum?", drum.number, (rf"(?<!\d)0*{drum.number}(?!\d)",), drum.span),
        ask("find_one", "On what date was it decided to close the left trapdoor for good?", long_date(plain_day),
            (rf"(?<!\d)0?{plain_day.day}(st|nd|rd|th)?( of)? {month},? {plain_day.year}", rf"{month} 0?{plain_day.day}(st|nd|rd|th)?,? {plain_day.year}", plain_day.isoformat()),
            meetings[trapdoor.meeting - 1].head, trapdoor.span),
        ask("find_several", "Who owns the decisions of 2024 that have a budget above 2,350 euros?", owners_text, owners_accept, *(d.span for d in large)),
        ask("find_several", "On which dates in June and July 2024 was Owen Castor absent from the meeting?", dates_text, dates_accept,
            *(span for meeting in summer for span in (meeting.head, meeting.absent_span))),
        ask("count", "How many decisions made in 2025 are owned by Paloma Reyes?", len(paloma), (number(len(paloma)),), *(d.span for d in paloma)),
        ask("count", "How many meetings did Hedda Marsh chair?", len(chaired), (number(len(chaired)),), *(meeting.head for meeting in chaired)),
        ask("compare", "Which has the larger budget, the new motor for the revolving stage or the overhaul of the grand piano, and by how many euros?",
            f"{label[bigger.number]}, by {abs(gap):,} euros", (all_of((words("motor" if bigger is stage else "piano"), number(abs(gap)))),), bigger.span, smaller.span),
        ask("multi_hop", "Who took the minutes of the meeting that decided to sell the old film projector?", seller.minutes, (words(seller.minutes),),
            projector.span, seller.head, seller.minutes_span),
        ask("multi_hop", "Who was absent from the meeting that decided to lend the swan boat to the harbour festival?", *names(lender.absent),
            swan.span, lender.head, lender.absent_span),
        ask("aggregate", "What is the sum of the budgets of all decisions made in March 2024, in euros?", f"{march_sum:,} euros", (number(march_sum),), *(d.span for d in march)),
        ask("aggregate", "What is the sum of the budgets of the decisions made in 2023 that Gideon Lark owns, in euros?", f"{gideon_sum:,} euros", (number(gideon_sum),), *(d.span for d in gideon)),
        ask("aggregate", "How much money was set aside for the boiler over all decisions about it, in euros?", f"{sum(d.budget for d in boiler):,} euros",
            (number(sum(d.budget for d in boiler)),), *(d.span for d in boiler)),
    ]  # fmt: skip

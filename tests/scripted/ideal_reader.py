"""The ideal reader: a model with a small window that reads its prompt perfectly and knows nothing else.

It is a script for the scripted servers (``IdealReader().reply``). What it can do with a prompt is a list of *policies*,
plain functions that look at the request and answer it or pass it on; the first that answers wins. An engine under test adds
its own for its own prompts::

    reader = IdealReader(policies=[my_root_policy])      # before the ones that are here
    ScriptedOllama(reader.reply, window=4096)

It remembers nothing between calls. What it can understand of the sample documents is in ``facts.py``, the ways of asking
are in ``answers.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.scripted.answers import QUESTIONS, Asked, phrase
from tests.scripted.facts import Fact, last_heading, read_facts
from tests.scripted.script import ChatRequest, Reply

WINDOW = 4096
NOTHING = "The passages do not say."
_LABEL = re.compile(r"^(?:\[\d+\]|-{3,}|={3,}|<passage\b[^>]*>|</passage>|Passage \d+).*$", re.MULTILINE)
_GREETING = re.compile(r"\s*(?:hello|hi|hey|good (?:morning|day|evening))\b[^?]*[.!]?\s*", re.IGNORECASE)

Policy = Callable[["IdealReader", ChatRequest], "str | Reply | None"]


@dataclass(frozen=True)
class Understood:
    """A question that the reader knows how to answer: the way of asking and what it says in its places."""

    asked: Asked
    match: re.Match[str]


class IdealReader:
    """``policies`` are tried first, in order; :func:`greet` and :func:`read_passages` come after them."""

    window = WINDOW

    def __init__(self, policies: Sequence[Policy] = ()) -> None:
        self.policies: tuple[Policy, ...] = (*policies, greet, read_passages)

    def reply(self, request: ChatRequest) -> str | Reply:
        """The script."""
        for policy in self.policies:
            if (answer := policy(self, request)) is not None:
                return answer
        return NOTHING

    @staticmethod
    def understand(question: str) -> Understood | None:
        """Which way of asking this is; None when it is none that the reader knows."""
        found = ((asked, asked.pattern.search(question)) for asked in QUESTIONS)
        return next((Understood(asked, match) for asked, match in found if match), None)

    def facts(self, question: str, passages: Iterable[str]) -> list[Fact]:
        """What the passages say that the answer follows from."""
        understood = self.understand(question)
        if understood is None:
            return []
        asked, match = understood.asked, understood.match
        facts = read_facts(passages, asked.kinds)
        return [fact for fact in facts if asked.narrow(match, fact) and (fact.on or not asked.dated)]

    def notes(self, question: str, passages: Iterable[str]) -> list[str]:
        """The lines that matter for the question, each with its place in the document.

        Notes are passages themselves: :meth:`answer` over the notes of all parts of a document is the answer over the
        document. Where dates matter, the last heading of a passage is noted too: the next part goes on under it.
        """
        understood = self.understand(question)
        if understood is None:
            return []
        asked, match = understood.asked, understood.match
        notes: dict[str, None] = {}
        for passage in passages:
            facts = [fact for fact in read_facts([passage], asked.kinds) if asked.narrow(match, fact)]
            notes |= dict.fromkeys(fact.note for fact in asked.keep(match, facts))
            if asked.dated and (heading := last_heading(passage)):
                notes[f"({heading})"] = None
        return list(notes)

    def answer(self, question: str, passages: Iterable[str]) -> str | None:
        """The answer that follows from the passages; None when they do not give one."""
        understood = self.understand(question)
        if understood is None:
            return None
        facts = self.facts(question, passages)
        return phrase(understood.asked.conclude(understood.match, facts)) if facts else None


def greet(reader: IdealReader, request: ChatRequest) -> str | None:
    """A greeting gets one back."""
    return "Hello! How can I help you?" if _GREETING.fullmatch(request.last) else None


def read_passages(reader: IdealReader, request: ChatRequest) -> str:
    """A plain question with material around it: the answer, or that the material does not give one."""
    question, material = split_question(request.last)
    passages = split_passages(material)
    passages += [message.content for message in request.messages[:-1] if message.role != "assistant"]
    return reader.answer(question, passages) or NOTHING


def split_question(prompt: str) -> tuple[str, str]:
    """The question of a prompt and the rest of it: a line that begins with "Question:", else the last line that asks."""
    lines = prompt.splitlines()
    stated = [
        n
        for n, line in enumerate(lines)
        if re.match(r"\s*(?:the )?(?:original )?question\s*:", line, re.IGNORECASE)
    ]
    asking = [n for n, line in enumerate(lines) if line.rstrip().endswith("?")]
    place = stated[-1] if stated else asking[-1] if asking else len(lines) - 1
    question = lines[place].partition(":")[2] if stated else lines[place]
    if stated and not question.strip() and place + 1 < len(lines):
        question = lines.pop(place + 1)
    return question.strip().strip('"'), "\n".join(lines[:place] + lines[place + 1 :])


def split_passages(material: str) -> list[str]:
    """Passages between lines that label them. Each is read for itself: what stands before one does not date the next."""
    starts = [0, *(match.start() for match in _LABEL.finditer(material)), len(material)]
    return [material[a:b] for a, b in pairwise(starts) if material[a:b].strip()]

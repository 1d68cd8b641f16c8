"""Is this message answered by one direct call, or recursively, and why.

Cheap signals come first; they cost nothing and their reasons can be shown. Only a score in the grey zone around the
threshold asks the fast model, and if that fails the cheap score decides.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass, replace

from rlm_core.backends.base import ChatMessage
from rlm_core.calls import ModelCalls
from rlm_core.errors import LocalRLMError
from rlm_core.prompts import COMPLEXITY, COMPLEXITY_SCHEMA
from rlm_core.question import Question, shorten
from rlm_core.results import Route
from rlm_core.router import TINY
from rlm_core.run import Run

log = logging.getLogger(__name__)

GREY_ZONE = 0.15
MODEL_SECONDS = 8.0
MODEL_WEIGHT = 0.2
"""How far the model's verdict moves the score: enough to leave the grey zone, not enough to overrule clear signals."""

_WHOLE = re.compile(
    r"\b(how many|how often|how much in total|count|number of|list (?:all|every|each|the)|all (?:the|of the|dates|names)|every|each|"
    r"total|sum of|average|mean|median|most (?:often|frequent|common)|least|highest|lowest|largest|smallest|longest|earliest|latest|"
    r"in total|altogether|overall|summari[sz]e|summary|overview|main (?:points|topics|ideas)|outline|which of the|rank|sort|"
    r"wie ?viele|z[äa]hle|liste (?:alle|die)|alle|jede[rsn]?|insgesamt|summe|durchschnitt|zusammenfass\w*|fasse)\b",
    re.IGNORECASE,
)
_COMPARE = re.compile(
    r"\b(compare|comparison|difference(?:s)? between|versus|vs\.?|contrast|more than|less than|better than|both|"
    r"vergleich\w*|unterschied\w*|gegen[üu]ber)\b",
    re.IGNORECASE,
)
_STEPS = re.compile(
    r"\b(step by step|first .{1,80} then|and then|based on (?:that|this|these)|calculate|compute|derive|analy[sz]e|plan|design|"
    r"berechne\w*|schritt f[üu]r schritt|analysiere\w*)\b",
    re.IGNORECASE | re.DOTALL,
)
_FILES = re.compile(
    r"\b\w[\w -]{0,60}\.(?:pdf|docx?|xlsx?|csv|tsv|pptx?|txt|md|html?|epub|json|log|eml)\b|"
    r"\b(?:the|this|these|my|attached|uploaded) (?:document|file|report|text|book|table|spreadsheet|log|notes)s?\b|\b(?:datei|dokument)\w*\b",
    re.IGNORECASE,
)
_EARLIER = re.compile(
    r"\b(earlier|before|previously|last time|you said|we said|we discussed|i told you|remember|again|vorhin|letztes mal|erinner\w*)\b",
    re.IGNORECASE,
)
_DATES = re.compile(
    r"\b(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|between \w+ and \w+|since|until|days|weeks|months|years)\b",
    re.I,
)
_ARITHMETIC = re.compile(r"\d\s*[+*×÷^]\s*\d|\d\s+[-/]\s+\d|\d\s*%|\d\s+(?:plus|minus|times|percent)\b", re.I)
_ITEM = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+\S", re.MULTILINE)


_SUMMARY = re.compile(
    r"\b(summari[sz]e|summary|overview|main (?:points|topics|ideas)|outline|zusammenfass\w*|fasse)\b",
    re.IGNORECASE,
)
_SUPERLATIVE = re.compile(
    r"\bthe (?:most|fewest|(?!guest|forest|west|rest|test|best|request|interest|nearest|next|harvest|chest|nest|quest)\w{3,}est)\b|"
    r"\b(?:more|fewer|less|larger|smaller|longer|shorter|higher|lower|older|newer)\b[^?]*[,:]\s[^?]*\bor\b|\bhow much\b|\bof all\b|"
    r"\b(?:who|which) are the\b|\bwhich (?:\w+ ){0,2}(?!was\b|is\b|has\b|does\b|this\b)\w{2,}[^s\W]s\b|\bwho \w+s the \w+s\b",
    re.IGNORECASE,
)


_SMALL_TALK = re.compile(
    r"\W*(?:hello|hi|hey|good (?:morning|afternoon|evening|night|day)|thanks|thank you|thx|bye|goodbye|see you|ok|okay|great|perfect|"
    r"hallo|guten (?:tag|morgen|abend)|gute nacht|danke|vielen dank|tsch[üu]ss)"
    r"(?:\W+(?:there|all|again|a lot|so much|very much|sch[öo]n|sehr|then|ok|okay|great|perfect|thanks|thank you|danke|bye))*\W*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Signal:
    """One observation about a message: how much it adds to the score, and why, in words."""

    weight: float
    reason: str


def is_small_talk(text: str) -> bool:
    """Whether the message is a greeting or thanks and nothing more: not about the documents that lie beside it."""
    return len(text) < 60 and _SMALL_TALK.fullmatch(text) is not None


def asks_for_everything(text: str) -> bool:
    """Whether the answer needs all of the material: counting, listing, comparing, summarising. The best few passages
    would give a confident wrong answer."""
    return bool(_WHOLE.search(text) or _SUPERLATIVE.search(text))


def asks_for_summary(text: str) -> bool:
    """Whether the answer is a digest of the material, not a list, a number or a name."""
    return bool(_SUMMARY.search(text))


def signals(text: str, *, material_tokens: int, room_tokens: int) -> list[Signal]:
    """What the words and the sizes say. ``room_tokens`` is what a direct prompt can still hold."""
    found: list[Signal] = []
    if material_tokens > room_tokens:
        found.append(
            Signal(
                1.0,
                f"the material has about {material_tokens:,} tokens, a direct prompt has room for {room_tokens:,}",
            )
        )
    elif material_tokens:
        share = material_tokens / max(1, room_tokens)
        found.append(Signal(0.1 + 0.15 * share, f"material of about {material_tokens:,} tokens is attached"))
    questions = max(text.count("?"), len(_ITEM.findall(text)))
    if questions > 1:
        found.append(Signal(min(0.3, 0.1 * questions), f"{questions} questions in one"))
    with_material = 1.0 if material_tokens else 0.35
    if _WHOLE.search(text):
        found.append(
            Signal(0.4 * with_material, "it asks about everything (count, list, summarise, extremes)")
        )
    if _COMPARE.search(text):
        found.append(Signal(0.25 * with_material, "it asks for a comparison"))
    if _STEPS.search(text):
        found.append(Signal(0.25, "it needs several steps"))
    if _ARITHMETIC.search(text):
        found.append(Signal(0.2, "it needs arithmetic"))
    if material_tokens and _DATES.search(text):
        found.append(Signal(0.1, "it is about dates"))
    if _FILES.search(text) and material_tokens:
        found.append(Signal(0.1, "it refers to a document"))
    if _EARLIER.search(text):
        found.append(Signal(0.05, "it refers to earlier talk"))
    if len(text) > 2_000:
        found.append(Signal(0.2, f"the message itself is long ({len(text):,} characters)"))
    return found


class ComplexityAnalyzer:
    """Judges every message."""

    def __init__(self, calls: ModelCalls) -> None:
        self._calls = calls

    async def judge(self, run: Run, question: Question, *, room_tokens: int) -> Route:
        """Direct or recursive, with score, threshold and reasons. Costs a model call only in the grey zone."""
        material_tokens = self._calls.estimator.text(question.context.text) if len(question.context) else 0
        found = signals(question.text, material_tokens=material_tokens, room_tokens=room_tokens)
        if (
            material_tokens
            and not asks_for_summary(question.text)
            and await self._calls.parameters(run) < TINY
        ):
            found.append(
                Signal(1.0, "the model is so small that it gets a single line of the material to read")
            )
        score = min(1.0, sum(signal.weight for signal in found))
        threshold = run.settings.complexity_threshold
        reasons = tuple(signal.reason for signal in found) or ("a short message without material",)
        route = Route("direct", round(score, 3), threshold, reasons)
        if not run.settings.recursive:
            return replace(route, reasons=(*reasons, "recursive mode is switched off in the settings"))
        unclear = abs(score - threshold) < GREY_ZONE and material_tokens <= room_tokens
        if unclear and run.budget.calls_left > 1:
            route = await self._ask(run, question, route, material_tokens)
        return replace(route, decision="recursive" if route.score >= threshold else "direct")

    async def _ask(self, run: Run, question: Question, route: Route, material_tokens: int) -> Route:
        prompt = COMPLEXITY.format(message=shorten(question.text, 2_000), context_length=material_tokens)
        try:
            async with asyncio.timeout(MODEL_SECONDS):
                reply = await self._calls.call(
                    run,
                    "fast",
                    "complexity",
                    [ChatMessage("user", prompt)],
                    schema=COMPLEXITY_SCHEMA,
                    max_tokens=120,
                    temperature=0.0,
                )
            verdict = json.loads(reply.text)
            is_complex = verdict["complexity"] == "COMPLEX"
            reason = str(verdict["reason"])
        except (LocalRLMError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.info("The model did not judge the message (%s); the cheap score decides.", error)
            return route
        score = route.score + (MODEL_WEIGHT if is_complex else -MODEL_WEIGHT)
        verdict_word = "complex" if is_complex else "simple"
        return replace(
            route,
            score=round(min(1.0, max(0.0, score)), 3),
            reasons=(*route.reasons, f"the model says {verdict_word}: {shorten(reason, 200)}"),
            asked_model=True,
        )

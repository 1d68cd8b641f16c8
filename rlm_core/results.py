"""What an answer is: its text, where it comes from, what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Decision = Literal["direct", "recursive"]


@dataclass(frozen=True)
class Citation:
    """``[number]`` in the answer's text: characters ``start`` to ``end`` of a document's text.

    ``text`` is the cited passage, ``place`` says where it is in words ("page 12"), ``verified`` is False when the
    answer quotes words that are not in the source, None when nothing is quoted.
    """

    number: int
    document: str
    start: int
    end: int
    text: str
    document_id: str | None = None
    place: str = ""
    verified: bool | None = None


@dataclass(frozen=True)
class Quotation:
    """Words that an answer puts in quotation marks, and whether the sources contain them."""

    text: str
    verified: bool


@dataclass(frozen=True)
class Answer:
    """The answer as a strategy hands it over. ``reason`` says why it is only partial, ``coverage`` which passages were read
    for it if not the whole material lay open ("all 25 parts of the material")."""

    text: str
    citations: tuple[Citation, ...] = ()
    quotations: tuple[Quotation, ...] = ()
    partial: bool = False
    reason: str | None = None
    coverage: str = ""


@dataclass(frozen=True)
class Route:
    """How a message is answered and why. ``score`` and ``threshold`` lie in 0..1."""

    decision: Decision
    score: float
    threshold: float
    reasons: tuple[str, ...]
    strategy: str | None = None
    asked_model: bool = False

    @classmethod
    def asked_for(cls, decision: Decision, threshold: float) -> Route:
        """The route of a message whose sender decided."""
        return cls(decision, 0.0 if decision == "direct" else 1.0, threshold, (f"asked for: {decision}",))


@dataclass(frozen=True)
class Usage:
    """The cost of one message, all model calls of its tree together. ``seconds`` is wall time."""

    llm_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    seconds: float = 0.0
    iterations: int = 0
    by_model: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What :meth:`rlm_core.RLMEngine.ask` returns."""

    answer: str
    citations: tuple[Citation, ...]
    route: Route
    usage: Usage
    partial: bool
    reason: str | None
    trace_id: str

    def as_json(self) -> dict[str, Any]:
        """One JSON-serialisable object with the fields of this class."""
        from dataclasses import asdict

        return asdict(self)

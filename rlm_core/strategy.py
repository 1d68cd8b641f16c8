"""Which of the recursive strategies a question gets: ``loop``, ``plan`` or ``retrieve`` (DESIGN.md 5.7)."""

from __future__ import annotations

from dataclasses import replace

from rlm_core.budget import BudgetExhausted
from rlm_core.probe import CapabilityProbe
from rlm_core.question import Question
from rlm_core.repl import ReplError
from rlm_core.results import Route
from rlm_core.run import Run
from rlm_core.settings import StrategyName


class StrategyChoice:
    """Takes the strategy that was asked for, or under ``auto`` the best one that the model has shown to be able to do."""

    def __init__(self, probe: CapabilityProbe) -> None:
        self._probe = probe

    async def choose(self, run: Run, question: Question, route: Route, asked_for: StrategyName) -> Route:
        """A recursive route with its strategy; a direct one when there is nothing to be recursive about."""
        if asked_for != "auto":
            return replace(route, strategy=asked_for)
        strategy: str
        try:
            capabilities = await self._probe.of(run)
            strategy, why = capabilities.strategy, capabilities.sentence
        except ReplError as error:
            run.warn("no_sandbox", f"{error} Until then the material is searched and read in passages.")
            strategy, why = "retrieve", "code cannot be run safely here"
        except BudgetExhausted as error:
            strategy, why = "retrieve", str(error)
        reasons = (*route.reasons, why)
        if strategy == "retrieve" and not len(question.context):
            return replace(route, decision="direct", reasons=(*reasons, "there is no material to search"))
        return replace(route, strategy=strategy, reasons=reasons)

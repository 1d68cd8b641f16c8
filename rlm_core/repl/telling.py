"""What a cell's end looks like to the model: its output and errors, and a sentence where Python had to be restarted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rlm_core.repl.cells import CellReport
from rlm_core.repl.ladder import RunningCell
from rlm_core.repl.process import WorkerGone
from rlm_core.repl.types import CellResult, ReplLimits, cut_middle

FULL_OUTPUT_CHARS: Final = 1024 * 1024
NAMES_TOLD: Final = 30


def ended(
    report: CellReport, cell: RunningCell, limits: ReplLimits, lost: tuple[str, ...] | None
) -> CellResult:
    """The result of a cell that came to its end. ``lost``: what a restart before it cost; None without a restart."""
    error: str | None = report.error or None
    if report.interrupted:
        stopped = f"Stopped after {cell.seconds:.1f} s of code time (the limit is {limits.seconds:g} s)."
        error = f"{stopped}\n{report.error}\nVariables are kept. Work on less at a time."
    shown = cut_middle(report.head, report.tail, report.hidden, limits.output_chars)
    if lost is not None:
        note = f"Python was restarted before this cell. {_lost_sentence(lost)}"
        if error:
            error = f"{note}\n{error}"
        else:
            shown = f"[{note}]\n{shown}"
    return CellResult(
        output=shown,
        full_output=cut_middle(report.head, report.tail, report.hidden, FULL_OUTPUT_CHARS),
        error=error,
        final=report.final,
        draft=report.draft,
        seconds=cell.seconds,
        interrupted=report.interrupted,
        restarted=lost is not None,
        lost=lost or (),
        variables=report.variables,
    )


def killed(reason: str, cell: RunningCell, lost: tuple[str, ...]) -> CellResult:
    """The result of a cell whose worker is gone."""
    return CellResult(
        output="", full_output="", error=f"{reason}\n{_lost_sentence(lost)}", final=None, draft=None,
        seconds=cell.seconds, interrupted=cell.timed_out, restarted=True, lost=lost, variables=(),
    )  # fmt: skip


def not_begun(cell: RunningCell) -> CellResult:
    """The result of a cell that was stopped while the material was still on its way to the worker."""
    return CellResult(
        output="", full_output="", error="The cell was stopped before it began.", final=None, draft=None,
        seconds=cell.seconds, interrupted=True,
    )  # fmt: skip


def no_reaction(cell: RunningCell) -> str:
    """Why a worker was killed that did not answer the interrupts."""
    return (
        f"The cell was stopped after {cell.seconds:.1f} s and did not react, so Python was restarted. "
        "Work on less at a time, and avoid single operations over endless or huge sequences."
    )


def why_gone(gone: WorkerGone) -> str:
    """Why a worker ended by itself, as far as one can tell, and what to do instead."""
    if str(gone).startswith("violation"):
        return (
            f"Python was ended: the cell reached for something that does not exist here ({gone}). Use the provided "
            "functions and plain Python only."
        )
    return (
        f"Python ended while the cell ran ({gone}); it may have used too much memory or CPU time. Work on less at a "
        "time."
    )


def _lost_sentence(lost: Sequence[str]) -> str:
    if not lost:
        return "What the cell had set is gone; earlier variables are back."
    more = f" and {len(lost) - NAMES_TOLD} more" if len(lost) > NAMES_TOLD else ""
    return (
        f"Lost and to be made again: {', '.join(lost[:NAMES_TOLD])}{more}. Other earlier variables are back."
    )

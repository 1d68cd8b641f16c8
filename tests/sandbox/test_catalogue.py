"""The whole catalogue of attempts against the language wall, each through a real worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.catalogue import ATTEMPTS, Attempt
from tests.sandbox.driving import Cells


@pytest.fixture(scope="module")
def cells() -> Iterator[Cells]:
    with Cells("some text") as driven:
        yield driven


def outcome(error: str | None) -> str:
    if error is None:
        return "ok"
    return "C" if "Not allowed" in error or "SyntaxError" in error or "IndentationError" in error else "R"


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.id)
def test_the_attempt_ends_as_it_must(cells: Cells, attempt: Attempt) -> None:
    before = cells.pid
    result = cells.run(attempt.code)
    assert "REACHED" not in result.output
    assert outcome(result.error) in (
        (attempt.expected,) if attempt.expected == "ok" else tuple(attempt.expected)
    ), result.error or result.output
    assert not result.restarted
    assert cells.pid == before
    assert len(result.error or "") < 6000

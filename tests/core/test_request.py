"""Mistakes of the calling program are named at once, with what would be right."""

from pathlib import Path
from typing import Any

import pytest

from rlm_core import RLMEngine, Settings
from rlm_core.request import MessageRequest


@pytest.mark.parametrize(
    ("values", "kind", "named"),
    [
        ({"message": None}, TypeError, "message"),
        ({"message": ["Hi"]}, TypeError, "message"),
        ({"message": "Hi", "documents": "lease.txt"}, TypeError, "documents"),
        ({"message": "Hi", "documents": Path("lease.txt")}, TypeError, "documents"),
        ({"message": "Hi", "mode": "sideways"}, ValueError, "'auto', 'direct', 'recursive', not 'sideways'"),
        ({"message": "Hi", "mode": None}, ValueError, "mode"),
        ({"message": "Hi", "strategy": "luck"}, ValueError, "'retrieve', not 'luck'"),
    ],
)
def test_a_wrong_argument_is_named(values: dict[str, Any], kind: type[Exception], named: str) -> None:
    with pytest.raises(kind, match=named):
        MessageRequest(**values)


def test_ask_says_so_before_anything_is_asked_or_written(tmp_path: Path) -> None:
    with RLMEngine(Settings(), data_dir=tmp_path / "data") as engine:
        with pytest.raises(ValueError, match="mode must be one of"):
            engine.ask("Hello", mode="sideways")
        with pytest.raises(TypeError, match="message must be text"):
            engine.ask(None)  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()

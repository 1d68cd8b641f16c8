"""Recall on a real long conversation with known answers. The data set is no part of the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.recall import messages
from memory_store import MemoryStore

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "locomo_dev.json"


@pytest.mark.timeout(900)  # seconds on an idle computer, minutes on a busy one
@pytest.mark.skipif(not DATA.exists(), reason="the evaluation conversations are not on this computer")
def test_the_fusion_finds_what_was_said_long_ago_better_than_words_or_meaning_alone(
    knowing_store: MemoryStore,
) -> None:
    shortest = min(json.loads(DATA.read_text("utf-8")), key=lambda conversation: len(conversation["turns"]))
    table = messages(knowing_store, [shortest], lambda line: None)
    assert table["fusion"]["all@10"] >= 72
    assert table["fusion"]["all@20"] >= 80
    assert table["fusion"]["all@20"] >= max(table["words"]["all@20"], table["meaning"]["all@20"])

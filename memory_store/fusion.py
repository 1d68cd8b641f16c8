"""Reciprocal rank fusion: one order from several, without comparing their scores.

Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods",
SIGIR 2009. Theirs is k = 60; a smaller one lets the first places of a weaker list count (benchmarks/recall.py). Each list
has a weight here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

K = 10


def fuse(rankings: Iterable[tuple[float, Sequence[int]]]) -> list[tuple[int, float]]:
    """(weight, items best first) of each ranking → (item, score) best first. The score is 1 for an item that leads all."""
    scores: dict[int, float] = {}
    best = 0.0
    for weight, items in rankings:
        if items:
            best += weight / (K + 1)
        for rank, item in enumerate(items, start=1):
            scores[item] = scores.get(item, 0.0) + weight / (K + rank)
    return sorted(
        ((item, score / best) for item, score in scores.items()), key=lambda pair: (-pair[1], -pair[0])
    )

"""Estimates that err on the high side, correct themselves, and survive servers that count strangely."""

import pytest

from rlm_core.backends.base import ChatMessage
from rlm_core.tokens import TokenEstimator, base_estimate
from tests.scripted.script import count

PROSE = "The crew met several whales near the ice shelf and wrote it down in the journal. " * 20
LOG = "2026-01-27 12:00:03 ERROR [worker-17] status=500 path=/api/v1/items?id=4711 took=35ms\n" * 20
TABLE = "4711;2026-01-27;19.90;2;39.80;DE;paid\n" * 40
CHINESE = "第一天，船员在冰山附近看到了鲸鱼，天气很冷。" * 20


@pytest.mark.parametrize("text", [PROSE, LOG, TABLE, CHINESE], ids=["prose", "log", "table", "Chinese"])
def test_an_estimate_is_near_and_rarely_below_a_real_count(text: str) -> None:
    assert 0.85 * count(text) <= base_estimate(text) <= 2.5 * count(text)


def test_a_long_text_is_judged_by_samples() -> None:
    text = LOG * 1_000
    assert base_estimate(text) == pytest.approx(base_estimate(LOG) * 1_000, rel=0.1)


def test_chars_is_the_inverse_for_a_text_of_the_same_kind() -> None:
    estimator = TokenEstimator()
    for text in (PROSE, LOG, CHINESE):
        size = estimator.chars(100, like=text)
        assert 85 <= base_estimate((text * 3)[:size]) <= 112


def test_it_rises_at_once_to_what_a_server_counts_and_falls_slowly() -> None:
    estimator = TokenEstimator()
    messages = [ChatMessage("user", PROSE)]
    true = int(base_estimate(PROSE) * 1.5)
    estimator.learn("m", messages, true)
    assert estimator.prompt(messages, "m") >= true
    estimator.learn("m", messages, base_estimate(PROSE))
    assert 1.2 < estimator.factor("m") < 1.5
    assert estimator.factor("another model") == 1.0


@pytest.mark.parametrize("reported", [0, 3, 17])
def test_a_server_that_reports_only_what_was_not_cached_is_not_believed(reported: int) -> None:
    estimator = TokenEstimator()
    estimator.learn("m", [ChatMessage("user", PROSE)], reported)
    assert estimator.factor("m") == 1.0


def test_an_absurd_count_is_bounded() -> None:
    estimator = TokenEstimator()
    estimator.learn("m", [ChatMessage("user", PROSE)], 10**9)
    assert estimator.factor("m") <= 2.5


def test_short_prompts_teach_nothing() -> None:
    estimator = TokenEstimator()
    estimator.learn("m", [ChatMessage("user", "Hi")], 30)
    assert estimator.factor("m") == 1.0

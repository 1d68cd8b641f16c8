"""How many tokens a text has, estimated without the model's tokenizer, and corrected by what servers report.

Ollama has no tokenize endpoint, so the estimate starts from character classes and calibrates itself per model on the
prompt counts of real calls (DESIGN.md 5.4). It errs on the high side: a prompt that is refused can be made smaller, a
prompt that is cut silently cannot be noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rlm_core.backends.base import ChatMessage

CHARS_PER_TOKEN = 3.6
"""Plain English prose (it has about 4.3; the rest is caution)."""
LETTERS_PER_TOKEN = 4.2
TOKENS_PER_DIGIT = 0.7
"""From one digit a token (Qwen, Llama 2) to three (Llama 3, GPT)."""
TOKENS_PER_MARK = 0.85
"""Punctuation and line ends: what makes tables and logs twice as long in tokens as prose."""
TOKENS_PER_WIDE_CHAR = 0.75
"""Characters outside ASCII: about 0.3 for accented Latin and Cyrillic, up to 1 and more for CJK."""
TOKENS_PER_MESSAGE = 8
"""What a chat template adds around a message."""
_SLOWEST, _FASTEST = 0.6, 2.5
_SAMPLES, _SAMPLE_CHARS = 16, 4_000
_REMEMBERED_CHARS = 4_000
_LETTERS = b" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = b"0123456789"


def base_estimate(text: str) -> int:
    """Tokens of ``text`` before any calibration. A long text is judged by samples spread over it."""
    if len(text) <= _REMEMBERED_CHARS:
        return _remembered(text)
    if len(text) <= _SAMPLES * _SAMPLE_CHARS:
        return int(_weighed(text)) + 1
    stride = (len(text) - _SAMPLE_CHARS) // (_SAMPLES - 1)
    sample = "".join(text[at : at + _SAMPLE_CHARS] for at in range(0, _SAMPLES * stride, stride))
    return int(_weighed(sample) * len(text) / len(sample)) + 1


@lru_cache(maxsize=256)
def _remembered(text: str) -> int:
    """The messages of a conversation are measured again at every turn."""
    return int(_weighed(text)) + 1


def _weighed(text: str) -> float:
    narrow = text.encode("ascii", errors="ignore")
    without_letters = narrow.translate(None, _LETTERS)
    marks = len(without_letters.translate(None, _DIGITS))
    letters, digits = len(narrow) - len(without_letters), len(without_letters) - marks
    wide = len(text) - len(narrow)
    return (
        letters / LETTERS_PER_TOKEN
        + digits * TOKENS_PER_DIGIT
        + marks * TOKENS_PER_MARK
        + wide * TOKENS_PER_WIDE_CHAR
    )


class TokenEstimator:
    """Estimates per model, each with its own correction factor."""

    def __init__(self) -> None:
        self._factors: dict[str, float] = {}

    def factor(self, model: str) -> float:
        """By how much this model's true counts exceed the base estimate (1.0 until it was seen)."""
        return self._factors.get(model, 1.0)

    def text(self, text: str, model: str = "") -> int:
        """Tokens of one text."""
        return int(base_estimate(text) * self.factor(model)) + 1

    def prompt(self, messages: Sequence[ChatMessage], model: str = "") -> int:
        """Tokens of a whole prompt, the chat template's own included."""
        return sum(self.text(message.content, model) + TOKENS_PER_MESSAGE for message in messages)

    def chars(self, tokens: int, model: str = "", *, like: str = "") -> int:
        """How many characters fit into ``tokens``: of a text like ``like``, or of plain prose."""
        density = len(like) / base_estimate(like) if like else CHARS_PER_TOKEN
        return max(0, int(tokens / self.factor(model) * density))

    def learn(self, model: str, messages: Sequence[ChatMessage], reported: int) -> None:
        """Take in the count that a server reported for a prompt it was sent.

        The factor rises at once and falls slowly. Counts far below the estimate are ignored: some servers report
        only the part of the prompt that was not in their cache.
        """
        estimated = sum(base_estimate(message.content) for message in messages)
        reported -= TOKENS_PER_MESSAGE * len(messages)
        if estimated < 50 or reported < _SLOWEST * estimated:
            return
        seen = min(_FASTEST, reported / estimated * 1.03)
        known = self._factors.get(model)
        if known is None or seen > known:
            self._factors[model] = seen
        else:
            self._factors[model] = known + 0.2 * (seen - known)

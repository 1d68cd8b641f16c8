"""How many tokens a text has, estimated without the model's tokenizer, and corrected by what servers report.

Ollama has no tokenize endpoint, so the estimate starts from character classes and calibrates itself per model on the
prompt counts of real calls (DESIGN.md 5.4). It errs on the high side: a prompt that is refused can be made smaller, a
prompt that is cut silently cannot be noticed.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlm_core.backends.base import ChatMessage

CHARS_PER_TOKEN = 3.6
"""Plain ASCII text. English prose has about 4.3, code and tables about 3."""
TOKENS_PER_WIDE_CHAR = 0.75
"""Characters outside ASCII: about 0.3 for accented Latin and Cyrillic, up to 1 and more for CJK."""
TOKENS_PER_MESSAGE = 8
"""What a chat template adds around a message."""
_SLOWEST, _FASTEST = 0.6, 2.5


def base_estimate(text: str) -> int:
    """Tokens of ``text`` before any calibration."""
    if text.isascii():
        return int(len(text) / CHARS_PER_TOKEN) + 1
    narrow = len(text.encode("ascii", errors="ignore"))
    return int(narrow / CHARS_PER_TOKEN + (len(text) - narrow) * TOKENS_PER_WIDE_CHAR) + 1


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

    def chars(self, tokens: int, model: str = "") -> int:
        """How many characters of plain text fit into ``tokens``."""
        return max(0, int(tokens / self.factor(model) * CHARS_PER_TOKEN))

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

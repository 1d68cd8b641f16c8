"""How the launcher talks: plain sentences on the terminal, and one error class whose text is such a sentence."""

from __future__ import annotations

import sys
from typing import TextIO


class LaunchError(Exception):
    """The start cannot go on. The text says what is wrong and what to do about it."""


def say(sentence: str) -> None:
    """One line for the person in front of the terminal, also where the terminal lacks a letter."""
    _write(sys.stdout, sentence)


def complain(sentence: str) -> None:
    """The same on standard error."""
    _write(sys.stderr, sentence)


def ask(question: str) -> str:
    """The answer to a question, stripped; empty when there is nobody to answer."""
    sys.stdout.write(question + " ")
    sys.stdout.flush()
    try:
        return input().strip()
    except (EOFError, KeyboardInterrupt):
        sys.stdout.write("\n")
        return ""


def _write(stream: TextIO, sentence: str) -> None:
    encoding = stream.encoding or "ascii"
    stream.write(sentence.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()

"""From a question to a full-text query. Words are joined by OR and ranked by BM25, so an odd word costs nothing."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")

# Words that say nothing about the subject. They are dropped from questions, never from the index.
_EMPTY_WORDS = """
    a about am an and any are as at be been being but by can could did do does for from had has have he her here hers him his
    how i if in into is it its just me might must my no not of on or our ours s she should so t than that the their theirs
    them then there these they this those to us was we were what when where which who whom whose why will with would you
    your yours may ll re ve d m
    der die das ein eine einer und oder ist sind war waren wer was wann wo wie warum ich du er sie es wir ihr mit von zu
    im in auf für
    le la les un une des et ou est sont qui que quoi quand où comment pourquoi je tu il elle nous vous de du au aux
    el los las una y o es son quién qué cuándo dónde cómo por yo
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
_THE_MONTH = re.compile(r"\bMay\b")  # the one word that is a month and, in small letters, empty


def words(question: str, most: int = 48) -> list[str]:
    """The words of a question that carry meaning, each once, in order; all its words when none does."""
    found = list(dict.fromkeys(_WORD.findall(question.lower())))
    kept = [
        word
        for word in found
        if (word not in _EMPTY and (len(word) > 1 or word.isdigit()))
        or (word == "may" and _THE_MONTH.search(question))
    ]
    return (kept or found)[:most]


def match_any(question: str) -> str | None:
    """An FTS5 expression that matches whatever holds one of the question's words; None when it has no words."""
    found = words(question)
    return " OR ".join(f'"{word}"' for word in found) if found else None


def match_all(text: str) -> str | None:
    """An FTS5 expression for search-as-you-type: every word, the last one as a beginning; None when there are no words."""
    found = _WORD.findall(text.lower())[:48]
    return " ".join(f'"{word}"' for word in found) + "*" if found else None

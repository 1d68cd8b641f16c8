"""Groups of passages are read in parallel; what cannot be read whole is read in halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from rlm_core.backends.base import CallUsage, ChatMessage
from rlm_core.budget import Budget, BudgetExhausted, CancelToken
from rlm_core.calls import ModelCalls, Reply
from rlm_core.context import Context, Material
from rlm_core.errors import BackendError, PromptTooLong
from rlm_core.events import TurnStartedEvent, WarningEvent
from rlm_core.question import Question
from rlm_core.reading import KNOWN_CHARS, SMALLEST_HALF, Group, MapReader, Read, Task
from rlm_core.run import Run
from rlm_core.settings import Settings

PARAGRAPHS = [f"Paragraph {number}. " + "All is quiet here. " * 10 + "\n\n" for number in range(1, 5)]
CONTEXT = Context([Material("log.txt", "".join(PARAGRAPHS))])
PROMPT = "Q: {question}\n{known}\nPart {part} of {parts}\n{passages}\nElse reply {nothing}."


@dataclass
class Reader:
    """In place of the model: `reply` makes of a prompt the text, or raises; a text that ends in … was cut off."""

    reply: Callable[[str], str]

    def __post_init__(self) -> None:
        self.prompts: list[str] = []

    async def call(
        self, run: Run, role: str, purpose: str, messages: Sequence[ChatMessage], **options: Any
    ) -> Reply:
        prompt = messages[-1].content
        self.prompts.append(prompt)
        text = self.reply(prompt)
        reason = "length" if text.endswith("…") else "stop"
        return Reply(text, "", "reader", reason, CallUsage(0, 0), "e0")


def paragraph(*numbers: int) -> Group:
    group = {}
    for number in numbers:
        start = CONTEXT.text.index(f"Paragraph {number}.")
        group[number] = CONTEXT.piece(start, start + len(PARAGRAPHS[number - 1]))
    return group


def whole() -> Group:
    return {1: CONTEXT.piece(0, len(CONTEXT.text))}


def named(prompt: str) -> list[str]:
    """The paragraphs that a prompt holds."""
    return [f"P{number}" for number in range(1, 5) if f"Paragraph {number}." in prompt]


async def read(
    reader: Reader, *groups: Group, context: Context = CONTEXT, known: str = ""
) -> tuple[list[Read], Run]:
    settings = Settings()
    run = Run("m", settings, Budget(settings.limits), CancelToken())
    task = Task(PROMPT, Question("What happened?", context), 200, known)
    return await MapReader(cast(ModelCalls, reader)).read(run, task, groups, None), run


def warnings(run: Run) -> list[WarningEvent]:
    events = [run.events.get_nowait() for _ in range(run.events.qsize())]
    return [event for event in events if isinstance(event, WarningEvent)]


async def test_each_group_gives_its_notes_in_order() -> None:
    reader = Reader(lambda prompt: " ".join(named(prompt)))
    done, run = await read(reader, paragraph(1, 2), paragraph(3), paragraph(4))
    assert [each.notes for each in done] == ["P1 P2", "P3", "P4"]
    assert [set(each.group) for each in done] == [{1, 2}, {3}, {4}]
    begun = run.events.get_nowait()
    assert isinstance(begun, TurnStartedEvent)
    assert begun.title == "reading 3 parts"


async def test_a_prompt_says_which_part_of_how_many_it_is_and_numbers_its_passages() -> None:
    reader = Reader(lambda prompt: "yes")
    await read(reader, paragraph(1), paragraph(3, 4))
    assert "Part 2 of 2" in reader.prompts[1]
    assert "[3] Paragraph 3." in reader.prompts[1]
    assert "[4] Paragraph 4." in reader.prompts[1]


async def test_what_is_known_already_is_told_but_not_without_end() -> None:
    reader = Reader(lambda prompt: "yes")
    await read(reader, paragraph(1), known="The boiler broke. " * 1000)
    assert "Known so far:\nThe boiler broke." in reader.prompts[0]
    assert len(reader.prompts[0]) < KNOWN_CHARS + 1000
    plain = Reader(lambda prompt: "yes")
    await read(plain, paragraph(1))
    assert "Known so far" not in plain.prompts[0]


async def test_a_reader_whom_the_passages_do_not_help_contributes_nothing() -> None:
    done, _ = await read(Reader(lambda prompt: "**NONE**."), paragraph(1))
    assert done[0].notes == ""


async def test_a_group_too_long_for_one_prompt_is_read_in_halves() -> None:
    def reply(prompt: str) -> str:
        if len(named(prompt)) > 1:
            raise PromptTooLong(5000, 4096, "Shorten it.")
        return named(prompt)[0]

    done, run = await read(Reader(reply), paragraph(1, 2, 3))
    assert done[0].notes == "P1\nP2\nP3"
    assert warnings(run) == []


async def test_notes_that_were_cut_off_are_made_again_from_halves_and_empty_halves_leave_no_line() -> None:
    def reply(prompt: str) -> str:
        if len(named(prompt)) > 1:
            return "so much to say…"
        return "NONE" if "P2" in named(prompt) else named(prompt)[0]

    done, _ = await read(Reader(reply), paragraph(1, 2, 3, 4))
    assert done[0].notes == "P1\nP3\nP4"


async def test_one_long_passage_is_cut_in_two_at_a_border_and_nothing_is_left_out() -> None:
    def reply(prompt: str) -> str:
        if len(named(prompt)) > 2:
            raise PromptTooLong(5000, 4096, "Shorten it.")
        return " ".join(named(prompt))

    reader = Reader(reply)
    done, _ = await read(reader, whole())
    assert done[0].notes is not None
    assert done[0].notes.split() == ["P1", "P2", "P3", "P4"]
    assert all("[1]" in prompt for prompt in reader.prompts)


async def test_a_passage_too_short_to_be_halved_keeps_what_was_said_of_it() -> None:
    short = Context([Material("note.txt", "x" * (2 * SMALLEST_HALF - 1))])
    group = {1: short.piece(0, len(short.text))}
    reader = Reader(lambda prompt: "it goes on and on…")
    done, _ = await read(reader, group, context=short)
    assert done[0].notes == "it goes on and on…"
    assert len(reader.prompts) == 1


async def test_a_part_that_fails_is_told_and_the_others_count() -> None:
    def reply(prompt: str) -> str:
        if "P2" in named(prompt):
            raise BackendError("The server stumbled.")
        return named(prompt)[0]

    done, run = await read(Reader(reply), paragraph(1), paragraph(2), paragraph(3))
    assert [each.notes for each in done] == ["P1", None, "P3"]
    (warning,) = warnings(run)
    assert (warning.code, warning.text) == (
        "parts_failed",
        "1 of 3 parts could not be read: The server stumbled.",
    )


async def test_when_no_part_can_be_read_the_reason_is_raised() -> None:
    def reply(prompt: str) -> str:
        raise BackendError("The server stumbled.")

    with pytest.raises(BackendError, match="stumbled"):
        await read(Reader(reply), paragraph(1), paragraph(2))


async def test_where_the_budget_ends_reading_stops_without_a_complaint() -> None:
    def reply(prompt: str) -> str:
        if "P1" not in named(prompt):
            raise BudgetExhausted("max_llm_calls", "All calls are used up.")
        return "P1"

    done, run = await read(Reader(reply), paragraph(1), paragraph(2), paragraph(3))
    assert [each.notes for each in done] == ["P1", None, None]
    assert warnings(run) == []

"""How many prompt tokens of a loop come from the cache of the embedded model, with sub-calls in between.

The whole engine runs with the real embedded model: it reads every prompt, and llama.cpp reports how many tokens of it were in
the cache. As a model of 135 million parameters does not write code that runs, a grammar leaves it no choice: token by token
it writes a cell that makes two sub-calls and prints. So its own replies are in the cache, as in real use. "Read anew" is then
what came since: what the cell printed and the words around it. "One slot for all" is the same without the root's own slot,
"no cache" what the prompts would cost if each were read whole, at the speed measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report import Table
from rlm_core import RLMEngine, Settings
from rlm_core.backends.base import CallUsage, ChatChunk, ChatMessage, ChatOptions
from rlm_core.backends.llama_cpp import EmbeddedBackend

QUESTION = "Which day does the garden open late?"
TEXT = "The garden of the house opens at nine and closes at dusk, except on the first day.\n" * 3_000
CELL = """```repl
part = {n}
pieces = [context[(2 * part + i) * 400:][:400] for i in range(2)]
said = llm_query_batched([f"When does it open? Answer in one word.\\n{{p}}" for p in pieces])
print(part, [len(s) > 0 for s in said])
```"""
LAST = '```repl\nanswer["content"], answer["ready"] = "the first", True\n```'
SUBCALL_TOKENS = 8
QUICK = {"turns": 2, "alone": True}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--turns", type=int, default=6, help="turns of the root (default 6)")
    parser.add_argument("--alone", action="store_true", help="without the comparison with one slot for all")


@dataclass(frozen=True)
class Turn:
    """One prompt of the root: tokens, how many of them came from the cache, and the seconds that the rest took."""

    tokens: int
    cached: int
    seconds: float

    @property
    def share(self) -> float:
        return self.cached / self.tokens


class Dictated(EmbeddedBackend):
    """The embedded model, which writes the cells it is told to when the root asks. Without ``own_slot`` there is
    one slot for all calls."""

    def __init__(self, turns: int, *, own_slot: bool) -> None:
        super().__init__(slots=3 if own_slot else 1)
        self._cells = [*(CELL.format(n=n) for n in range(turns - 1)), LAST]
        self.root: list[Turn] = []
        self.subcalls = 0

    async def chat(
        self, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncIterator[ChatChunk]:
        usage: CallUsage | None = None
        async for chunk in super().chat(model, messages, options):
            usage = chunk.usage or usage
            yield chunk
        if usage is None:
            raise RuntimeError("The embedded model did not say what it read.")
        if options.session == "root":
            self.root.append(Turn(usage.tokens_in, usage.tokens_cached, usage.prompt_seconds))
        else:
            self.subcalls += 1

    async def _body(self, messages: Sequence[ChatMessage], options: ChatOptions, slot: int) -> dict[str, Any]:
        body = await super()._body(messages, options, slot)
        if options.session == "root":
            body["grammar"] = await self._nothing_but(self._cells[len(self.root)])
            body.pop("max_tokens", None)
        else:
            body["max_tokens"] = SUBCALL_TOKENS
        return body

    async def _nothing_but(self, text: str) -> str:
        """A grammar (LLGuidance) of exactly the tokens into which the model's own tokenizer cuts the text."""
        response = await self._post("/tokenize", {"content": text})
        try:
            tokens = json.loads(await response.read())["tokens"]
        finally:
            response.close()
        return "%llguidance {}\nstart: " + " ".join(f"<[{token}]>" for token in tokens)


def measure(turns: int, *, own_slot: bool) -> tuple[list[Turn], int]:
    """The root's prompts of one run, and the number of its sub-calls."""
    backend = Dictated(turns, own_slot=own_slot)
    settings = Settings(backend="embedded", temperature=0.0, limits={"max_seconds": 1_800.0})
    with (
        tempfile.TemporaryDirectory() as data,
        RLMEngine(settings, data_dir=data, backend=backend) as engine,
    ):
        result = engine.ask(QUESTION, TEXT, mode="recursive", strategy="loop")
    if result.partial or len(backend.root) != turns:
        raise RuntimeError(f"The run did not come to its end: {result.reason or result.answer}")
    return backend.root, backend.subcalls


def run(arguments: argparse.Namespace) -> list[Table]:
    own, subcalls = measure(arguments.turns, own_slot=True)
    shared = [] if arguments.alone else measure(arguments.turns, own_slot=False)[0]
    rows = []
    for number, turn in enumerate(own, start=1):
        row = (str(number), f"{turn.tokens:,}", f"{turn.share:.1%}", str(turn.tokens - turn.cached))
        other = shared[number - 1] if shared else None
        also = (f"{other.share:.1%}", f"{other.seconds:.2f}") if other else ("-", "-")
        rows.append((*row, f"{turn.seconds:.2f}", *also))
    later, later_shared = own[1:], shared[1:]
    share = sum(turn.cached for turn in later) / sum(turn.tokens for turn in later)
    speed = statistics.median(
        (turn.tokens - turn.cached) / turn.seconds for turn in own + shared if turn.seconds
    )
    note = f"From turn 2 on {share:.1%} from the cache, {subcalls} sub-calls in between: {_seconds(later)} to read the prompts"
    if later_shared:
        note += f"; {_seconds(later_shared)} with one slot for all"
    uncached = sum(turn.tokens for turn in later) / speed
    note += f"; {uncached:.1f} s with no cache (at {speed:.0f} tokens a second)."
    columns = (
        "turn",
        "prompt tokens",
        "from the cache",
        "read anew",
        "seconds",
        "one slot for all",
        "seconds",
    )
    figures = [{"own_slot": True, **vars(turn)} for turn in own]
    figures += [{"own_slot": False, **vars(turn)} for turn in shared]
    return [Table(columns, tuple(rows), (note,), figures)]


def _seconds(turns: Sequence[Turn]) -> str:
    return f"{sum(turn.seconds for turn in turns):.1f} s"

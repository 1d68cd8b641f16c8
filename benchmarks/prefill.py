"""How many prompt tokens of a loop come from the cache of the embedded model, with sub-calls in between.

    python -m benchmarks prefill [--turns 6] [--json FILE]

The whole engine runs with the real embedded model: it reads every prompt, and llama.cpp reports how many tokens of it were in
the cache. As a model of 135 million parameters does not write code that runs, each of its root replies is replaced by a
cell that makes two sub-calls and prints. So the replaced reply has to be read anew, which it would not be with a model that
wrote it: the shares are lower bounds. "Of what was sent before" is what the cache can give at most: the prompt of the turn
before. "One slot for all" is the same without the root's own slot, "no cache" what the prompts
would cost if each were read whole, at the speed measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

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
REPLY_TOKENS = 8


@dataclass(frozen=True)
class Turn:
    """One prompt of the root: tokens, how many of them came from the cache, and the seconds that the rest took."""

    turn: int
    tokens: int
    cached: int
    seconds: float

    @property
    def share(self) -> float:
        return self.cached / self.tokens


class Dictated(EmbeddedBackend):
    """The embedded model, whose root replies are replaced by cells. Without ``own_slot``
    there is one slot for all calls."""

    def __init__(self, turns: int, *, own_slot: bool) -> None:
        super().__init__(slots=3 if own_slot else 1)
        self._cells = [*(CELL.format(n=n) for n in range(turns - 1)), LAST]
        self.root: list[CallUsage] = []
        self.subcalls = 0

    async def chat(
        self, model: str, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncIterator[ChatChunk]:
        is_root = options.session == "root"
        short = replace(options, max_tokens=REPLY_TOKENS)
        async for chunk in super().chat(model, messages, short):
            if not is_root:
                self.subcalls += chunk.usage is not None
                yield chunk
            elif chunk.usage is not None:
                yield ChatChunk(self._cells[len(self.root)])
                self.root.append(chunk.usage)
                yield ChatChunk(finish_reason="stop", usage=chunk.usage)


def measure(turns: int, *, own_slot: bool) -> tuple[list[Turn], int]:
    """The root's prompts of one run, and the number of its sub-calls."""
    settings = Settings(backend="embedded", temperature=0.0)
    backend = Dictated(turns, own_slot=own_slot)
    with (
        tempfile.TemporaryDirectory() as data,
        RLMEngine(settings, data_dir=data, backend=backend) as engine,
    ):
        result = engine.ask(QUESTION, TEXT, mode="recursive", strategy="loop")
    if result.partial:
        raise RuntimeError(f"The run did not come to its end: {result.reason}")
    found = [
        Turn(number, usage.tokens_in, usage.tokens_cached, round(usage.prompt_seconds, 3))
        for number, usage in enumerate(backend.root, start=1)
    ]
    return found, backend.subcalls


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks prefill", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--turns", type=int, default=6, help="turns of the root (default 6)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    own, subcalls = measure(arguments.turns, own_slot=True)
    shared, _ = measure(arguments.turns, own_slot=False)
    write = sys.stdout.write
    write(
        f"{machine}, {time.strftime('%Y-%m-%d %H:%M')}, {subcalls} sub-calls between {arguments.turns} turns\n\n"
    )
    write(
        "| turn | prompt tokens | from the cache | of what was sent before | seconds to read | one slot for all: from the cache | seconds |\n"
    )
    write("|---|---|---|---|---|---|---|\n")
    before = 0
    for mine, other in zip(own, shared, strict=True):
        again = f"{mine.cached / before:.1%}" if before else ""
        write(f"| {mine.turn} | {mine.tokens:,} | {mine.share:.1%} | {again} | {mine.seconds:.2f} ")
        write(f"| {other.share:.1%} | {other.seconds:.2f} |\n")
        before = mine.tokens
    later = own[1:]
    share = sum(turn.cached for turn in later) / sum(turn.tokens for turn in later)
    speed = statistics.median(
        (turn.tokens - turn.cached) / turn.seconds for turn in own + shared if turn.seconds
    )
    write(f"\nFrom turn 2 on: {share:.1%} from the cache, {sum(turn.seconds for turn in later):.1f} s; ")
    write(f"one slot for all {sum(turn.seconds for turn in shared[1:]):.1f} s; ")
    write(f"no cache {sum(turn.tokens for turn in later) / speed:.1f} s (at {speed:.0f} tokens a second)\n")
    if arguments.json:
        record = {
            "machine": machine,
            "own": [asdict(turn) for turn in own],
            "shared": [asdict(turn) for turn in shared],
        }
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Every word that is said to a model, in one place.

The prompts state real sizes taken from the settings, never guesses: a model that is told "about 500K characters" while
its window holds 8,192 tokens is led into errors.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

log = logging.getLogger(__name__)

NOTHING_FOUND = "NONE"
"""What a reader of passages replies when they do not help."""


# --- direct -----------------------------------------------------------------------------------------------------------

DIRECT_SYSTEM = """You are LocalRLM, a helpful assistant that runs on the user's own computer. Answer clearly and to the point. Say so \
when you do not know. Today is {today}."""

DIRECT_WITH_PASSAGES = """{memories}Material, as numbered passages:

{passages}

Answer the question from this material. Put the number of the passage behind each statement, like [1]. If the material \
does not hold the answer, say so.

Question: {question}"""

MEMORIES = """From earlier conversations, possibly relevant:
{lines}

"""


def direct_system(now: datetime) -> str:
    return DIRECT_SYSTEM.format(today=now.strftime("%A, %d %B %Y"))


def memories_block(lines: Sequence[str]) -> str:
    """Recalled memories, ready to stand before a question; empty when there are none."""
    return MEMORIES.format(lines="\n".join(f"- {line}" for line in lines)) if lines else ""


# --- complexity (the template of the project's plan) --------------------------------------------------------------------

COMPLEXITY = """You are analyzing a user message to determine its complexity.

User message: "{message}"
Context length: {context_length} tokens

Classify as:
- SIMPLE: Can be answered directly in one LLM call
- COMPLEX: Requires decomposition, multiple steps, or processing large context

Output JSON: {{"complexity": "SIMPLE" | "COMPLEX", "reason": "..."}}"""

COMPLEXITY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "complexity": {"type": "string", "enum": ["SIMPLE", "COMPLEX"]},
        "reason": {"type": "string", "maxLength": 200},
    },
    "required": ["complexity", "reason"],
    "additionalProperties": False,
}


# --- loop -----------------------------------------------------------------------------------------------------------------

LOOP_SYSTEM = """You answer a question by writing Python for a REPL. The material is the variable `context`: you see only what your \
code prints. Variables stay.

Each reply: a short thought and ONE block of code. Then wait for its output. Example (find):
```repl
print(context[:300])
for hit in search("contract signed by", k=5): print(hit.start, hit.text[:300])
```
In the REPL:
- `context` (str), `query` (the question), `documents` (.name .text .start .end)
- `search(text, k=10, regex=False)`: best passages (.text .start .end); `read_context(start, end)`; `chunks(size, overlap)`{tables}{memory}
{calls}- `SHOW_VARS()`; modules re, json, math, statistics, collections, datetime ... No files, no network

Your window: {window:,} tokens. Output is cut to {output_chars:,} characters: print little.
Count, filter, sum, sort, compare with code over the WHOLE context, not a sample.
{reading}
When a printed result is right, finish:
```repl
answer["content"] = f"There are {{n}} open orders."
answer["ready"] = True
```
(a draft until it is ready), or `FINAL(value)`, `FINAL_VAR("name")`. Give a full reply in the language of the question, not a plan."""

LOOP_CALLS = """- `llm_query(prompt, schema=None)`: asks a model that sees only the prompt; `llm_query_batched(prompts)`: many at once. \
Give it at most {prompt_chars:,} characters, aim at {aim_chars:,} each; {calls_left} calls in all
"""
LOOP_CHILD = """- `rlm_query(question, context=text)`: the same with a REPL of its own; costly
"""
LOOP_READING = """To summarise, judge or extract, ask about ALL chunks. Example (read everything):
```repl
notes = llm_query_batched([f"List every decision in this text, or NONE.\\n\\n{{p.text}}" for p in chunks({aim_chars}, 0)])
print([n for n in notes if n.strip() != "NONE"])
```"""
LOOP_READING_ALONE = """There is no model to ask from the code: print the passages that matter and read them. Example (count):
```repl
rows = [line for line in context.splitlines() if "ERROR" in line]
print(len(rows)); print(rows[:3])
```"""
LOOP_TABLES = "\n- `sql(query)`: read-only SQL over the tables {names}; returns rows"
TABLES_CHARS = 400
"""Names of tables and columns in the system prompt; `sql` itself knows them all."""
LOOP_MEMORY = "\n- `memory_search(text, k=5)`: earlier messages of the user's conversations"

LOOP_QUESTION = """{history}{memories}Question: {question}

`context`: {chars:,} characters, about {tokens:,} tokens{documents}.{variables}"""

NO_CODE = """Nothing was run: {problem}. Reply with one block of Python and nothing after it, for example:
```repl
print(context[:500])
```
To finish, run: answer["content"] = "..."; answer["ready"] = True"""
NOT_LOOKED_YET = """That answer was given before any code ran, so it cannot rest on the material. Look at `context` with code first:
```repl
print(len(context)); print(context[:500])
```"""
OBSERVATION = "Output:\n{output}"
NO_OUTPUT = "(no output; use print, or end with an expression)"
DROPPED_FINAL = """

The end of your reply was not used: it gave an answer before you had seen this output. If that answer is right, finish now."""
PLAN_AS_FINAL = """That was taken back: it says what you are going to do, it is no answer to the question. Carry the plan out with code first. (If it is the answer after all, finish with it again.)"""
SAME_CODE = """

You ran exactly this code before, with this same result. Try something else, or finish with the best answer."""
TURNS_LEFT = """

({left} turn{s} left. {advice})"""
ADVICE_SOON = "Work towards the answer."
ADVICE_LAST = 'Finish now: set answer["content"] to the best answer you have and answer["ready"] = True.'
RESTARTED = """{question}

So far (the earlier turns were left out to keep within your window; all variables are still there):
{variables}
Draft of the answer: {draft}
The last output:
{output}

Go on from here."""

GIVE_ANSWER_NOW = """The work has to end here ({reason}). Write the best answer to the question that what you have seen allows, in plain \
words, without code. Say what is uncertain or missing.

Question: {question}"""


@dataclass(frozen=True)
class LoopSizes:
    """The true sizes that a loop prompt states. ``prompt_chars`` is 0 when there are no sub-calls."""

    window: int
    output_chars: int
    prompt_chars: int
    calls_left: int


def loop_system(sizes: LoopSizes, *, children: bool, tables: Sequence[str], memory: bool) -> str:
    """The system prompt of the REPL loop (at most 900 tokens)."""
    asks = sizes.prompt_chars > 0
    aim = max(1_000, sizes.prompt_chars * 2 // 3 // 100 * 100)
    calls = ""
    if asks:
        calls = LOOP_CALLS.format(
            prompt_chars=sizes.prompt_chars, aim_chars=aim, calls_left=sizes.calls_left
        ) + (LOOP_CHILD if children else "")
    return LOOP_SYSTEM.format(
        window=sizes.window,
        output_chars=sizes.output_chars,
        tables=LOOP_TABLES.format(names=", ".join(tables)[:TABLES_CHARS]) if tables else "",
        memory=LOOP_MEMORY if memory else "",
        calls=calls,
        reading=LOOP_READING.format(aim_chars=aim) if asks else LOOP_READING_ALONE,
    )


OFFICIAL_TOOLS = """- `search(text, k=10)`: the best passages, each with .text .start .end. `read_context(start, end)`, `chunks(size, overlap)`."""
_OFFICIAL_SIZES = (
    (r"Sub-LLM context window ≈ [^.\n]*", "A prompt may have at most {prompt_chars:,} characters"),
    (r"~20K characters", "{output_chars:,} characters"),
)


def official_system(sizes: LoopSizes) -> str | None:
    """The system prompt of the official ``rlms`` package with the true sizes in it, for models that were trained on its
    wording; None if it is not installed."""
    try:
        module = importlib.import_module("rlm.utils.prompts")
        prompt = str(module.RLM_SYSTEM_PROMPT).format(custom_tools_section=OFFICIAL_TOOLS)
    except (ImportError, AttributeError, KeyError, IndexError, ValueError):
        return None
    for stated, true in _OFFICIAL_SIZES:
        prompt = re.sub(
            stated, true.format(prompt_chars=sizes.prompt_chars, output_chars=sizes.output_chars), prompt
        )
    return prompt


# --- plan (the templates of the project's plan, widened) ------------------------------------------------------------------

DECOMPOSITION = """You are breaking down a complex task into sub-tasks.

Task: "{task}"
{material}
Available tools:
- python_exec(code): Execute Python code in a REPL that holds `context` (str), `documents`, `search(text, k)`, `read_context(start, end)`, `chunks(size, overlap)`{tables}; returns what it prints
- llm_call(prompt): Call LLM with a sub-prompt (at most {prompt_chars:,} characters with what is put into it)
- read_context(start, end): Read portion of context; the input is "start, end" in characters
- search_context(text): Find the passages of the context that fit the text
- solve(question): Hand a hard sub-question about the context to a solver of its own

The result of sub-task 1 is the variable result_1 in the REPL, and {{result_1}} in the input of a later sub-task is replaced by it.

Generate a plan as JSON, with at most {most} sub-tasks:
{{
  "sub_tasks": [
    {{"id": 1, "type": "python_exec|llm_call|read_context|search_context|solve", "input": "...", "depends_on": []}},
    ...
  ],
  "synthesis_strategy": "How to combine results"
}}"""

PLAN_REPAIR = """That plan cannot be carried out: {problem}

Reply with the corrected plan as JSON only."""

CODE_RETRY = """This Python code failed in a REPL that holds `context` (str), `search(text, k)`, `chunks(size, overlap)`:

{code}

{error}

Reply with the corrected code only, in one ```python block."""

TASK_RETRY = """{prompt}

(A first try failed: {error})"""

PLAN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sub_tasks": {
            "type": "array",
            "minItems": 1,
            "maxItems": 12,
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer", "minimum": 1, "maximum": 99},
                    "type": {
                        "type": "string",
                        "enum": ["python_exec", "llm_call", "read_context", "search_context", "solve"],
                    },
                    "input": {"type": "string", "maxLength": 4000},
                    "depends_on": {"type": "array", "items": {"type": "integer"}, "maxItems": 12},
                },
                "required": ["id", "type", "input", "depends_on"],
                "additionalProperties": False,
            },
        },
        "synthesis_strategy": {"type": "string", "maxLength": 600},
    },
    "required": ["sub_tasks", "synthesis_strategy"],
    "additionalProperties": False,
}

SYNTHESIS = """You are synthesizing results from multiple sub-tasks into a final answer.

Original question: "{question}"
Sub-task results:
{results}
{strategy}
Provide a coherent, complete answer that addresses the original question.{citing}"""

CITING = " Put the number of the passage that a statement rests on behind it, like [1]. Use only numbers that stand above."


# --- retrieve ---------------------------------------------------------------------------------------------------------------

READ_SYSTEM = "You read passages and report what they say. You use nothing but the passages."

READ_PASSAGES = """Question: {question}
{known}
Passages (part {part} of {parts}):

{passages}

Write down what these passages contribute to answering the question: the facts, names and numbers, word for word where it \
matters, each with the number of its passage, like [1]. If they contribute nothing, reply {nothing}.
Question: {question}"""

READ_ALL = """Question about a whole document: {question}
{known}
Passages (part {part} of {parts}):

{passages}

Write down the points of these passages that the answer has to mention, one a line, in few words, each with the number of its \
passage, like [1]. If there is none, reply {nothing}.
Question: {question}"""

READ_ITEMS = """Question about a whole document: {question}
{known}
Passages (part {part} of {parts}):

{passages}

List every item in these passages that the question is about, one a line, in this form:
item | group | number
item: a few words from the passage that show what it is. group: the person, place, day or thing by which the question tells \
items apart, or -. number: the amount that the question adds up or compares, digits only, or -.
Single items only, no totals: a program counts, adds up and compares them. If there is none, reply {nothing}.
Question: {question}"""
ITEM_FORM = "item | group | number"

KNOWN = """
Known so far:
{notes}
"""
LOOKED_FOR = "Looked for now: {words}"

LOOK_UP_FIRST = """Question about a long document: {question}

The document will be read in parts, each by somebody who sees only that part and lists what counts for the question. Does the \
question describe something without naming it (a person, a date, a number), so that it has to be looked up elsewhere in the \
document before one can tell what counts? If so, reply with only the question that finds it, such as: Who signed the contract?
If not, reply {nothing}."""

MERGE_NOTES = """Question: {question}

Notes from reading part of the material:

{notes}

Merge these notes into one list: keep every different fact and its passage number, leave out what does not help with the \
question. Reply {nothing} if nothing is left."""

ANSWER_FROM_NOTES = """Question: {question}

Notes from reading {coverage}:

{notes}
{reckoned}
Answer the question from these notes alone, completely and to the point. Put the number of the passage behind each statement, \
like [1]. {otherwise}
Question: {question}"""
RECKONED = """
Reckoned by a program from the list of {items} (exact; use these numbers):
{lines}
"""
ANSWER_FROM_PASSAGES = """Question: {question}

{passages}

Answer the question from these passages alone. Put the number of the passage behind each statement, like [1]. {otherwise}
Question: {question}"""
READ_LINE = """{line}

Question: {question}
Answer in a few words."""
"""For the smallest models: no other words around the line."""
SAY_SO = "If the notes do not hold the answer, say so."
SEARCH_MARK = "SEARCH:"
ASK_BACK = """If something else has to be looked up first, reply with one line only: SEARCH: the words to look for. If \
the answer is not there, reply {nothing} only."""

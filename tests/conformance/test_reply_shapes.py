"""Every shape in which models write their code leads to the same answer."""

import json
from pathlib import Path

import pytest

from tests.conformance.stage import Actor, Stage, fence, finish

CONTEXT = "INFO start\nERROR disk\nINFO ok\nERROR net\n"
COUNT = 'n = context.count("ERROR")\nprint("counted", n)'

SHAPES = {
    "a repl fence": fence(COUNT),
    "a python fence": fence(COUNT, "python"),
    "a py fence": fence(COUNT, "py"),
    "a bare fence": fence(COUNT, ""),
    "a capital Python fence": fence(COUNT, "Python"),
    "prose around a python fence": f"I will count.\n{fence(COUNT, 'python')}\nThen I see.",
    "an unclosed repl fence": f"```repl\n{COUNT}\n",
    "an unclosed python fence": f"I count:\n```python\n{COUNT}",
    "raw code": COUNT,
    "raw code behind prose": f"I count the errors.\n\n{COUNT}",
    "two blocks": f"{fence('n = 0')}\nand\n{fence(COUNT)}",
    "a fence inside a string": fence('note = """\n```\nhi\n```\n"""\n' + COUNT),
    "a draft inside thinking": f"<think>\n{fence('raise SystemError')}\n</think>\n{fence(COUNT)}",
    "thinking opened by the template": f"{fence('raise SystemError')}\n</think>\n{fence(COUNT)}",
    "a closing fence glued to the code": f"```repl\n{COUNT}```",
    "a tool call": json.dumps({"name": "python", "arguments": {"code": COUNT}}),
    "a tool call in tags": f"<tool_call>{json.dumps({'name': 'python', 'arguments': {'code': COUNT}})}</tool_call>",
    "tildes": f"~~~python\n{COUNT}\n~~~",
    "an indented fence in a list": "1. Count:\n   ```python\n   n = context.count('ERROR')\n   ```",
    "a reply cut off in its last line": f"```repl\n{COUNT}\nprint('the rest is",
    "await": fence('async def count():\n    return context.count("ERROR")\nn = await count()'),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_code_is_understood_as(shape: str, tmp_path: Path) -> None:
    actor = Actor(root=[SHAPES[shape], finish('f"{n} errors"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "2 errors"
    assert not outcome.partial
    assert "SystemError" not in outcome.shown


UNRUNNABLE = {
    "an empty reply": "",
    "white space": "\n\n",
    "prose": "There are probably two errors.",
    "only thinking": "<think>I should count.</think>",
    "thinking that never ends": "<think>I should count. " + fence(COUNT),
    "talk about a final": 'I will use FINAL("x") later.',
    "another language": fence("grep -c ERROR log", "bash"),
    "an answer that happens to compile": "Errors: 2",
    "a plan in JSON": '{"plan": ["count", "answer"]}',
}


@pytest.mark.parametrize("shape", UNRUNNABLE)
async def test_the_model_is_told_what_was_wrong_with(shape: str, tmp_path: Path) -> None:
    actor = Actor(root=[UNRUNNABLE[shape], fence(COUNT), finish('f"{n} errors"')])
    async with Stage(actor, tmp_path) as stage:
        outcome = await stage.ask(context=CONTEXT)
    assert outcome.answer == "2 errors"
    told = actor.requests("root")[1].last
    assert told.startswith("Nothing was run")
    assert "```repl" in told

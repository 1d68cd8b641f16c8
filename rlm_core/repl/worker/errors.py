"""Error messages the model can learn from: its own lines only, what went wrong, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from rlm_core.repl.worker.desugar import public_text
from rlm_core.repl.worker.policy import PolicyError

MESSAGE_CHARS: Final = 2000
MAX_FRAMES: Final = 8

_NAME_ADVICE: Final = {
    "open": "There are no files here: the material is in `context` and `documents`.",
    "input": "Nobody can be asked here: use `query`, `context` and `documents`.",
    "exit": "To stop early, let the cell end; to finish, set answer['content'] and answer['ready'] = True.",
    "quit": "To stop early, let the cell end; to finish, set answer['content'] and answer['ready'] = True.",
    "globals": "Use SHOW_VARS() to see your variables.",
    "locals": "Use SHOW_VARS() to see your variables.",
    "vars": "Use SHOW_VARS() to see your variables.",
    "compile": "Write the code directly in the cell, or use python_exec(code).",
    "help": "Everything available is listed by SHOW_VARS().",
    "breakpoint": "Use print() to look at values.",
    "memoryview": "Use bytes or str slices.",
    "os": "There is no operating system here: the material is in `context` and `documents`.",
    "sys": "There is no sys here: print() writes to the output.",
    "np": "numpy is not available: use lists with statistics, math and sum().",
    "pd": "pandas is not available: use sql(query), or csv.DictReader(io.StringIO(text)).",
}

_POLICY_ADVICE: Final = (
    (r"Exec calls|Eval calls", "Write the code directly in the cell, or use python_exec(code)."),
    (r'starts with "_"', "Use a name without leading underscores."),
    (r"invalid attribute name", "Use public attributes and methods only."),
    (r"restricted name", "Frames, code objects and tracebacks are not available."),
    (r"metaclass|Class keywords", "Write a plain class."),
    (r"TryStar", "Use except instead of except*."),
    (r'"\*" imports', "Import the names you need."),
)


def describe_error(
    error: BaseException, message: str, sources: dict[str, str], available: Sequence[str]
) -> str:
    """The text of an error for the model. ``sources`` maps the file names of cells to their source.

    ``message`` is ``message_of(error)``, which runs code of the cell's classes; nothing here does.
    """
    if isinstance(error, PolicyError):
        advice = next((text for pattern, text in _POLICY_ADVICE if re.search(pattern, error.problem)), "")
        return _join([f"  line {error.line}", f"Not allowed: {error.problem}", advice])
    if isinstance(error, SyntaxError) and error.filename in sources:
        line = sources[error.filename].splitlines()[error.lineno - 1 : error.lineno] if error.lineno else []
        shown = [f"    {line[0].strip()[:200]}"] if line else []
        return _join([f"  line {error.lineno}", *shown, f"{type(error).__name__}: {error.msg}"])
    lines = _frames(error.__traceback__, sources)
    kind = type.__getattribute__(type(error), "__name__")
    lines.append(f"{kind}: {message}" if message else str(kind))
    return _join([*lines, _advice(error, message, available)])


def where(error: BaseException, sources: dict[str, str]) -> str:
    """The lines of the cell an exception passed through, without the exception."""
    return "\n".join(_frames(error.__traceback__, sources))


def _join(lines: Sequence[str]) -> str:
    return "\n".join(line for line in lines if line)


def message_of(error: BaseException) -> str:
    """The error's own words, bounded; a class of the cell's own may compute them."""
    try:
        return public_text(str.__str__(str(error))[:MESSAGE_CHARS])
    except Exception as second:
        return f"(its message cannot be shown: {type(second).__name__})"


def _frames(trace: TracebackType | None, sources: dict[str, str]) -> list[str]:
    found: list[tuple[str, int, str]] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename in sources:
            found.append((code.co_filename, trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    if len(found) > MAX_FRAMES:
        hidden = len(found) - MAX_FRAMES
        found[MAX_FRAMES // 2 : -MAX_FRAMES // 2] = [("", hidden, "")]
    newest = max(sources, key=_cell_number, default="")
    lines: list[str] = []
    for filename, line, function in found:
        if not filename:
            lines.append(f"  ... {line} more calls ...")
            continue
        place = "" if filename == newest else f" of an earlier cell ({filename.strip('<>')})"
        inside = f", in {public_text(function)}" if function != "<module>" else ""
        lines.append(f"  line {line}{place}{inside}")
        text = sources[filename].splitlines()
        if 0 < line <= len(text):
            lines.append(f"    {text[line - 1].strip()[:200]}")
    return lines


def _cell_number(filename: str) -> int:
    return int("".join(filter(str.isdigit, filename)) or 0)


def _advice(error: BaseException, message: str, available: Sequence[str]) -> str:
    if isinstance(error, NameError):
        found = re.search(r"name '([^']+)' is not defined", message)
        name = found.group(1) if found else ""
        if name in _NAME_ADVICE:
            return _NAME_ADVICE[name]
        if name in _MODEL_FUNCTIONS:
            return f"{name} is not available at this level. Available: {', '.join(available)}."
        return ""
    if isinstance(error, MemoryError):
        return (
            "The memory limit was reached. Work on pieces (chunks(size), generators), keep only what you need, "
            "and del large variables."
        )
    if isinstance(error, RecursionError):
        return "The code calls itself too deeply: use a loop."
    if isinstance(error, AttributeError) and "not available here" in message:
        return "Only public attributes can be read."
    if isinstance(error, ImportError) and "cannot import name" in message:
        return "Only a safe part of each module is available; import the module and look at what the error lists."
    return ""


_MODEL_FUNCTIONS: Final = frozenset(
    {"llm_query", "llm_query_batched", "rlm_query", "rlm_query_batched", "memory_search", "llm_call", "sql"}
)


def own_trace(error: BaseException) -> str:
    """Where the worker's own code failed, for the host's log (the traceback module would cost start-up time)."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"  {code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return "\n".join([*lines, f"{type_name(error)}: {message_of(error)}"])


def type_name(value: Any) -> str:
    """The name of a value's type, without running code of the value's class."""
    return str(type.__getattribute__(type(value), "__name__"))

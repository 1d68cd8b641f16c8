"""Reading what a worker reports about a cell. All of it is untrusted: each field is checked before it is used."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from rlm_core.repl.protocol import Frame, ProtocolError, clean_text

MAX_NAMES: Final = 500
VARIABLE_LINES: Final = 80
ERROR_CHARS: Final = 16_000
ANSWER_CHARS: Final = 1_100_000
DEFINITION_CHARS: Final = 1024 * 1024

_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with control and text-direction characters written out, so that no terminal or page acts on them."""
    text = text.replace("\r\n", "\n")
    return _UNSAFE.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


@dataclass(frozen=True, slots=True)
class CellReport:
    """A checked RESULT frame."""

    head: str
    tail: str
    hidden: int
    error: str
    interrupted: bool
    final: str | None
    draft: str | None
    variables: tuple[str, ...]
    names: tuple[str, ...]
    gone: tuple[str, ...]
    definitions: dict[str, str]
    values: dict[str, str]


def read_report(frame: Frame, cell_id: str) -> CellReport:
    """Check a RESULT frame. Raises ProtocolError for anything a worker of ours would not send."""
    header = frame.header
    if header.get("id") != cell_id:
        raise ProtocolError("a result for a cell that was not asked for")
    names, gone = _names(header, "names"), _names(header, "gone")
    definitions, values = _names(header, "definitions"), _names(header, "values")
    if len(frame.texts) != 6 + len(definitions) + len(values):
        raise ProtocolError("a result with the wrong number of texts")
    head, tail, error, final, draft, variables = frame.texts[:6]
    hidden = header.get("hidden")
    if type(hidden) is not int or not 0 <= hidden < 2**62:
        raise ProtocolError("a result that does not count its output")
    flags = [header.get(name) for name in ("interrupted", "final", "draft")]
    if not all(type(flag) is bool for flag in flags):
        raise ProtocolError("a result without its flags")
    split = 6 + len(definitions)
    return CellReport(
        head=visible(head),
        tail=visible(tail),
        hidden=hidden,
        error=visible(error[:ERROR_CHARS]),
        interrupted=bool(flags[0]),
        final=final[:ANSWER_CHARS] if flags[1] else None,
        draft=draft[:ANSWER_CHARS] if flags[2] else None,
        variables=tuple(visible(line)[:200] for line in variables.splitlines()[:VARIABLE_LINES]),
        names=names,
        gone=gone,
        definitions=dict(zip(definitions, frame.texts[6:split], strict=True)),
        values=dict(zip(values, frame.texts[split:], strict=True)),
    )


def _names(header: dict[str, Any], field: str) -> tuple[str, ...]:
    names = header.get(field)
    if type(names) is not list or len(names) > MAX_NAMES:
        raise ProtocolError(f"a result without a list of {field}")
    if not all(type(name) is str and len(name) <= 200 for name in names):
        raise ProtocolError(f"a result with bad {field}")
    return tuple(clean_text(name) for name in names)


class ReplMemory:
    """What the host keeps of a session's variables, unread, to bring them back in another worker."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.names: tuple[str, ...] = ()
        self.variables: tuple[str, ...] = ()
        """``name: type, size`` of the variables that are there."""
        self.definitions: dict[str, str] = {}
        self.values: dict[str, str] = {}

    @property
    def chars(self) -> int:
        """Its size, for whoever keeps many."""
        listed = sum(map(len, self.names)) + sum(map(len, self.variables))
        return listed + sum(map(len, self.definitions.values())) + sum(map(len, self.values.values()))

    @property
    def restorable(self) -> bool:
        """True if there is something to bring back."""
        return bool(self.definitions or self.values)

    def update(self, report: CellReport) -> None:
        """Take over what a cell changed. Raises ProtocolError if it is more than a worker may keep."""
        values = {name: text for name, text in self.values.items() if name not in report.gone} | report.values
        if sum(map(len, values.values())) > self._limit:
            raise ProtocolError("a snapshot that is too large")
        # A definition that is made again goes to the end: the order is that of the cells.
        kept = {name: text for name, text in self.definitions.items() if name not in report.definitions}
        definitions = kept | report.definitions
        while sum(map(len, definitions.values())) > DEFINITION_CHARS:
            del definitions[next(iter(definitions))]
        self.names, self.values, self.definitions = report.names, values, definitions
        self.variables = report.variables

    def forget_lines(self, lost: Collection[str]) -> None:
        """These variables did not come back: they are not listed any more. ``names`` keeps them until the next cell."""
        self.variables = tuple(line for line in self.variables if line.partition(":")[0] not in lost)

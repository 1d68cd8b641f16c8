"""What a cell finds besides Python: context, documents, answer and the helpers around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from rlm_core.repl.passages import Passage, PassageIndex, chunks, search_regex
from rlm_core.repl.worker.errors import type_name

ANSWER_CHARS: Final = 1024 * 1024


class Text(str):
    """A string that shows itself as it is when it is the last expression of a cell."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str.__str__(self)


class Document:
    """One document inside ``context``: ``.name .text .start .end``, also as items."""

    __slots__ = ("_context", "_end", "_name", "_start")

    def __init__(self, context: str, name: str, start: int, end: int) -> None:
        self._context, self._name, self._start, self._end = context, name, start, end

    @property
    def name(self) -> str:
        """The file's name."""
        return self._name

    @property
    def start(self) -> int:
        """Offset in ``context`` where it begins."""
        return self._start

    @property
    def end(self) -> int:
        """Offset in ``context`` just behind its last character."""
        return self._end

    @property
    def text(self) -> str:
        """Its text."""
        return self._context[self._start : self._end]

    def __getitem__(self, key: Any) -> Any:
        if key == "name":
            return self._name
        if key == "start":
            return self._start
        if key == "end":
            return self._end
        if key in ("text", "content"):
            return self.text
        raise KeyError("a document has name, text, start and end")

    def __len__(self) -> int:
        return self._end - self._start

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Document(name={self._name!r}, start={self._start}, end={self._end})"


class Finish:
    """What a cell said with FINAL."""

    def __init__(self) -> None:
        self.given = False
        self.value: Any = None


class Material:
    """The question and the text it is about."""

    def __init__(self, context: str = "", query: str = "") -> None:
        self.context = context
        self.query = query
        self.documents: tuple[Document, ...] = ()
        self.fresh_answer()
        self._index: tuple[str, PassageIndex] | None = None

    def fresh_answer(self) -> None:
        """Forget the previous message's answer."""
        self.answer: dict[Any, Any] = {"content": "", "ready": False}
        self.finish = Finish()

    def forget_context(self) -> None:
        """Let go of the context and of all that holds it."""
        self.context, self.documents, self._index = "", (), None

    def set_documents(self, entries: Sequence[Sequence[Any]]) -> None:
        """Replace the documents by ``(name, start, end)`` entries over the current context."""
        self.documents = tuple(Document(self.context, name, start, end) for name, start, end in entries)

    def index(self) -> PassageIndex:
        """The index over the current context."""
        if self._index is None or self._index[0] is not self.context:
            self._index = (self.context, PassageIndex(self.context))
        return self._index[1]


def build_helpers(material: Material, variables: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The helper functions of a cell. ``variables`` gives the cell's own variables."""

    def search(text: str, k: int = 10, regex: bool = False) -> list[Passage]:
        """Passages of context about the words of text (or matching it as a regular expression), best first."""
        if not isinstance(text, str):
            raise TypeError("search(text, k=10, regex=False) needs a string")
        return search_regex(material.context, text, k) if regex else material.index().search(text, k)

    def read_context(start: int = 0, end: int | None = None) -> str:
        """context[start:end]"""
        return material.context[start:end]

    def cut(*args: Any, **options: Any) -> list[Passage]:
        """chunks(size=8000, overlap=0) of context, or chunks(text, size, overlap) of any text."""
        if args and isinstance(args[0], str):
            return chunks(*args, **options)
        if "text" in options:
            return chunks(options.pop("text"), *args, **options)
        return chunks(material.context, *args, **options)

    def final(value: Any = None) -> None:
        """Finish: the answer is str(value)."""
        material.finish.given = True
        material.finish.value = value

    def final_var(name: Any) -> None:
        """Finish with a variable, by its name or by its value."""
        found = variables()
        if type(name) is str and name.strip() in found:
            final(found[name.strip()])
        elif type(name) is str and name.strip().isidentifier():
            raise NameError(
                f"FINAL_VAR: there is no variable {name.strip()!r}. Your variables: {', '.join(found) or 'none'}. "
                "Assign it first, or pass the text to FINAL(...)."
            )
        else:
            final(name)

    def show_vars() -> Text:
        """The cell's own variables, one a line."""
        lines = describe_variables(variables())
        return Text("\n".join(lines) if lines else "No variables yet.")

    return {
        "search": search,
        "read_context": read_context,
        "chunks": cut,
        "FINAL": final,
        "FINAL_VAR": final_var,
        "SHOW_VARS": show_vars,
    }


SIZED: Final = (str, bytes, list, dict, tuple, set, frozenset)


def describe_variables(found: dict[str, Any], limit: int = 60) -> list[str]:
    """``name: type, size`` lines. Looks only at exact builtin types, so that no code of a cell's class runs."""
    lines = []
    for name, value in list(found.items())[:limit]:
        unit = "characters" if isinstance(value, str) else "items"
        size = f", {len(value):,} {unit}" if type(value) in SIZED or type(value) is Passage else ""
        shown = f" = {value!r}" if type(value) in (int, float, bool) and len(repr(value)) < 40 else ""
        lines.append(f"{name[:80]}: {type_name(value)}{size}{shown}")
    if len(found) > limit:
        lines.append(f"... and {len(found) - limit} more")
    return lines

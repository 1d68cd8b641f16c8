"""Just enough Markdown to check documents: code blocks, inline code, links, headings, table rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    PROJECT / name
    for name in (
        "README.md",
        "LOCAL_LLM_SETUP.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "sample_docs/README.md",
    )
] + sorted((PROJECT / "docs").glob("*.md"))


@dataclass(frozen=True)
class Block:
    """A fenced code block: its language, its text, and the line it begins on."""

    document: str
    language: str
    text: str
    line: int

    @property
    def id(self) -> str:
        return f"{self.document}:{self.line}"


@dataclass(frozen=True)
class Page:
    """One document, taken apart. ``prose`` is its text without code blocks."""

    path: Path
    prose: str
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(PROJECT))

    @property
    def inline_code(self) -> list[str]:
        return re.findall(r"`([^`\n]+)`", self.prose)

    @property
    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    @property
    def anchors(self) -> set[str]:
        """What the headings are called in links."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}

    def section(self, heading: str) -> str:
        """The prose under a heading, up to the next heading of its level or above."""
        start = re.search(rf"^(#+) {re.escape(heading)}$", self.prose, re.MULTILINE)
        assert start, f"{self.name} has no heading '{heading}'"
        rest = self.prose[start.end() :]
        end = re.search(rf"^#{{1,{len(start.group(1))}}} ", rest, re.MULTILINE)
        return rest[: end.start()] if end else rest


def read(path: Path) -> Page:
    """Take one document apart. Raises AssertionError when a code block is not closed."""
    prose: list[str] = []
    blocks: list[Block] = []
    fence, language, begun, inside = "", "", 0, list[str]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark = re.match(r"\s*(`{3,})(\w*)\s*$", line)
        if not fence and mark:
            fence, language, begun, inside = mark[1], mark[2], number, []
        elif fence and line.strip() == fence:
            blocks.append(Block(str(path.relative_to(PROJECT)), language, "\n".join(inside) + "\n", begun))
            fence = ""
        elif fence:
            inside.append(line)
        else:
            prose.append(line)
    assert not fence, f"{path.name}: the code block of line {begun} is not closed"
    return Page(path, "\n".join(prose) + "\n", tuple(blocks))


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows in ``text``, without head and rule."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    ruled = [index for index, row in enumerate(lines) if re.fullmatch(r"[|\-: ]+", row)]
    skip = {index for rule in ruled for index in (rule - 1, rule)}
    return [
        [cell.strip().strip("|").strip() for cell in row]
        for index, row in enumerate(cells)
        if index not in skip
    ]


PAGES = [read(path) for path in DOCUMENTS if path.exists()]
SETUP = next(page for page in PAGES if page.name == "LOCAL_LLM_SETUP.md")

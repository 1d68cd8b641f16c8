"""The language wall: which syntax a cell may use.

RestrictedPython's transformer with a few reviewed relaxations. Each relaxation says why it is safe; everything that is
not mentioned stays as RestrictedPython decides, and syntax it does not know is refused. What the guards protect at run
time is in ``guards.py``; the boundary that must hold even if all of this fails is the process (``lock.py``).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any, Final, cast

from RestrictedPython.compile import compile_restricted_exec
from RestrictedPython.transformer import RestrictingNodeTransformer, copy_locations

from rlm_core.repl.worker.desugar import Desugar, keep_last_value, public_text
from rlm_core.repl.worker.guards import GUARDED_NAMES, SUPER_DUNDERS

METHOD_DUNDERS: Final = SUPER_DUNDERS | {"__post_init__", "__missing__", "__reversed__"}
"""Special methods a class may define, besides RestrictedPython's own few. None of them is called with an object the
cell does not already have, and none changes how attributes are found (no __getattr__, __class__, __reduce__ ...)."""

NATIVE_METHODS: Final = frozenset(
    """
    append extend insert pop sort reverse keys values items get setdefault update add discard union intersection
    difference popitem appendleft popleft most_common elements
    strip lstrip rstrip split rsplit splitlines lower upper title capitalize casefold swapcase startswith endswith
    find rfind index rindex count join encode decode partition rpartition zfill ljust rjust center isdigit isalpha isalnum isupper
    islower isspace isnumeric isdecimal istitle removeprefix removesuffix
    match search findall finditer fullmatch sub span group groups groupdict isoformat strftime
    """.split()  # noqa: SIM905
)
"""Method names that are read natively, for speed. None is a name the guard treats specially, and none exists in a module
that could do harm if it ever leaked (os.replace, os.remove): a test compares them."""

MATCH_CLASSES: Final = frozenset({"int", "str", "float", "bool", "list", "tuple", "dict", "set", "bytes"})


class Policy(RestrictingNodeTransformer):
    """RestrictedPython's transformer for this sandbox."""

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:
        # print is an ordinary builtin of ours, so there is no print collector to protect.
        if name in ("print", "printed"):
            return
        if allow_magic_methods and name in METHOD_DUNDERS and node.col_offset != 0:
            return
        super().check_name(node, name, allow_magic_methods)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "super":
            self.error(node, "super is only available as super().method(...).")
        if node.id in ("print", "printed"):
            return node
        return cast(ast.AST, super().visit_Name(node))

    # Items and iteration are not policed (a cell may see every element of what it holds), so these stay native.
    # Names in targets are still checked, by visit_Name; writes still go through _write_.

    def visit_For(self, node: ast.For) -> ast.AST:
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_With(self, node: ast.With) -> ast.AST:
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.ctx, ast.Load):
            return cast(ast.AST, self.node_contents_visit(node))
        return cast(ast.AST, super().visit_Subscript(node))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.ctx, ast.Load):
            if _is_super_call(node.value):
                return self._super_attribute(node)
            if node.attr in NATIVE_METHODS:
                return cast(ast.AST, self.node_contents_visit(node))
        return cast(ast.AST, super().visit_Attribute(node))

    def _super_attribute(self, node: ast.Attribute) -> ast.AST:
        # super().m becomes _super_attr_(super(), "m"); the guard decides about the name.
        call = ast.Call(
            func=ast.Name("_super_attr_", ast.Load()), args=[node.value, ast.Constant(node.attr)], keywords=[]
        )
        copy_locations(call, node)
        return call

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in ("exec", "eval"):
            return cast(ast.AST, super().visit_Call(node))
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        # `a.b += v` reads a.b without the guard and hands it to v's __radd__: names the guard treats specially are out.
        if isinstance(node.target, ast.Attribute) and node.target.attr in GUARDED_NAMES:
            self.error(node, f"Augmented assignment of the attribute {node.target.attr!r} is not allowed.")
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        return self._check_names(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return self._check_names(node)

    def _check_names(self, node: Any) -> ast.AST:
        for name in node.names:
            self.check_name(node, name)
        return cast(ast.AST, node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        for keyword in node.keywords:
            if keyword.arg not in ("metaclass", "total"):
                self.error(node, "Class keywords are not allowed.")
        guarded = cast(ast.ClassDef, super().visit_ClassDef(node))
        ast.copy_location(guarded, node)
        for keyword in guarded.keywords:
            copy_locations(keyword, node)
        return guarded

    # match: literals, sequences, mappings, captures and builtin types; never attribute patterns, which read in C.

    def visit_Match(self, node: ast.Match) -> ast.AST:
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_MatchSequence(self, node: ast.MatchSequence) -> ast.AST:
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_MatchOr(self, node: ast.MatchOr) -> ast.AST:
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_MatchSingleton(self, node: ast.MatchSingleton) -> ast.AST:
        return node

    def visit_MatchValue(self, node: ast.MatchValue) -> ast.AST:
        allowed = (ast.Constant, ast.UnaryOp, ast.USub, ast.BinOp, ast.Add, ast.Sub)
        if not all(isinstance(part, allowed) for part in ast.walk(node.value)):
            self.error(node, "case patterns may only compare with literal values.")
        return node

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        self.check_name(node, node.rest)
        if not all(isinstance(key, ast.Constant) for key in node.keys):
            self.error(node, "keys of case patterns must be literal values.")
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        return node

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        self.check_name(node, node.name)
        return node

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        self.check_name(node, node.name)
        return cast(ast.AST, self.node_contents_visit(node))

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        if node.kwd_attrs or not isinstance(node.cls, ast.Name) or node.cls.id not in MATCH_CLASSES:
            self.error(node, "class patterns are limited to builtin types without attributes.")
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        return node


def _is_super_call(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "super"
        and not node.args
        and not node.keywords
    )


class PolicyError(Exception):
    """The cell uses something the sandbox does not allow. ``line`` is where, 1-based."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


def compile_cell(source: str, filename: str, exports: Mapping[str, Sequence[str]]) -> CodeType:
    """Compile model-written source under the policy.

    Raises SyntaxError for what is not Python, PolicyError for what is not allowed, and ValueError, RecursionError,
    MemoryError or OverflowError for source that the compiler itself refuses (NUL bytes, endless nesting).
    """
    tree = ast.parse(source, filename)
    tree = Desugar(exports).visit(tree)
    keep_last_value(tree)
    ast.fix_missing_locations(tree)
    result = compile_restricted_exec(tree, filename, policy=Policy)
    if result.errors:
        place, _, problem = result.errors[0].partition(": ")
        digits = "".join(filter(str.isdigit, place))
        raise PolicyError(int(digits or 1), public_text(problem))
    return cast(CodeType, result.code)

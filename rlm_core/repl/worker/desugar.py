"""The pre-pass: rewrites everyday Python into the subset that the policy accepts.

It carries no security weight. Whatever it produces is inspected by the policy like any other code, so a mistake here
can make a cell fail but cannot let it out.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, Final

LAST_VALUE: Final = "rlm_last_value"
"""Holds the value of a cell's last expression until it is echoed."""

CLASS_FIELDS: Final = "rlm_class_fields"
"""Class attribute with the names of the annotated fields, in order; read by the dataclass and NamedTuple façades."""

PRIVATE_PREFIX: Final = "rlm_private_"
"""``_name`` becomes ``rlm_private_name``: RestrictedPython reserves leading underscores for its guards."""


def private_name(name: str) -> str:
    """The name under which a ``_private`` identifier is kept; guards (``_x_``), dunders and ``_`` are left alone."""
    if len(name) > 1 and name[0] == "_" and not name.endswith("_"):
        return PRIVATE_PREFIX + name[1:]
    return name


def public_text(text: str) -> str:
    """Undo private_name in a message for the model."""
    return text.replace(PRIVATE_PREFIX, "_")


class Desugar(ast.NodeTransformer):
    """Visit a whole ``ast.Module``. ``exports`` lists what ``from x import *`` brings, by module."""

    def __init__(self, exports: Mapping[str, Sequence[str]]) -> None:
        self._exports = exports

    # ---- annotations ----

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        plain = ast.Assign(targets=[node.target], value=node.value)
        return self.generic_visit(ast.copy_location(plain, node))

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        node.arg = private_name(node.arg)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        if hasattr(node, "type_params"):
            node.type_params = []
        node.name = private_name(node.name)
        return self.generic_visit(node)

    def visit_TypeAlias(self, node: Any) -> ast.AST:  # Python 3.12: type X = ...
        return self.generic_visit(ast.copy_location(ast.Assign(targets=[node.name], value=node.value), node))

    # ---- classes ----

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if hasattr(node, "type_params"):
            node.type_params = []
        node.name = private_name(node.name)
        fields = [
            s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
        ]
        body: list[ast.stmt] = []
        for statement in node.body:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            if not any(isinstance(t, ast.Name) and t.id == "__slots__" for t in targets):
                body.append(statement)
        if fields:
            names = ast.Tuple([ast.Constant(private_name(name)) for name in fields], ast.Load())
            note = ast.Assign(targets=[ast.Name(CLASS_FIELDS, ast.Store())], value=names)
            body.append(ast.copy_location(note, node))
        node.body = body or [ast.copy_location(ast.Pass(), node)]
        ast.fix_missing_locations(node)
        return self.generic_visit(node)

    # ---- names ----

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "__name__" and isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Constant("__main__"), node)
        node.id = private_name(node.id)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [private_name(name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [private_name(name) for name in node.names]
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg is not None:
            node.arg = private_name(node.arg)
        return self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        if node.name is not None:
            node.name = private_name(node.name)
        return self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        if node.name is not None:
            node.name = private_name(node.name)
        return node

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        if node.rest is not None:
            node.rest = private_name(node.rest)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load) and node.attr in ("__name__", "__qualname__"):
            return _call("rlm_name_of", node, node.value)
        if isinstance(node.ctx, ast.Load) and node.attr == "__class__":
            return _call("rlm_type_of", node, node.value)
        node.attr = private_name(node.attr)
        return node

    # ---- statements ----

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        if node.type is None:  # a bare except would swallow the interrupt
            node.type = ast.copy_location(ast.Name("Exception", ast.Load()), node)
        if node.name is not None:
            node.name = private_name(node.name)
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module == "__future__":
            return ast.copy_location(ast.Pass(), node)
        if node.names[0].name == "*" and node.module is not None and node.module in self._exports:
            node.names = [ast.alias(name) for name in self._exports[node.module]]
            return ast.fix_missing_locations(node)
        for alias in node.names:
            if alias.asname:
                alias.asname = private_name(alias.asname)
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        for alias in node.names:
            if alias.asname:
                alias.asname = private_name(alias.asname)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        # FINAL_VAR(x) without quotes passes the value itself.
        if (
            isinstance(node.func, ast.Name)
            and node.func.id == "FINAL_VAR"
            and len(node.args) == 1
            and isinstance(node.args[0], ast.Name)
        ):
            node.func.id = "FINAL"
        return self.generic_visit(node)

    # ---- async: model functions answer at once here, so `await f(x)` is `f(x)` ----

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)  # type: ignore[no-any-return]

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit_FunctionDef(_retyped(ast.FunctionDef, node))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(_retyped(ast.For, node))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.generic_visit(_retyped(ast.With, node))

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)


def _call(function: str, at: ast.expr, argument: ast.expr) -> ast.Call:
    call = ast.Call(func=ast.Name(function, ast.Load()), args=[argument], keywords=[])
    return ast.fix_missing_locations(ast.copy_location(call, at))


def _retyped(kind: Any, node: ast.stmt) -> Any:
    fields = {name: getattr(node, name) for name in kind._fields if hasattr(node, name)}
    return ast.copy_location(kind(**fields), node)


def keep_last_value(tree: ast.Module) -> None:
    """Turn a last expression into an assignment to LAST_VALUE, so that it is compiled under the same policy."""
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        keep = ast.Assign(targets=[ast.Name(LAST_VALUE, ast.Store())], value=last.value)
        tree.body[-1] = ast.copy_location(keep, last)
        ast.fix_missing_locations(tree)

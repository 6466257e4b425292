"""Small changes of a module, one at a time, which tests should notice.

Operators are exchanged (+ and -, < and <=, < and >=, and and or, min and max, mean and sum, …), numbers moved
(an integer by one, a float by half), signs and `not` dropped, conditions turned round. Left alone is what no
test of a formula should notice: annotations, decorators, messages of errors, assertions, text, tolerances
below 1e-5, and how much a search or a bootstrap may spend.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_PAIRS = "min max, minimum maximum, argmin argmax, any all, floor ceil, mean sum, std var, sin cos"
_PAIRS += ", log log1p, exp expm1"
_CALLED = {"sqrt": "square", "abs": "positive", "cumsum": "cumprod"}
for _pair in _PAIRS.split(", "):
    _one, _other = _pair.split()
    _CALLED |= {_one: _other, _other: _one}
_LEAST_FLOAT = 1e-5  # below are tolerances
_UNTOUCHED = {"strict", "seed", "replicates", "note", "xtol", "tol", "maxiter", "max_iter"}


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        name: function and change, the same wherever the lines move to.
        place: which node, in the order of `ast.walk`, and which of its changes.
        lines: first and last line of the statement, or of the head of a compound one.
        everywhere: whether it is run on import, or compiled, so that tracing can't tell who executes it.
    """

    name: str
    place: tuple[int, int]
    lines: tuple[int, int]
    everywhere: bool


def mutants_of(source: str) -> list[Mutant]:
    """Every change of a module's source, in the order of its lines.

    Raises:
        SyntaxError: the source is no Python.
    """
    tree = ast.parse(source)
    parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found: list[Mutant] = []
    names: Counter[str] = Counter()
    for index, node in enumerate(ast.walk(tree)):
        if _left_alone(node, parents):
            continue
        shown = _shown(node, parents)
        before = ast.unparse(shown)
        chain = list(_ancestors(node, parents))
        functions = [one for one in chain if isinstance(one, ast.FunctionDef | ast.ClassDef)]
        compiled = any("kernel" in ast.unparse(d) for one in functions for d in one.decorator_list)
        on_import = not any(isinstance(one, ast.FunctionDef) and node is not one for one in chain[1:])
        for variant, (change, undo) in enumerate(_changes(node)):
            change()
            after = ast.unparse(shown)
            undo()
            where = ".".join(one.name for one in reversed(functions)) or "module"
            name = f"{where}: {_one_line(before)} → {_one_line(after)}"
            names[name] += 1
            name += f" ({names[name]})" if names[name] > 1 else ""
            found.append(Mutant(name, (index, variant), _span(chain), compiled or on_import))
    return sorted(found, key=lambda one: (one.lines, one.place))


def mutated(source: str, mutant: Mutant) -> str:
    """The module's source with the change, without its comments and layout."""
    tree = ast.parse(source)
    index, variant = mutant.place
    node = next(node for place, node in enumerate(ast.walk(tree)) if place == index)
    change, _ = list(_changes(node))[variant]
    change()
    return ast.unparse(ast.fix_missing_locations(tree))


Change = tuple[Callable[[], None], Callable[[], None]]  # to make it, and to take it back


def _changes(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp | ast.UnaryOp | ast.Compare):
        yield from _operator_changes(node)
    elif isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            yield _set(node, "value", not value)
        elif isinstance(value, int):
            yield _set(node, "value", value + 1)
        elif isinstance(value, float) and (value == 0 or abs(value) >= _LEAST_FLOAT):
            yield _set(node, "value", value * 1.5 or 1.0)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        # Comparisons, `not`, and what `and` and `or` join are turned round where they stand.
        if not isinstance(node.test, ast.Compare | ast.UnaryOp | ast.BoolOp | ast.Constant):
            yield _set(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Name) and called.id in ("min", "max", "any", "all"):
            yield _set(called, "id", _CALLED[called.id])
        elif isinstance(called, ast.Attribute) and called.attr in _CALLED:
            of_math = isinstance(called.value, ast.Name) and called.value.id == "math"
            if not of_math or hasattr(math, _CALLED[called.attr]):
                yield _set(called, "attr", _CALLED[called.attr])


def _operator_changes(
    node: ast.BinOp | ast.AugAssign | ast.BoolOp | ast.UnaryOp | ast.Compare,
) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.AugAssign):
        if type(node.op) in _OPERATORS:
            yield _set(node, "op", _OPERATORS[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _set(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            for other in _COMPARISONS[type(op)]:
                yield _set(node, "ops", [*node.ops[:place], other(), *node.ops[place + 1 :]])
    elif isinstance(node.op, ast.USub):
        yield _set(node, "op", ast.UAdd())
    else:  # not not x, ~~x
        yield _set(node, "operand", ast.UnaryOp(node.op, node.operand))


def _set(node: ast.AST, field: str, value: object) -> Change:
    before = getattr(node, field)
    return (lambda: setattr(node, field, value)), (lambda: setattr(node, field, before))


def _left_alone(node: ast.AST, parents: dict[int, ast.AST]) -> bool:
    """Whether the node is in something that is no formula."""
    child = node
    for parent in list(_ancestors(node, parents))[1:]:
        if isinstance(parent, ast.Raise | ast.Assert | ast.JoinedStr) or child in _beside(parent):
            return True
        child = parent
    # int | None and the like
    return isinstance(node, ast.BinOp) and any(
        isinstance(side, ast.Constant) and side.value is None for side in (node.left, node.right)
    )


def _beside(parent: ast.AST) -> list[ast.AST | None]:
    """Children that are left alone with all that is in them."""
    if isinstance(parent, ast.FunctionDef):
        return [*parent.decorator_list, parent.returns]
    if isinstance(parent, ast.ClassDef):
        return [*parent.decorator_list]
    if isinstance(parent, ast.AnnAssign | ast.arg):
        return [parent.annotation]
    if isinstance(parent, ast.keyword) and parent.arg in _UNTOUCHED:
        return [parent.value]
    if isinstance(parent, ast.arguments):
        plain = [*parent.posonlyargs, *parent.args]
        named = [*plain[len(plain) - len(parent.defaults) :], *parent.kwonlyargs]
        defaults = [*parent.defaults, *parent.kw_defaults]
        return [value for one, value in zip(named, defaults, strict=True) if one.arg in _UNTOUCHED]
    return []


def _ancestors(node: ast.AST, parents: dict[int, ast.AST]) -> Iterator[ast.AST]:
    """The node, what it is in, and so on outwards."""
    at: ast.AST | None = node
    while at is not None:
        yield at
        at = parents.get(id(at))


def _shown(node: ast.AST, parents: dict[int, ast.AST]) -> ast.AST:
    """The smallest expression around a change that says something, but no more than a statement's head."""
    shown = node
    for around in _ancestors(node, parents):
        if isinstance(around, ast.FunctionDef | ast.ClassDef | ast.Module | ast.For | ast.With | ast.Try):
            break
        if isinstance(around, ast.expr | ast.stmt | ast.keyword | ast.arguments | ast.comprehension):
            shown = around
            if len(ast.unparse(around)) >= 16 and not isinstance(around, ast.Slice):
                break
    return shown


def _one_line(text: str) -> str:
    return " ".join(text.split("\n", maxsplit=1)[0].split())


def _span(chain: list[ast.AST]) -> tuple[int, int]:
    statement = next(one for one in chain if isinstance(one, ast.stmt))
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if isinstance(body, list) and body else statement.end_lineno
    return statement.lineno, max(statement.lineno, last or statement.lineno)

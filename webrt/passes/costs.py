"""What an expression costs to compute once more: the yardstick of fusion's decisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from webrt import dims
from webrt.dims import Dim, Operation
from webrt.kernel import expr as ex
from webrt.kernel.expr import Call, Const, Expr, Index, Load

_SLOW = frozenset(["exp", "log", "tanh", "erf", "sin", "cos", "pow", "div", "mod", "sqrt"])
MAX_TREE = 300  # far above any activation function; well inside Python's recursion limit
MAX_ATOMS = 500
_TYPICAL = 64  # what a symbol is taken to be where two symbolic sizes are compared


def cost(expr: Expr) -> int:
    """Roughly the instructions of an expression: slow functions 6, indirect loads 4, others 1."""
    total = 0
    for e in ex.walk(expr):
        match e:
            case Call(op=op):
                total += 6 if op in _SLOW else 1
            case Load(offset=offset):
                total += (4 if is_indirect(offset) else 1) + divisions(offset)
            case Index(dim):
                total += divisions(dim)
    return total


def is_indirect(offset: Dim) -> bool:
    """Whether an offset depends on loaded data."""
    if isinstance(offset, int) or not offset.compound:
        return False
    return any(isinstance(a, ex.Value) for a in dims.atoms_of(offset))


def divisions(dim: Dim) -> int:
    """The divisions and modulos in a dim."""
    if isinstance(dim, int) or not dim.compound:
        return 0
    return sum(isinstance(a, Operation) and a.op in ("//", "%") for a in dims.atoms_of(dim))


def size(expr: Expr) -> int:
    """The expressions in a tree."""
    return sum(1 for _ in ex.walk(expr))


def is_large(*exprs: Expr) -> bool:
    """Whether a tree has too many expressions: fusion repeats subtrees, and stops before that."""
    return any(_has_more(ex.walk(expr), MAX_TREE) for expr in exprs)


def is_tangled(expr: Expr) -> bool:
    """Whether an index in a tree has more than `MAX_ATOMS` atoms: it grows with every step."""
    return any(
        _has_more(dims.atoms_of(dim), MAX_ATOMS) for e in ex.walk(expr) for dim in ex.own_dims(e)
    )


def _has_more(items: Iterator[object], most: int) -> bool:
    return next(islice(items, most, None), None) is not None


def is_move(expr: Expr) -> bool:
    """Whether an expression only says where an element comes from, with no data in its index."""
    match expr:
        case Load(offset=offset):
            return not is_indirect(offset)
        case Const() | Index():
            return True
    return False


def is_choice(expr: Expr) -> bool:
    """Whether a place tells which of several loads an element comes from: a concatenation's."""
    return any(
        isinstance(e, Call)
        and e.op == "select"
        and not ex.loads(e.args[0])
        and all(ex.loads(arm) for arm in e.args[1:])
        for e in ex.walk(expr)
    )


def typical(dim: Dim) -> int:
    """A size with every symbol at a typical value."""
    return dims.evaluate(dim, defaultdict(lambda: _TYPICAL))

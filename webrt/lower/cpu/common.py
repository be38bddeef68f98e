"""What every lowering for CPUs shares: units of work, unaligned fours, loads kept inside."""

from __future__ import annotations

from collections.abc import Mapping

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.kernel import loop
from webrt.kernel.expr import Call, Expr, Load, call
from webrt.kernel.problem import Operand, Problem
from webrt.lower import common
from webrt.lower.common import Quad
from webrt.lower.scope import Scope

UNIT: Dim = symbol(loop.GRID[0])
"""The unit that the kernel's body computes: 0 … grid[0] - 1, in any order, on any worker."""


def root_scope(problem: Problem) -> Scope:
    """The outermost block of a unit; wasm's accesses need no alignment."""
    return common.root_scope(problem, aligned=False)


def kernel(
    name: str,
    problem: Problem,
    units: Dim,
    scope: Scope,
    shared: tuple[loop.Shared, ...] = (),
) -> loop.Kernel:
    """The finished kernel: `units` workgroups of one lane; `shared` is a worker's own memory."""
    return common.kernel(name, problem, (1, 1, 1), (units, 1, 1), scope, shared)


def vectorise(
    expr: Expr,
    name: str,
    lanes: Quad,
    extents: Mapping[str, Dim],
    refs: Mapping[str, Expr] | None = None,
) -> Expr:
    """`common.vectorise` with loads of four wherever the elements are consecutive."""
    return common.vectorise(expr, name, lanes, extents, refs, aligned=False)


def keep_inside(expr: Expr, operands: tuple[Operand, ...], extents: Mapping[str, Dim]) -> Expr:
    """`expr` with those loads kept inside of their operands whose value a `select` may drop.

    Such a load may lie anywhere, and wasm traps outside of its memory. A load of four may reach
    three elements out on either side, so that those of its lanes that are used stay in place.
    """

    def visit(e: Expr, dropped: bool) -> Expr:
        match e:
            case Load(int() as memory, offset, dtype, lanes) if dropped:
                size = operands[memory].size
                if dims.is_nonnegative(offset, extents) and dims.is_below(offset, size, extents):
                    return e
                inside = dims.dim_min(dims.dim_max(offset, 1 - lanes), size - 1)
                return Load(memory, inside, dtype, lanes)
            case Call("select", (condition, if_true, if_false)):
                return call(
                    "select", visit(condition, dropped), visit(if_true, True), visit(if_false, True)
                )
            case Call(op, args, dtype, lanes):
                return Call(op, tuple(visit(a, dropped) for a in args), dtype, lanes)
        return e

    return visit(expr, False)

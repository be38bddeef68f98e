"""Maps that load more tensors than a kernel can bind are computed in pieces.

Before:  y = select(i < 4, x0, select(i < 8, x1, … x11))        (a concatenation of twelve)
After:   t = select(i < 28, x7, … x11);   y = select(i < 4, x0, … select(i < 28, x6, t))
"""

from __future__ import annotations

from dataclasses import replace

from webrt import dims
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Call, Expr, Load
from webrt.kernel.problem import Map, Output, extents
from webrt.passes.layout import flat
from webrt.passes.workbench import MAX_BINDINGS, Node, Workbench


def narrow_maps(bench: Workbench) -> bool:
    """Store parts of expressions until every Map fits the bindings of a kernel."""
    changed = False
    for key in bench.in_order():
        while isinstance(bench.nodes[key].problem, Map) and _narrow(bench, key):
            changed = True
    return changed


def _narrow(bench: Workbench, key: int) -> bool:
    """Take one part out of a Map that binds too much."""
    node = bench.nodes[key]
    problem = node.problem
    assert isinstance(problem, Map)
    if bench.bindings(problem) <= MAX_BINDINGS:
        return False
    part = max(
        (e for o in problem.outputs for e in ex.walk(o.expr) if _is_part(e)), key=_operands,
        default=None,
    )  # fmt: skip
    if part is None:
        return False
    space = extents(problem)
    size, offset = dims.product(problem.axes), flat(space)
    value = Value(f"{bench.values[node.outputs[0]].name}.part", part.dtype, problem.axes)
    name = bench.name_of(value)
    stored = Output(part.dtype, size, offset, part)
    bench.add(Node(Map(problem.axes, (), (stored,)), (name,), node.name))
    load = Load(name, offset, part.dtype)
    outputs = tuple(
        replace(o, expr=ex.rewrite(o.expr, lambda e: load if e == part else None))
        for o in problem.outputs
    )
    bench.update(key, replace(node, problem=replace(problem, outputs=outputs)))
    return True


def _operands(expr: Expr) -> int:
    return len({load.memory for load in ex.loads(expr)})


def _is_part(expr: Expr) -> bool:
    """Whether a kernel can compute the expression, and that saves its reader bindings."""
    return isinstance(expr, Call) and 2 <= _operands(expr) < MAX_BINDINGS

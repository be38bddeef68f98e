"""Kernels over one space become one: equal nodes, reductions over the same rows, and Maps that a
reduction computes anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from webrt import dims
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Load
from webrt.kernel.problem import Map, Output, Problem, Reduce, expressions, extents, map_expressions
from webrt.passes.algebra import tidy
from webrt.passes.costs import cost, is_large
from webrt.passes.fuse_epilogue import join_names
from webrt.passes.fuse_inline import CHEAP_ROW, inline_into
from webrt.passes.layout import invert
from webrt.passes.workbench import (
    MAX_BINDINGS,
    Node,
    Workbench,
    output_space,
)


def share_equal(bench: Workbench) -> bool:
    """Nodes that compute the same from the same become one."""
    changed = False
    seen: dict[Problem, int] = {}
    for key in bench.in_order():
        node = bench.nodes[key]
        first = seen.setdefault(node.problem, key)
        if first == key:
            continue
        for name, kept in zip(node.outputs, bench.nodes[first].outputs, strict=True):
            bench.rename(name, kept)
            changed = True
    bench.drop_dead()
    return changed


def settle_reductions(bench: Workbench) -> bool:
    """Reductions of literals go: a sum of zeros is zero, and what reduces nothing is a Map."""
    changed = False
    for key in bench.in_order():
        node = bench.nodes[key]
        if not isinstance(node.problem, Reduce):
            continue
        known = {
            f"p{j}": p.expr
            for j, p in enumerate(node.problem.passes)
            if isinstance(p.expr, Const) and (p.combine in ("max", "min") or p.expr.value == 0)
        }
        each = {o.each for o in node.problem.outputs}
        if not known or len(each) != 1 or len(known) < len(node.problem.passes):
            continue
        bench.update(key, replace(node, problem=_as_map(node.problem, known, each.pop())))
        changed = True
    return changed


def _as_map(problem: Reduce, known: Mapping[str, Expr], each: bool) -> Map:
    axes = (*problem.axes, *(problem.reduced if each else ()))
    rows = len(problem.axes)
    renamed = {f"r{j}": dims.symbol(f"i{rows + j}") for j in range(len(problem.reduced))}
    space = extents(Map(axes, (), ()))

    def settled(expr: Expr) -> Expr:
        settled = ex.rewrite(expr, lambda e: known.get(e.name) if isinstance(e, ex.Ref) else None)
        return tidy(ex.substitute(settled, renamed), space)

    outputs = tuple(
        replace(o, expr=settled(o.expr), offset=dims.substitute(o.offset, renamed), each=False)
        for o in problem.outputs
    )
    return Map(axes, (), outputs)


def store_from_reduction(bench: Workbench) -> bool:
    """A stored Map that a Reduce computes for its rows becomes an output of the Reduce."""
    changed = False
    for key in bench.in_order():
        if key not in bench.nodes:
            continue
        node = bench.nodes[key]
        if not isinstance(node.problem, Map) or len(node.outputs) != 1:
            continue
        for reader in bench.readers_of(node.outputs[0]):
            merged = _with_each_output(bench, key, reader)
            if merged is not None:
                bench.remove(key)
                bench.update(reader, merged)
                changed = True
                break
    return changed


def _with_each_output(bench: Workbench, key: int, reader: int) -> Node | None:
    made, node = bench.nodes[key], bench.nodes[reader]
    name, output = made.outputs[0], made.problem.outputs[0]
    if not isinstance(node.problem, Reduce) or cost(output.expr) > CHEAP_ROW:
        return None
    offsets = {
        load.offset for p in node.problem.passes for load in ex.loads(p.expr) if load.memory == name
    }
    space = extents(node.problem)
    inverse = invert(next(iter(offsets)), space) if len(offsets) == 1 else None
    if inverse is None or inverse.size != output.size:
        return None
    if any(bench.depends(other, key) for other in bench.reads(reader) if other != name):
        return None
    own = invert(output.offset, extents(made.problem))
    inlined = inline_into(bench, key, reader)
    if own is None or inlined is None:
        return None
    offset = offsets.pop()
    expr = ex.simplify(ex.substitute(output.expr, own.at(offset, space)), space)
    stored = Output(output.dtype, output.size, offset, expr, each=True)
    problem = replace(inlined.problem, outputs=(*inlined.problem.outputs, stored))
    if bench.bindings(problem) > MAX_BINDINGS:
        return None
    return Node(problem, (*node.outputs, name), join_names(made.name, node.name))


def merge_reductions(bench: Workbench) -> bool:
    """Reductions over the same rows that read the same, or one the other's results, become one."""
    changed = False
    for key in bench.in_order():
        if key not in bench.nodes or not isinstance(bench.nodes[key].problem, Reduce):
            continue
        for other in bench.order():
            if other == key or other not in bench.nodes or key not in bench.nodes:
                continue
            merged = _merged(bench, key, other)
            if merged is not None:
                bench.remove(key)
                bench.update(other, merged)
                changed = True
    return changed


def _merged(bench: Workbench, key: int, other: int) -> Node | None:
    """One node for two reductions, `other` possibly reading what `key` makes."""
    first, second = bench.nodes[key], bench.nodes[other]
    one, two = first.problem, second.problem
    if not (isinstance(one, Reduce) and isinstance(two, Reduce)):
        return None
    if (one.axes, one.reduced) != (two.axes, two.reduced):
        return None
    reads = bench.reads(other)
    linked = set(reads) & set(first.outputs)
    if not linked and not set(bench.reads(key)) & set(reads):
        return None
    if any(ex.looks_up(e) for e in expressions(two)):  # so would what it becomes
        return None
    if any(bench.depends(name, other) for name in bench.reads(key)):
        return None
    if any(bench.depends(name, key) for name in reads if name not in linked):
        return None
    shift = len(one.passes)
    origins = dict(zip(first.outputs, one.outputs, strict=True))
    misplaced = False

    def renumber(expr: Expr) -> Expr | None:
        nonlocal misplaced
        if isinstance(expr, ex.Ref):
            return replace(expr, name=f"p{int(expr.name[1:]) + shift}")
        if isinstance(expr, Load) and isinstance(expr.memory, str) and expr.memory in origins:
            origin = origins[expr.memory]
            if dims.simplify(expr.offset, output_space(one, origin)) == origin.offset:
                return origin.expr
            misplaced = True
        return None

    moved = map_expressions(two, lambda e: ex.rewrite(e, renumber))
    assert isinstance(moved, Reduce)
    if misplaced or any(ex.looks_up(e) for e in expressions(moved)):
        return None
    kept = [
        (n, o)
        for n, o in zip(first.outputs, one.outputs, strict=True)
        if bench.is_result(n) or set(bench.readers_of(n)) - {other}
    ]
    passes = (*one.passes, *moved.passes)
    outputs = (*(o for _, o in kept), *moved.outputs)
    problem = replace(two, passes=passes, outputs=outputs)
    if bench.bindings(problem) > MAX_BINDINGS or is_large(*expressions(problem)):
        return None
    names = (*(n for n, _ in kept), *second.outputs)
    return Node(problem, names, join_names(first.name, second.name))

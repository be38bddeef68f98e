"""Maps move into the kernel that makes what they read, as its epilogue.

Before:  c[m, n] = sum_k a·b;  y[i] = f(c[g(i)], x[i])      After:  the Contract stores f(acc, x)

The Map must read the producer's output at a bijection g of its own space; its other loads and its
outputs are re-indexed over the producer's space.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load
from webrt.kernel.problem import Map, Output, Problem, Reduce, expressions, extents
from webrt.passes.algebra import tidy
from webrt.passes.costs import is_large
from webrt.passes.layout import flat, invert
from webrt.passes.workbench import MAX_BINDINGS, Node, Workbench, output_space


def absorb_epilogues(bench: Workbench, keep_source: bool = False) -> bool:
    """Move Maps into producers; with `keep_source`, also where the source must still be stored."""
    changed = False
    for key in bench.in_order():
        if key in bench.nodes and isinstance(bench.nodes[key].problem, Map):
            changed |= _absorb_one(bench, key, keep_source)
    return changed


def _absorb_one(bench: Workbench, key: int, keep_source: bool) -> bool:
    makers = {bench.makers[n] for n in bench.reads(key) if n in bench.makers}
    producers = [k for k in makers if not isinstance(bench.nodes[k].problem, Map)]
    if len(producers) > 1:  # the whole order is dear: a model has thousands of nodes
        position = {k: j for j, k in enumerate(bench.order())}
        producers = sorted(producers, key=lambda k: -position[k])
    for producer in producers:
        merged = merge(bench, producer, key, keep_source)
        if merged is not None:
            bench.remove(key)
            bench.update(producer, merged)
            return True
    return False


def merge(bench: Workbench, producer: int, key: int, keep_source: bool) -> Node | None:
    """The producer with the Map's outputs beside (or instead of) its own."""
    made, node = bench.nodes[producer], bench.nodes[key]
    sources = [name for name in made.outputs if name in bench.reads(key)]
    if not keep_source and not any(_dies(bench, name, key) for name in sources):
        return None
    others = [name for name in bench.reads(key) if name not in made.outputs]
    if any(bench.depends(name, producer) for name in others):
        return None
    for name in sources:
        outputs = _reindexed(bench, producer, key, name)
        if outputs is None:
            continue
        kept = [
            (n, o)
            for n, o in zip(made.outputs, made.problem.outputs, strict=True)
            if not _dies(bench, n, key)
        ]
        all_outputs = (*(o for _, o in kept), *outputs)
        problem = replace(made.problem, outputs=all_outputs)
        if bench.bindings(problem) > MAX_BINDINGS or is_large(*expressions(problem)):
            return None
        names = (*(n for n, _ in kept), *node.outputs)
        return Node(problem, names, join_names(made.name, node.name))
    return None


def join_names(first: str, second: str) -> str:
    """What a fused step is called: the names of the model's nodes, the first ones of many."""
    parts = dict.fromkeys([*first.split(" + "), *second.split(" + ")])
    return " + ".join(parts)


def _dies(bench: Workbench, name: str, key: int) -> bool:
    """Whether the Map is the only reader of a value."""
    return set(bench.readers_of(name)) <= {key} and not bench.is_result(name)


def _reindexed(bench: Workbench, producer: int, key: int, source: str) -> list[Output] | None:
    """The Map's outputs over the producer's space, reading `source` where it is made."""
    made, node = bench.nodes[producer], bench.nodes[key]
    space = extents(node.problem)
    origin = made.problem.outputs[made.outputs.index(source)]
    found = set[Dim]()
    for output in node.problem.outputs:
        found |= {load.offset for load in ex.loads(output.expr) if load.memory == source}
    for offset in sorted(found, key=str):
        inverse = invert(offset, space)
        if inverse is not None and inverse.size == origin.size:
            over = output_space(made.problem, origin)
            point = inverse.at(origin.offset, over)
            return _moved(made, node, point, over, origin.each)
    if isinstance(made.problem, Reduce) and not origin.each:
        for point in _row_points(made.problem, node.problem):
            moved = _moved(made, node, point, extents(made.problem), True)
            if moved is not None:
                return moved
    return None


def _row_points(made: Reduce, node: Problem) -> Iterator[dict[str, Dim]]:
    """Ways in which a Map's space may be a reduction's rows and their elements.

    By a value that both load once an element, else in row-major order of both.
    """
    over, space = extents(made), extents(node)
    if dims.product(tuple(over.values())) != dims.product(tuple(space.values())):
        return
    elements = {
        load.memory: load.offset
        for p in made.passes
        for load in ex.loads(p.expr)
        if invert(load.offset, over) is not None
    }
    for output in node.outputs:
        for load in ex.loads(output.expr):
            inverse = invert(load.offset, space) if load.memory in elements else None
            if inverse is not None:
                yield inverse.at(elements[load.memory], over)
    inverse = invert(flat(space), space)
    if inverse is not None:
        yield inverse.at(flat(over), over)


def _moved(
    made: Node, node: Node, point: dict[str, Dim], over: dict[str, Dim], each: bool
) -> list[Output] | None:
    """The Map's outputs at `point`, a function of the producer's indices; None if it can't be."""
    origins = dict(zip(made.outputs, made.problem.outputs, strict=True))
    misplaced = False

    def change(expr: Expr) -> Expr | None:
        nonlocal misplaced
        if not isinstance(expr, Load) or not isinstance(expr.memory, str):
            return None
        origin = origins.get(expr.memory)
        if origin is None:
            return None
        if dims.simplify(expr.offset, over) == origin.offset and (each or not origin.each):
            return origin.expr
        misplaced = True
        return None

    moved: list[Output] = []
    for output in node.problem.outputs:
        expr = ex.simplify(ex.substitute(output.expr, point), over)
        expr = tidy(ex.rewrite(expr, change), over)
        offset = dims.simplify(dims.substitute(output.offset, point), over)
        if misplaced or ex.looks_up(expr):  # a kernel looks nothing up by its own results
            return None
        moved.append(replace(output, expr=expr, offset=offset, each=each))
    return moved

"""Maps move into their readers: a load of a Map's output becomes the Map's own expression.

Before:  y[i] = f(x[g(i)]);  z[j] = h(y[p(j)])        After:  z[j] = h(f(x[g(p(j))]))

Pure index maps always move; arithmetic moves where it is not computed much more often than before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from webrt import dims
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load
from webrt.kernel.problem import (
    Attention,
    Contract,
    Fold,
    Map,
    Output,
    Problem,
    Reduce,
    expressions,
    extents,
    map_expressions,
)
from webrt.passes import costs
from webrt.passes.algebra import tidy
from webrt.passes.layout import Inverse, invert
from webrt.passes.workbench import (
    MAX_BINDINGS,
    Node,
    Workbench,
)

CHEAP = 8  # cost up to which a Map is computed again rather than stored, in several readers
CHEAP_SCORE = 12  # per score of an attention: small beside the 2·d operations of the score itself
CHEAP_ROW = 24  # in a reduction, which evaluates it once a pass
CHEAP_WEIGHT = 24  # of weights in a contraction: unpacking, a scale, a zero point
RECOMPUTE = 400  # cost · (points in the reader / points in the Map) up to which one reader takes it


MAX_TAKEN = 8 * costs.MAX_TREE
"""Expressions that a reader may take in. What is around them may decide their choices, which makes
the sum smaller, so this is more than a tree may have; but sums without a bound took minutes."""


class _TooLargeError(Exception):
    """A reader would take in too much."""


def dissolve_moves(bench: Workbench) -> None:
    """Remove every Map that only moves data: views become names, index maps go into offsets."""
    for key in bench.in_order():
        node = bench.nodes[key]
        if not isinstance(node.problem, Map) or len(node.outputs) != 1:
            continue
        output = node.problem.outputs[0]
        source = view_source(bench, output)
        if source is not None:
            bench.rename(node.outputs[0], source)
        elif costs.is_move(output.expr):
            inline_everywhere(bench, key)
    bench.drop_dead()


def view_source(bench: Workbench, output: Output) -> str | None:
    """The value whose elements, in the same order, are those of the output."""
    expr = output.expr
    if not isinstance(expr, Load) or expr.offset != output.offset:
        return None
    assert isinstance(expr.memory, str)
    source = bench.values[expr.memory]
    alike = source.dtype.storage.computed is output.dtype.storage.computed
    same = dims.product(source.shape) == output.size and alike
    return expr.memory if same and expr.dtype is output.dtype else None


def inline_everywhere(bench: Workbench, key: int) -> bool:
    """Inline a Map in all readers that can take it; whether its outputs died by that."""
    node = bench.nodes[key]
    for name in node.outputs:
        for reader in bench.readers_of(name):
            inlined = inline_into(bench, key, reader)
            if inlined is not None:
                bench.update(reader, inlined)
    return all(bench.is_dead(name) for name in node.outputs)


def inline_into(bench: Workbench, key: int, reader: int) -> Node | None:
    """The reader with its loads of a Map's outputs replaced by the Map's expressions."""
    made, node = bench.nodes[key], bench.nodes[reader]
    assert isinstance(made.problem, Map)
    sources: dict[str, tuple[Inverse, Expr]] = {}
    for name, output in zip(made.outputs, made.problem.outputs, strict=True):
        inverse = invert(output.offset, extents(made.problem))
        if inverse is None:
            return None
        sources[name] = (inverse, output.expr)
    space = extents(node.problem)
    found: dict[Load, Expr] = {}
    taken = 0

    def change(expr: Expr) -> Expr | None:
        if not isinstance(expr, Load) or expr.memory not in sources:
            return None
        assert isinstance(expr.memory, str)
        if expr not in found:
            inverse, source = sources[expr.memory]
            found[expr] = tidy(ex.substitute(source, inverse.at(expr.offset, space)), space)
            if costs.is_tangled(found[expr]):
                raise _TooLargeError
        return found[expr]

    def whole(expr: Expr) -> Expr:
        nonlocal taken
        for load, times in Counter(e for e in ex.loads(expr) if e.memory in sources).items():
            taken += times * costs.size(ex.rewrite(load, change))
            if taken > MAX_TAKEN:
                raise _TooLargeError
        changed = ex.rewrite(expr, change)
        return expr if changed is expr else tidy(changed, space)

    try:
        problem = map_expressions(node.problem, whole)
    except _TooLargeError:
        return None
    if bench.bindings(problem) > max(MAX_BINDINGS, bench.bindings(node.problem)):
        return None
    return replace(node, problem=problem)


def inline_chains(bench: Workbench) -> bool:
    """Maps whose one reader is a Map move into it."""
    changed = False
    for key in bench.in_order():
        readers = _sole_readers(bench, key)
        if readers is None or len(readers) != 1:
            continue
        reader = bench.nodes[readers[0]]
        if isinstance(reader.problem, Map) and _worth(bench, key, readers[0], CHEAP):
            changed |= _move(bench, key, readers)
    return changed


def inline_cheap(bench: Workbench) -> bool:
    """Maps that all readers can afford to compute move into them, whatever family those are."""
    changed = False
    for key in reversed(list(bench.in_order())):
        if key not in bench.nodes:
            continue
        readers = _sole_readers(bench, key)
        if readers and all(_affords(bench, key, reader, len(readers)) for reader in readers):
            changed |= _move(bench, key, readers)
    return changed


def _sole_readers(bench: Workbench, key: int) -> list[int] | None:
    """The readers of a Map's outputs; None where it isn't a Map or must be stored."""
    node = bench.nodes[key]
    if not isinstance(node.problem, Map) or node.alone:
        return None
    if any(bench.is_result(n) for n in node.outputs):
        return None
    return list(dict.fromkeys(r for name in node.outputs for r in bench.readers_of(name)))


def _move(bench: Workbench, key: int, readers: list[int]) -> bool:
    """Inline in all of the readers or in none."""
    changed: dict[int, Node] = {}
    for reader in readers:
        inlined = inline_into(bench, key, reader)
        if inlined is None or costs.is_large(*expressions(inlined.problem)):
            return False
        changed[reader] = inlined
    for reader, node in changed.items():
        bench.update(reader, node)
    bench.remove(key)
    return True


def _points(problem: Problem) -> int:
    return costs.typical(dims.product(tuple(extents(problem).values())))


def _places(problem: Problem, names: tuple[str, ...]) -> int:
    """At how many different offsets a problem loads the values."""
    every = {e for root in expressions(problem) for e in ex.distinct_loads(root)}
    return sum(e.memory in names for e in every)


def _growth(bench: Workbench, key: int, reader: int) -> float:
    """How often a reader loads each element of a Map."""
    made, taking = bench.nodes[key], bench.nodes[reader].problem
    return _points(taking) * _places(taking, made.outputs) / max(1, _points(made.problem))


def _worth(bench: Workbench, key: int, reader: int, cheap: int) -> bool:
    """Whether moving a Map into a reader over `points` doesn't multiply its work beyond reason."""
    price = sum(costs.cost(o.expr) for o in bench.nodes[key].problem.outputs)
    growth = _growth(bench, key, reader)
    return price <= cheap or growth <= 1 or price * growth <= RECOMPUTE


def _affords(bench: Workbench, key: int, reader: int, readers: int) -> bool:
    """Whether a reader takes a Map in: by where it loads it, and by the Map's cost."""
    node, made = bench.nodes[reader], bench.nodes[key]
    exprs = [o.expr for o in made.problem.outputs]
    price = sum(costs.cost(e) for e in exprs)
    names = set(made.outputs)
    problem = node.problem
    match problem:
        case Map():
            return price <= CHEAP if readers > 1 else _worth(bench, key, reader, CHEAP)
        case Reduce(passes=passes):
            in_passes = any(_loads_any(p.expr, names) for p in passes)
            if in_passes:
                chosen = any(costs.is_choice(e) for e in exprs)
                if chosen and _growth(bench, key, reader) > 1:
                    return False  # windows that overlap: each element would be chosen again
                return price <= (CHEAP if readers > 1 else CHEAP_ROW)
            return price <= CHEAP
        case Contract(a=a, b=b):
            if _loads_any(a, names) or _loads_any(b, names):
                return all(costs.is_move(e) for e in exprs) or (
                    price <= CHEAP_WEIGHT and _is_constant(bench, made.problem)
                )
            return price <= CHEAP
        case Attention():
            inner = (problem.query, problem.key, problem.value)
            if any(_loads_any(e, names) for e in inner):
                return all(costs.is_move(e) for e in exprs)
            return price <= CHEAP_SCORE
        case Fold():
            if any(_loads_any(o.expr, names) for o in problem.outputs):
                return price <= CHEAP
            return all(costs.is_move(e) for e in exprs)  # a turn is small, and there are many


def _is_constant(bench: Workbench, problem: Problem) -> bool:
    """Whether a problem reads weights alone: packed ones are unpacked where they are used."""
    loads = [load for e in expressions(problem) for load in ex.loads(e)]
    return bool(loads) and all(bench.values[str(x.memory)].data is not None for x in loads)


def _loads_any(expr: Expr, names: set[str]) -> bool:
    return any(load.memory in names for load in ex.distinct_loads(expr))

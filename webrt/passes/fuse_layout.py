"""Tensors are stored in the order in which they are read: transposes dissolve on the writer's side.

Before:  Attention stores [b, h, q, e]; Contract loads a(m, k) from it with k in two pieces
After:   Attention stores at the offset that makes the Contract's load m·K + k
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load
from webrt.kernel.problem import (
    Attention,
    Contract,
    Fold,
    Map,
    Problem,
    Reduce,
    extents,
    map_expressions,
)
from webrt.passes.costs import divisions, is_indirect
from webrt.passes.layout import Inverse, flat, invert
from webrt.passes.workbench import Workbench, output_space

Space = dict[str, Dim]
Role = tuple[str, ...]
"""The indices that should run with unit stride."""


def store_as_read(bench: Workbench) -> bool:
    """Give each intermediate tensor the layout in which its readers read it best."""
    changed = False
    for key in bench.in_order():
        for name in () if bench.nodes[key].alone else bench.nodes[key].outputs:
            if not bench.is_result(name):
                changed |= _improve(bench, key, name)
    return changed


def _improve(bench: Workbench, key: int, name: str) -> bool:
    node = bench.nodes[key]
    position = node.outputs.index(name)
    output = node.problem.outputs[position]
    over = output_space(node.problem, output)
    readings: Counter[tuple[Dim, Role, tuple[tuple[str, Dim], ...]]] = Counter(
        (offset, role, tuple(extents(bench.nodes[reader].problem).items()))
        for reader in bench.readers_of(name)
        for offset, role in _readings(bench.nodes[reader].problem, name)
    )

    def badness(change: _Change | None, least: int = 1 << 30) -> int:
        """The sum over the store and all loads; it ends where it is no better than `least`."""
        stored = change(output.offset, over) if change else output.offset
        if change and invert(stored, over) is None:
            return least
        total = _badness(stored, _store_role(node.problem), over, 1)
        for (offset, role, extent), times in readings.items():
            if total >= least:
                break
            space = dict(extent)
            found = change(offset, space) if change else offset
            total += times * _badness(found, role, space, 4)
        return total

    best, least = None, badness(None)
    if least == 0:
        return False
    orders = [(output.offset, over), *((o, dict(s)) for o, _, s in readings)]
    if isinstance(node.problem, Map | Reduce):
        orders += [(output.offset, order) for order in _with_each_last(over)]
    for change in dict.fromkeys(_change_of(o, s, output.size) for o, s in orders):
        if change is not None and (score := badness(change, least)) < least:
            best, least = change, score
    if best is None:
        return False
    _apply(bench, key, name, best)
    return True


@dataclass(frozen=True, slots=True)
class _Change:
    """A permutation of flat offsets: the old inverse, then the new row-major order."""

    inverse: Inverse
    target: Dim

    def __call__(self, offset: Dim, space: Space) -> Dim:
        point = self.inverse.at(offset, space)
        return dims.simplify(dims.substitute(self.target, point), space)


def _change_of(offset: Dim, space: Space, size: Dim) -> _Change | None:
    """The change after which a load at `offset` runs through memory in the order of its indices."""
    if is_indirect(offset):
        return None
    used = dims.free_symbols(offset)
    own = {n: e for n, e in space.items() if n in used}
    inverse = invert(offset, own)
    if inverse is None or inverse.size != size:
        return None
    return _Change(inverse, flat(own))


def _with_each_last(space: Space) -> list[Space]:
    """The space with each of its indices innermost: where readers' offsets can't be inverted."""
    names = [name for name, extent in space.items() if extent != 1]
    return [{n: space[n] for n in [*(m for m in space if m != last), last]} for last in names[:-1]]


def _apply(bench: Workbench, key: int, name: str, change: _Change) -> None:
    node = bench.nodes[key]
    outputs = list(node.problem.outputs)
    position = node.outputs.index(name)
    over = output_space(node.problem, outputs[position])
    outputs[position] = replace(outputs[position], offset=change(outputs[position].offset, over))
    bench.update(key, replace(node, problem=replace(node.problem, outputs=tuple(outputs))))
    for reader in bench.readers_of(name):
        current = bench.nodes[reader]
        space = extents(current.problem)

        def moved(expr: Expr, space: Space = space) -> Expr | None:
            if isinstance(expr, Load) and expr.memory == name:
                return replace(expr, offset=change(expr.offset, space))
            return None

        problem = map_expressions(current.problem, partial(ex.rewrite, change=moved))
        bench.update(reader, replace(current, problem=problem))


def _readings(problem: Problem, name: str) -> list[tuple[Dim, Role]]:
    """Each load of the value: its offset, and the indices that should run with unit stride."""
    roles: list[tuple[Expr, Role]]
    match problem:
        case Contract():
            roles = [(problem.a, ("k",)), (problem.b, ("n", "k"))]
        case Attention():
            roles = [(problem.query, ("d",)), (problem.key, ("d",)), (problem.value, ("e",))]
            roles.append((problem.score, ("t",)))
        case Reduce():
            roles = [(p.expr, _store_role(problem)) for p in problem.passes]
        case Map():
            roles = []
        case Fold():
            roles = [(e, _store_role(problem)) for e in (problem.first, problem.step)]
    roles += [(o.expr, _store_role(problem)) for o in problem.outputs]
    return [
        (load.offset, role)
        for expr, role in roles
        for load in ex.loads(expr)
        if load.memory == name
    ]


def _store_role(problem: Problem) -> Role:
    match problem:
        case Contract():
            return ("n",)
        case Attention():
            return ("e",)
        case Reduce():
            # Along the row, or across the rows that neighbouring lanes reduce: as they are stored.
            rows = [f"i{j}" for j in range(len(problem.axes))][::-1]
            stored = problem.outputs[0].offset
            across = [name for name in rows if unit_stride(stored, name)] or rows
            return (f"r{len(problem.reduced) - 1}", *across[:1])
        case Map() | Fold():
            return (f"i{len(problem.axes) - 1}",)


def _badness(offset: Dim, role: Role, space: Space, weight: int) -> int:
    """0 for an offset with unit stride along a preferred index; divisions and strides count."""
    if is_indirect(offset):
        return 0
    return weight * (0 if any(unit_stride(offset, index) for index in role) else 2) + divisions(
        offset
    )


def unit_stride(offset: Dim, index: str) -> bool:
    """Whether `offset` is `index` plus something that doesn't depend on it, or its last digit is.

    A convolution's taps and channels are digits of one index, the channels are the last.
    """
    own = dims.symbol(index)
    if index not in dims.free_symbols(offset - own):
        return True
    return any(
        coefficient == 1
        and len(atoms) == 1
        and isinstance(atoms[0], dims.Operation)
        and (atoms[0].op, atoms[0].left) == ("%", own)
        for atoms, coefficient in (() if isinstance(offset, int) else offset.terms)
    )

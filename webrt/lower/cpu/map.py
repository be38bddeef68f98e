"""Lowers a Map for CPUs: loops over the rows of a unit, fours of a row, and what is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.axes import collapse_map, stride
from webrt.kernel.expr import (
    Call,
    Const,
    Expr,
    Ref,
    Value,
    boolean,
    call,
    lanes_of,
    loads,
    own_dims,
    rewrite,
    select,
    substitute,
    walk,
)
from webrt.kernel.expr import simplify as simplify_expr
from webrt.kernel.problem import Map
from webrt.lower.common import lane, quad, wide
from webrt.lower.cpu.common import (
    Inside,
    at_lanes,
    at_outer,
    hoist,
    kernel,
    refuse_f16,
    root_scope,
    splats,
    vectorise,
)
from webrt.lower.cpu.nest import Step, cut, steps, walk_unit
from webrt.lower.scope import Scope
from webrt.schedule.cpu.map import CpuMapSchedule


def lower(problem: Map, schedule: CpuMapSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`; raises CompileError for f16."""
    refuse_f16(problem, name)
    merged = _arranged(collapse_map(problem))
    scope = root_scope(problem)
    turned = _turned(merged) if schedule.turned and schedule.width == 4 else None
    units = _Lowering(merged, schedule, scope, turned).lower()
    return kernel(name, problem, units, scope)


def _arranged(problem: Map) -> Map:
    """The problem with that axis last which costs least; it is another one than the output's last
    where that spares arithmetic on loaded indices.
    """
    count = len(problem.axes)
    if not count:
        return replace(problem, axes=(1,))
    costs = [_work(problem, f"i{j}") for j in range(count)]
    best = min(range(count), key=lambda j: (costs[j], -j))
    if costs[best] == costs[-1]:
        return problem
    order = [j for j in range(count) if j != best] + [best]
    moved: dict[str, Dim] = {f"i{old}": symbol(f"i{new}") for new, old in enumerate(order)}
    outputs = tuple(
        replace(o, expr=substitute(o.expr, moved), offset=dims.substitute(o.offset, moved))
        for o in problem.outputs
    )
    return replace(problem, axes=tuple(problem.axes[j] for j in order), outputs=outputs)


def _work(problem: Map, name: str) -> int:
    """How many operations on loaded indices are needed anew for every value of index `name`."""
    indices = {
        atom.expr
        for o in problem.outputs
        for e in walk(o.expr)
        for dim in own_dims(e)
        for atom in dims.atoms_of(dim)
        if isinstance(atom, Value)
    }
    moving = [e for e in indices if name in dims.free_symbols(dims.atom_dim(Value(e)))]
    return sum(isinstance(part, Call) for e in moving for part in walk(e))


def _turned(problem: Map) -> int | None:
    """The axis along which most loads are contiguous that aren't along the last one."""
    last = len(problem.axes) - 1
    offsets = {load.offset for o in problem.outputs for load in loads(o.expr)}
    jumping = [d for d in offsets if stride(d, f"i{last}") not in (0, 1)]
    gains = [sum(stride(d, f"i{j}") == 1 for d in jumping) for j in range(last)]
    best = max(range(last), key=lambda j: gains[j], default=0)
    extent = problem.axes[last]
    small = isinstance(extent, int) and extent <= 16
    return best if gains and gains[best] and not small else None


class _Lowering:
    """One kernel under construction; axis `turned`, if there is one, runs innermost."""

    def __init__(
        self, problem: Map, schedule: CpuMapSchedule, scope: Scope, turned: int | None
    ) -> None:
        self.problem = problem
        self.schedule = schedule
        self.scope = scope
        self.turned = turned
        self.inside = Inside(problem)
        self.first = len(problem.operands)
        self.last = f"i{len(problem.axes) - 1}"
        self.extent = problem.axes[-1]

    def lower(self) -> Dim:
        """Fill the scope; gives the number of units."""
        schedule, axes = self.schedule, self.problem.axes
        names = [f"i{j}" for j in range(len(axes) - 1)]
        unroll, width = schedule.unroll, schedule.width
        if self.turned is None:
            units = cut(axes, schedule.elements, step=4 * unroll)
            with walk_unit(self.scope, units) as (row, places, own):
                values = self._values(row, dict(zip(names, places, strict=True)), {self.last})
                for branch, decided in _branches(row, values):
                    decided.splat(branch, self.extent, width)
                    for step in steps(branch, own, self.extent, unroll, width):
                        self._store(step, step.scope, decided)
            return units.units
        name, extent = names.pop(self.turned), axes[self.turned]
        block = schedule.elements // 16
        outer = [extent for j, extent in enumerate(axes[:-1]) if j != self.turned]
        space = [*outer, dims.ceil_div(extent, block), self.extent]
        units = cut(space, schedule.elements, dims.dim_min(extent, block), 4 * unroll)
        with walk_unit(self.scope, units) as (row, (*places, number), own):
            values = self._values(row, dict(zip(names, places, strict=True)), {self.last, name})
            start = number * block
            stop = extent if number == 0 else dims.dim_min(start + block, extent)
            for step in steps(row, own, self.extent, unroll, width):
                with step.scope.loop("t", start, stop, extent=extent) as (inner, at):
                    self._store(step, inner, values.at({name: at}))
        return units.units

    def _values(self, scope: Scope, outer: dict[str, Dim], moving: set[str]) -> _Values:
        """What is stored and where, at the outer indices; what doesn't move is named."""
        exprs = [o.expr for o in self.problem.outputs]
        exprs = at_outer(scope, exprs, outer, moving, self.inside)
        exprs = hoist(scope, exprs, moving, self.inside)
        offsets = [dims.substitute(o.offset, outer) for o in self.problem.outputs]
        return _Values(exprs, offsets, {})

    def _store(self, step: Step, scope: Scope, values: _Values) -> None:
        """Compute and store every output at the elements of one step."""
        last, known = self.last, scope.extents
        if step.count:
            places = [quad(step.at + c) for c in range(step.count)]
            found = [
                vectorise(e, last, four, known, values.fours)
                for four in places
                for e in values.exprs
            ]
        else:
            places = []
            found = [simplify_expr(substitute(e, {last: step.at}), known) for e in values.exprs]
        found = scope.share_all([self.inside.keep(v, known) for v in found])
        count = len(values.offsets)
        for j, value in enumerate(found):
            offset, memory = values.offsets[j % count], self.first + j % count
            if places:
                store_four(scope, memory, offset, last, places[j // count], value)
            else:
                at = dims.substitute(offset, {last: step.at})
                scope.store(memory, dims.simplify(at, known), value)


@dataclass(slots=True)
class _Values:
    """Expressions of outputs, their offsets, and four copies of what the expressions refer to."""

    exprs: list[Expr]
    offsets: list[Dim]
    fours: dict[str, Expr]

    def conditions(self) -> list[Ref]:
        """What is known of a row and decides which loads are used: two conditions at most."""
        found: dict[Ref, None] = {}
        for expr in self.exprs:
            for e in walk(expr):
                if isinstance(e, Call) and e.op == "select" and any(loads(a) for a in e.args[1:]):
                    for part in walk(e.args[0]):
                        if isinstance(part, Ref) and part.dtype is DType.BOOL:
                            found[part] = None
        return list(found)[:2]

    def decided(self, condition: Ref, holds: bool) -> _Values:
        exprs = [_decided(e, condition, holds) for e in self.exprs]
        return _Values(exprs, self.offsets, {})

    def splat(self, scope: Scope, extent: Dim, width: int) -> None:
        """Make the copies, if there is a loop of fours over an axis of `extent`."""
        if width == 4 and not (isinstance(extent, int) and extent < 4):
            self.fours = splats(scope, self.exprs)

    def at(self, places: dict[str, Dim]) -> _Values:
        exprs = [substitute(e, places) for e in self.exprs]
        return _Values(exprs, [dims.substitute(o, places) for o in self.offsets], self.fours)


def _branches(scope: Scope, values: _Values) -> Iterator[tuple[Scope, _Values]]:
    """A block for every way in which the conditions of a row turn out."""
    conditions = values.conditions()
    if not conditions:
        yield scope, values
        return
    for holds in (True, False):
        test = conditions[0] if holds else call("not", conditions[0])
        with scope.when(test) as inner:
            yield from _branches(inner, values.decided(conditions[0], holds))


def _decided(expr: Expr, condition: Ref, holds: bool) -> Expr:
    """`expr` where it is known whether `condition` holds."""

    def change(e: Expr) -> Expr | None:
        if e == condition:
            return boolean(holds)
        if not isinstance(e, Call) or not any(isinstance(a, Const) for a in e.args):
            return None
        if e.op == "select":
            return select(*e.args)
        if e.op in ("and", "or"):
            one, other = e.args if isinstance(e.args[0], Const) else e.args[::-1]
            assert isinstance(one, Const)
            return other if bool(one.value) == (e.op == "and") else one
        if e.op == "not" and isinstance(e.args[0], Const):
            return boolean(not e.args[0].value)
        return None

    return rewrite(expr, change)


def store_four(
    scope: Scope, memory: int, offset: Dim, name: str, four: tuple[Dim, Dim, Dim, Dim], value: Expr
) -> None:
    """Store a value of four lanes at the places `four` of index `name`."""
    at = at_lanes(offset, name, four, scope.extents)
    if all(o == at[0] + j for j, o in enumerate(at)):
        scope.store(memory, at[0], wide(value))
        return
    if lanes_of(value) == 4 and not isinstance(value, Ref):
        value = scope.let("result", value)
    for j, one in enumerate(at):
        scope.store(memory, one, lane(value, j))

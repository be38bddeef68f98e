"""Lowers a Reduce for CPUs: passes over a row, four of its elements or four rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.axes import collapse_reduce
from webrt.kernel.expr import Expr, Load, Ref, call, rewrite, substitute, walk
from webrt.kernel.expr import simplify as simplify_expr
from webrt.kernel.problem import Output, Pass, Reduce, extents
from webrt.lower.common import quad, wide
from webrt.lower.cpu.common import (
    Inside,
    at_outer,
    hoist,
    kernel,
    refuse_f16,
    root_scope,
    splats,
    vectorise,
)
from webrt.lower.cpu.map import store_four
from webrt.lower.cpu.nest import Range, Step, cut, steps, walk_unit
from webrt.lower.cpu.windows import Bounds, cut_windows
from webrt.lower.reduce import COMBINE, Group, across_lanes, groups, neutral
from webrt.lower.scope import Scope
from webrt.schedule.cpu.map import is_heavy
from webrt.schedule.cpu.reduce import CpuReduceSchedule, best_axis


def lower(problem: Reduce, schedule: CpuReduceSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`; raises CompileError for f16."""
    refuse_f16(problem, name)
    merged = collapse_reduce(problem)
    if not merged.axes:
        merged = replace(merged, axes=(1,))
    if not merged.reduced:
        merged = replace(merged, reduced=(1,))
    across = schedule.across and schedule.width == 4
    if across:
        merged = _innermost(merged)
    last = f"i{len(merged.axes) - 1}"
    along = f"r{len(merged.reduced) - 1}" if schedule.width == 4 else ""
    merged, bounds = cut_windows(merged, frozenset((last if across else along,)))
    fours = 4 * schedule.unroll if across else 1
    units = cut(merged.axes, schedule.elements, dims.product(merged.reduced), fours)
    scope = root_scope(problem)
    inside = Inside(merged)
    kept = _kept(merged)
    with walk_unit(scope, units) as (inner, places, own):
        outer = {f"i{j}": place for j, place in enumerate(places)}
        unroll, width = (schedule.unroll, 4) if across else (1, 1)
        for step in steps(inner, own, merged.axes[-1], unroll, width):
            _Rows(merged, schedule, step, inside, last, outer, kept, bounds).lower()
    return kernel(name, problem, units.units, scope)


def _innermost(problem: Reduce) -> Reduce:
    """The problem with that axis last along which its loads are neighbours."""
    count = len(problem.axes)
    best = best_axis(problem)
    if best == count - 1:
        return problem
    order = [j for j in range(count) if j != best] + [best]
    moved = {f"i{old}": dims.symbol(f"i{new}") for new, old in enumerate(order)}
    return replace(
        problem,
        axes=tuple(problem.axes[j] for j in order),
        passes=tuple(Pass(p.combine, substitute(p.expr, moved)) for p in problem.passes),
        outputs=tuple(
            replace(o, offset=dims.substitute(o.offset, moved), expr=substitute(o.expr, moved))
            for o in problem.outputs
        ),
    )


_STRAIGHT = 64
"""A window is computed without a loop where that takes so many operations at most, about."""

_WINDOW = 8


@dataclass(frozen=True, slots=True)
class _Kept:
    """A pass whose terms wait in an output, until that output is computed from them.

    So a softmax computes its powers once. It must be a pass of the last group.
    """

    number: int
    output: int
    group: Group


def _kept(problem: Reduce) -> _Kept | None:
    """The pass that is worth it, if there is one: its terms are costly, and a part of an output."""
    if not problem.passes:
        return None
    group = groups(problem.passes)[-1]
    for number, one in group.passes:
        if one.expr.dtype is DType.F32 and is_heavy(one.expr):
            for j, output in enumerate(problem.outputs):
                uses = any(e == one.expr for e in walk(output.expr))
                if output.each and output.dtype is DType.F32 and uses:
                    return _Kept(number, j, group)
    return None


@dataclass(frozen=True, slots=True)
class _Sums:
    """The registers of one pass: `fours`, and the one for elements that come singly, if any do."""

    fours: tuple[Ref, ...]
    single: Ref | None


class _Rows:
    """A row, or with `step.count` that many fours of rows: their passes, then their outputs.

    A version is one of several values that a turn of a loop computes of one expression: one of the
    fours of rows, or one of the fours of elements in a row.
    """

    def __init__(
        self,
        problem: Reduce,
        schedule: CpuReduceSchedule,
        step: Step,
        inside: Inside,
        last: str,
        outer: dict[str, Dim],
        kept: _Kept | None,
        bounds: Bounds,
    ) -> None:
        self.problem = problem
        self.inside = inside
        self.kept = kept
        self.fours: dict[str, Expr] = {}
        self.weight = sum(1 for p in problem.passes for _ in walk(p.expr))
        self.first = len(problem.operands)
        self.schedule = schedule
        self.scope = step.scope
        self.count = step.count
        self.last = last
        self.outer = outer if step.count else outer | {last: step.at}
        self.at = [step.at + c for c in range(step.count)]
        self.width = 1 if schedule.across else schedule.width
        self.results: list[dict[str, Expr]] = [{} for _ in range(max(1, step.count))]
        space = extents(problem)
        self.inner = {name: space[name] for name in space if name[0] == "r"}
        self.ranges = [Range(0, extent) for extent in problem.reduced]
        for j, pair in bounds.items():
            first, end = (dims.substitute(bound, self.outer) for bound in pair)
            self.ranges[j] = Range(step.scope.symbol("from", first), step.scope.symbol("to", end))

    def lower(self) -> None:
        terms, values = self._bound()
        for group in groups(self.problem.passes):
            self._reduce(group, terms)
        outputs = [(self.first + j, o) for j, o in enumerate(self.problem.outputs)]
        each = [(j, o) for j, o in outputs if o.each]
        once = [(j, o) for j, o in outputs if not o.each]
        if each:
            exprs = self._at_rows(
                [e for e, o in zip(values, self.problem.outputs, strict=True) if o.each]
            )
            for step, places in self._elements(self.scope):
                self._store(step, places, each, self._values(step, places, exprs))
        if once:
            exprs = self._at_rows([values[j - self.first] for j, _ in once], False)
            self._store(Step(self.scope, 0, 0), {}, once, self._shared(self.scope, exprs))

    def _bound(self) -> tuple[list[Expr], list[Expr]]:
        """The terms of the passes, and the outputs' expressions, at the outer indices."""
        moving = [*self.inner, self.last] if self.count else list(self.inner)
        exprs = [p.expr for p in self.problem.passes]
        exprs += [self._with_kept(o.expr) for o in self.problem.outputs]
        exprs = at_outer(self.scope, exprs, self.outer, moving, self.inside)
        count = len(self.problem.passes)
        return exprs[:count], exprs[count:]

    def _with_kept(self, expr: Expr) -> Expr:
        """`expr` of an output with the terms that were kept loaded."""
        if self.kept is None:
            return expr
        output = self.problem.outputs[self.kept.output]
        term = self.problem.passes[self.kept.number].expr
        load = Load(self.first + self.kept.output, output.offset, DType.F32)
        return rewrite(expr, lambda e: load if e == term else None)

    # Values

    def _at_rows(self, exprs: Sequence[Expr], hoisted: bool = True) -> list[list[Expr]]:
        """`exprs` at these rows, a list a version of rows; what is the same in a row is named."""
        known = self.scope.extents | self.inner
        versions = []
        for c, results in enumerate(self.results):
            if self.count:
                four = quad(self.at[c])
                changed = [vectorise(e, self.last, four, known, results) for e in exprs]
            else:
                changed = [simplify_expr(_with_results(e, results), known) for e in exprs]
            if hoisted:
                changed = hoist(self.scope, changed, set(self.inner), self.inside)
                self.fours = splats(self.scope, changed) if self.width == 4 else {}
            versions.append(changed)
        return versions

    def _values(
        self, step: Step, places: dict[str, Dim], exprs: list[list[Expr]]
    ) -> list[list[Expr]]:
        """`exprs` of each version at the elements of a step."""
        scope = step.scope
        if not step.count:
            values = [
                [simplify_expr(substitute(e, places), scope.extents) for e in version]
                for version in exprs
            ]
        else:
            (name, at), rest = self._split(places)
            (version,) = exprs
            bound = [substitute(e, rest) for e in version]
            fours = self.fours
            values = [
                [vectorise(e, name, quad(at + c), scope.extents, fours) for e in bound]
                for c in range(step.count)
            ]
        return self._shared(scope, values)

    def _shared(self, scope: Scope, versions: list[list[Expr]]) -> list[list[Expr]]:
        """What the versions have in common, computed once."""
        known = scope.extents
        flat = scope.share_all([self.inside.keep(e, known) for v in versions for e in v])
        size = len(versions[0])
        return [flat[c * size : (c + 1) * size] for c in range(len(versions))]

    def _split(self, places: dict[str, Dim]) -> tuple[tuple[str, Dim], dict[str, Dim]]:
        """The innermost reduced index with its place, and the others."""
        rest = dict(places)
        name, at = rest.popitem()
        return (name, at), rest

    # Loops over the elements of a row

    def _elements(self, scope: Scope) -> Iterator[tuple[Step, dict[str, Dim]]]:
        """The steps through a row with the reduced indices; of fours, the last one counts fours."""
        yield from self._nest(scope, [])

    def _nest(self, scope: Scope, done: list[Dim]) -> Iterator[tuple[Step, dict[str, Dim]]]:
        reduced = self.problem.reduced
        extent = reduced[len(done)]
        own = self.ranges[len(done)]
        size = dims.product(reduced) * max(1, self.count) * self.weight
        small = isinstance(size, int) and size <= _STRAIGHT
        if len(done) + 1 < len(reduced):
            for step in steps(scope, own, extent, _WINDOW if small else 1, 1):
                yield from self._nest(step.scope, [*done, step.at])
            return
        unroll = self.schedule.unroll if self.width == 4 else _WINDOW if small else 1
        for step in steps(scope, own, extent, unroll, self.width):
            yield step, {f"r{j}": place for j, place in enumerate([*done, step.at])}

    # Reduction

    def _reduce(self, group: Group, terms: list[Expr]) -> None:
        """One loop over the row for all passes of the group."""
        sums = [self._registers(j, one) for j, one in group.passes]
        exprs = self._at_rows([terms[j] for j, _ in group.passes])
        for step, places in self._elements(self.scope):
            versions = self._values(step, places, exprs)
            self._keep(group, step, places, versions)
            for c, values in enumerate(versions):
                for (_, one), registers, value in zip(group.passes, sums, values, strict=True):
                    single = not step.count and not self.count
                    register = registers.single if single else registers.fours[c]
                    assert register is not None
                    value = value if single else wide(value)
                    step.scope.assign(register, call(COMBINE[one.combine], register, value))
        for (j, one), registers in zip(group.passes, sums, strict=True):
            self._finish(f"p{j}", one, registers)

    def _keep(
        self, group: Group, step: Step, places: dict[str, Dim], versions: list[list[Expr]]
    ) -> None:
        """Store the terms of the kept pass, if it is one of the group."""
        if self.kept is None or self.kept.group != group:
            return
        position = [j for j, _ in group.passes].index(self.kept.number)
        for values in versions:
            values[position] = step.scope.let("term", values[position])
        output = self.problem.outputs[self.kept.output]
        terms = [[values[position]] for values in versions]
        self._store(step, places, [(self.first + self.kept.output, output)], terms)

    def _registers(self, j: int, one: Pass) -> _Sums:
        first = neutral(one.combine, one.expr.dtype)
        extent = self.problem.reduced[-1]
        if self.count:
            count, single = self.count, False
        elif self.width == 1:
            count, single = 0, True
        else:
            fours = dims.floor_div(extent, 4)
            count = self.schedule.unroll
            count = min(count, max(fours, 0)) if isinstance(fours, int) else count
            single = extent % 4 != 0
        many = tuple(self.scope.var(f"sum{j}", wide(first)) for _ in range(count))
        return _Sums(many, self.scope.var(f"rest{j}", first) if single else None)

    def _finish(self, name: str, one: Pass, registers: _Sums) -> None:
        """The results of a pass."""
        op = COMBINE[one.combine]
        if self.count:
            for results, register in zip(self.results, registers.fours, strict=True):
                results[name] = self.scope.let(name, register)
            return
        parts = list(registers.fours)
        while len(parts) > 1:
            pairs = [call(op, a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairs + parts[len(pairs) * 2 :]  # type: ignore[assignment]
        total = [across_lanes(op, self.scope.let("all", parts[0]))] if parts else []
        total += [registers.single] if registers.single is not None else []
        value = call(op, *total) if len(total) == 2 else total[0]
        self.results[0][name] = self.scope.let(name, value)

    # Stores

    def _store(
        self,
        step: Step,
        places: dict[str, Dim],
        outputs: list[tuple[int, Output]],
        versions: list[list[Expr]],
    ) -> None:
        scope = step.scope
        for c, values in enumerate(versions):
            for (j, output), value in zip(outputs, values, strict=True):
                offset = dims.substitute(output.offset, self.outer)
                if step.count:
                    (name, at), rest = self._split(places)
                    offset = dims.substitute(offset, rest)
                    store_four(scope, j, offset, name, quad(at + c), value)
                    continue
                offset = dims.substitute(offset, places)
                if self.count:
                    store_four(scope, j, offset, self.last, quad(self.at[c]), value)
                else:
                    scope.store(j, dims.simplify(offset, scope.extents), value)


def _with_results(expr: Expr, results: dict[str, Expr]) -> Expr:
    """`expr` with the results of earlier passes."""
    return rewrite(expr, lambda e: results.get(e.name) if isinstance(e, Ref) else None)

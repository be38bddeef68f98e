"""Lowers an Attention for CPUs: blocks of keys, scores in scratch, a running softmax.

A unit computes a block of query rows, for some of the value columns:

    for each block of keys:
      scores[row, key]  = query · key           a product in register tiles (`attention_tiles`)
      scores[row, key]  = exp(score - top)      row by row; where top moved, the results are scaled
      results[row, col] += scores · value       the other product
    for each row, for each four columns: outputs from results / sum
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import Expr, Load, Ref, as_index, call, f32
from webrt.kernel.problem import Attention
from webrt.lower.attention import MASKED
from webrt.lower.common import decode, lane, quad
from webrt.lower.cpu.attention_tiles import Blocks, Few
from webrt.lower.cpu.attention_unit import Unit
from webrt.lower.cpu.common import UNIT, kernel, refuse_f16, root_scope
from webrt.lower.scope import Scope
from webrt.schedule.cpu.attention import CpuAttentionSchedule

F32 = DType.F32


def lower(problem: Attention, schedule: CpuAttentionSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`; raises CompileError for halves."""
    refuse_f16(problem, name)
    if schedule.turns and not isinstance(problem.d, int):
        raise ValueError(f"rows of d = {problem.d} elements have no place in scratch")
    return _Lowering(problem, schedule).kernel(name)


class _Lowering:
    """One kernel under construction."""

    def __init__(self, problem: Attention, schedule: CpuAttentionSchedule) -> None:
        self.problem = problem
        self.schedule = schedule
        self.scope = root_scope(problem)

    def kernel(self, name: str) -> loop.Kernel:
        problem, schedule, scope = self.problem, self.schedule, self.scope
        space = (
            *problem.batch,
            dims.ceil_div(problem.e, schedule.width),
            dims.ceil_div(problem.q, schedule.row_block),
        )
        numbers = iter(decode(UNIT, [extent for extent in space if extent != 1]))
        index = [0 if extent == 1 else next(numbers) for extent in space]
        for j, extent in enumerate(problem.batch):
            scope.bind(f"b{j}", index[j], extent)
        self.unit = unit = Unit(problem, schedule, scope, index[-1], index[-2])
        self.few, self.many = self.modes(scope)
        blocks = Blocks(unit)
        with self.when(scope, self.many) as body:
            if body is not None:
                blocks.queries(body)
        self.clear(scope)
        with scope.loop("block", 0, dims.ceil_div(problem.t, schedule.keys)) as (body, block):
            unit.keys(body, block)
            with self.when(body, self.many) as inner:
                if inner is not None:
                    blocks.fill(inner)
                    blocks.scores(inner)
            with self.when(body, self.few) as inner:
                if inner is not None:
                    Few(unit).scores(inner)
            self.softmax(body)
            with self.when(body, self.many) as inner:
                if inner is not None:
                    blocks.values(inner)
            with self.when(body, self.few) as inner:
                if inner is not None:
                    Few(unit).values(inner)
        self.outputs(scope)
        return kernel(name, problem, dims.product(space), scope, tuple(unit.shared))

    def modes(self, scope: Scope) -> tuple[Expr | bool, Expr | bool]:
        """Whether this unit goes row by row, and whether it turns keys: known, or a condition."""
        few, q, block = self.schedule.few, self.problem.q, self.schedule.row_block
        if not self.schedule.turns or (isinstance(q, int) and q <= few):
            return True, False
        if few == 0 or (isinstance(q, int) and (q % block == 0 or q % block > few)):
            return False, True
        test = scope.let("few", call("le", as_index(self.unit.rows), as_index(few)))
        return test, call("not", test)

    @contextmanager
    def when(self, scope: Scope, mode: Expr | bool) -> Iterator[Scope | None]:
        if isinstance(mode, bool):
            yield scope if mode else None
            return
        with scope.when(mode) as inner:
            yield inner

    def clear(self, scope: Scope) -> None:
        """Results are zero, the running maximum as low as can be."""
        unit, zero = self.unit, call("splat", f32(0.0))
        with scope.loop("at", 0, unit.padded_rows * self.schedule.width, 4) as (body, at):
            body.store(unit.results, at, zero)
        with scope.loop("row", 0, unit.rows) as (body, row):
            body.store(unit.tops, row, f32(MASKED))
            body.store(unit.sums, row, f32(0.0))

    # The softmax

    def softmax(self, scope: Scope) -> None:
        """Scores of a block of keys become weights, row by row."""
        unit = self.unit
        with scope.loop("row", 0, unit.rows, extent=self.schedule.row_block) as (body, row):
            highest = body.let("highest", Load(unit.highs, row * 4, F32, 4))
            pairs = [call("max", lane(highest, c), lane(highest, c + 1)) for c in (0, 2)]
            top = body.let("top", Load(unit.tops, row, F32))
            new = body.let("new", call("max", top, call("max", *pairs)))
            with body.when(call("gt", new, top)) as moved:
                self.rescale(moved, row, top, new)
            self.weigh(body, row, new)

    def rescale(self, scope: Scope, row: Dim, top: Ref, new: Ref) -> None:
        """The maximum has moved: what was summed up so far shrinks."""
        unit, width = self.unit, self.schedule.width
        scope.store(unit.tops, row, new)
        with scope.when(call("gt", as_index(unit.first_key), as_index(0))) as later:
            scale = later.let("scale", call("exp", call("sub", top, new)))
            later.store(unit.sums, row, call("mul", Load(unit.sums, row, F32), scale))
            scales = later.let("scales", call("splat", scale))
            start = later.symbol("results_at", row * width)
            with later.loop("at", start, start + width, 4) as (body, at):
                body.store(unit.results, at, call("mul", Load(unit.results, at, F32, 4), scales))

    def weigh(self, scope: Scope, row: Dim, top: Ref) -> None:
        """Weights from a row's scores, in place, and their sum; those of no key become 0."""
        unit = self.unit
        tops = scope.let("tops", call("splat", top))
        totals = [scope.var("total", call("splat", f32(0.0))) for _ in range(2)]
        start = scope.symbol("scores_at", row * self.schedule.keys)
        with scope.loop("at", start, start + unit.count, 8) as (body, at):
            for v, total in enumerate(totals):
                score = Load(unit.scores, at + v * 4, F32, 4)
                weight = body.let("weight", call("exp", call("sub", score, tops)))
                body.store(unit.scores, at + v * 4, weight)
                body.assign(total, call("add", total, weight))
        known = Load(unit.sums, row, F32)
        row_sum = call("sum4", call("add", *totals))
        scope.store(unit.sums, row, call("add", known, row_sum))

    # The results

    def outputs(self, scope: Scope) -> None:
        problem, unit, first = self.problem, self.unit, len(self.problem.operands)
        with scope.loop("row", 0, unit.rows, extent=self.schedule.row_block) as (body, row):
            q = body.symbol("q", unit.row + row, problem.q)
            inverse = call("div", f32(1.0), Load(unit.sums, row, F32))
            inverse = body.let("inverse", inverse)
            at = body.symbol("results_at", row * self.schedule.width - unit.first_column)
            with unit.quads_of_columns(body) as (inner, v):
                value = Load(unit.results, at + v * 4, F32, 4)
                acc = inner.let("result", call("mul", value, call("splat", inverse)))
                for j, output in enumerate(problem.outputs):
                    unit.store_four(inner, first + j, output, quad(v), q, acc)
            with unit.last_columns(body) as last:
                if last is not None:
                    inner, e = last
                    value = Load(unit.results, at + e, F32)
                    acc = inner.let("result", call("mul", value, inverse))
                    for j, output in enumerate(problem.outputs):
                        unit.store_one(inner, first + j, output, e, q, acc)

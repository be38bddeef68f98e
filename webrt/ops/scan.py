"""CumSum and CumProd: rows in blocks; a block adds what the blocks before it come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Ref, call
from webrt.kernel.problem import Pass, Reduce
from webrt.ops.compose import Make
from webrt.ops.emit import Emitter, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor

BLOCK = 64
DIRECT = 256
"""Rows of up to this length are no blocks: each element goes over its row."""


@dataclass(frozen=True, slots=True)
class _Scan:
    combine: str
    exclusive: bool
    reverse: bool

    @property
    def op(self) -> str:
        return {"sum": "add", "prod": "mul"}[self.combine]

    def neutral(self, dtype: DType) -> Const:
        number = 0 if self.combine == "sum" else 1
        return Const(float(number) if dtype.is_float else number, dtype)

    def counts(self, other: Dim, own: Dim) -> Expr:
        """Whether the element at `other` enters the result at `own`."""
        order = "ge" if self.reverse else "le"
        if self.exclusive:
            order = {"ge": "gt", "le": "lt"}[order]
        return call(order, ex.as_index(other), ex.as_index(own))


def _cumulative(name: str, combine: str, function: Callable[..., Tensor], since: int) -> None:
    class Cumulative:
        @staticmethod
        def expand(site: Site, make: Make) -> tuple[Value, ...] | None:
            """An axis that only a run tells picks one of the results along each."""
            x, axis = site.input(0), site.input(1)
            if axis.data is not None:
                return None
            places = [make.scalar(j) for j in range(len(x.shape))]
            every = [make.node(name, (x, j), site.attributes)[0] for j in places]
            stacked = make(
                "Concat", *(make("Unsqueeze", v, make.integers(0)) for v in every), axis=0
            )
            picked = make("Gather", stacked, make.reshape(axis, 1), axis=0)
            return (make("Squeeze", picked, make.integers(0)),)

        @staticmethod
        def infer(site: Site) -> tuple[Inferred, ...]:
            return (Inferred(site.input(0).dtype, site.ranked(0, 1, 64)),)

        @staticmethod
        def reference(site: Site, x: Tensor, axis: Tensor) -> tuple[Tensor, ...]:
            place = int(axis.reshape(-1)[0])
            flipped = np.flip(x, place) if site.integer("reverse") else x
            total = function(flipped, place, dtype=x.dtype)
            if site.integer("exclusive"):
                total = np.roll(total, 1, place)
                first = [slice(None)] * x.ndim
                first[place] = slice(0, 1)
                total[tuple(first)] = 0 if combine == "sum" else 1
            return (np.flip(total, place) if site.integer("reverse") else total,)

        @staticmethod
        def lower(site: Site, emit: Emitter) -> None:
            x = site.input(0)
            axis = site.axis(int(site.constant(1, "its axis").reshape(-1)[0]), len(x.shape))
            outer, inner = dims.product(x.shape[:axis]), dims.product(x.shape[axis + 1 :])
            scan = _Scan(combine, bool(site.integer("exclusive")), bool(site.integer("reverse")))
            _scan(emit, scan, x, (outer, x.shape[axis], inner), emit.outputs[0])

    operator(name, Attr("exclusive", 0), Attr("reverse", 0), since=since)(Cumulative)


def _scan(
    emit: Emitter,
    scan: _Scan,
    x: Value,
    shape: tuple[Dim, ...],
    made: Value,
    most: int = dims.MAX_SYMBOL,
) -> None:
    """Scan x [outer, n, inner] into `made`; n is at most `most`."""
    length = shape[1]
    most = length if isinstance(length, int) else most
    proven = x.dtype is DType.I64 and not isinstance(length, int)
    if most <= DIRECT or proven:  # the proof that sums fit 32 bits knows whole rows
        _directly(emit, scan, x, shape, made)
        return
    outer, _, inner = shape
    blocks = dims.ceil_div(length, BLOCK)
    depth = len(emit.nodes)
    totals = emit.temporary(f"totals{depth}", x.dtype, (outer, blocks, inner))
    starts = emit.temporary(f"starts{depth}", x.dtype, (outer, blocks, inner))
    o, i, j = indices(3)
    r = dims.symbol("r0")
    operands = emit.operands()

    def element(place: Dim) -> Expr:
        inside = place if length % BLOCK == 0 else dims.dim_min(place, length - 1)
        found = operands.load(x, (o * length + inside) * inner + j)
        if inside is place:
            return found
        there = call("lt", ex.as_index(place), ex.as_index(length))
        return ex.select(there, found, scan.neutral(found.dtype))

    one = element(i * BLOCK + r)
    stored = emit.stored(totals, flat((o, i, j), totals.shape), Ref("p0", one.dtype))
    passes = (Pass(scan.combine, one),)
    problem = Reduce(totals.shape, (BLOCK,), operands.declared(), passes, (stored,))
    emit.problem(problem, operands, [totals])
    inner_scan = _Scan(scan.combine, True, scan.reverse)
    _scan(emit, inner_scan, totals, totals.shape, starts, -(-most // BLOCK))

    operands = emit.operands()
    block = dims.floor_div(i, BLOCK)
    place = block * BLOCK + r
    one = element(place)
    kept = ex.select(scan.counts(place, i), one, scan.neutral(one.dtype))
    start = operands.load(starts, (o * blocks + block) * inner + j)
    result = call(scan.op, start, Ref("p0", one.dtype))
    stored = emit.stored(made, flat((o, i, j), shape), result)
    passes = (Pass(scan.combine, kept),)
    problem = Reduce(shape, (BLOCK,), operands.declared(), passes, (stored,))
    emit.problem(problem, operands, [made])


def _directly(emit: Emitter, scan: _Scan, x: Value, shape: tuple[Dim, ...], made: Value) -> None:
    """Each element goes over its whole row: quadratic."""
    o, i, j = indices(3)
    r = dims.symbol("r0")
    operands = emit.operands()
    one = operands.load(x, flat((o, r, j), shape))
    kept = ex.select(scan.counts(r, i), one, scan.neutral(one.dtype))
    stored = emit.stored(made, flat((o, i, j), shape), Ref("p0", one.dtype))
    passes = (Pass(scan.combine, kept),)
    problem = Reduce(shape, (shape[1],), operands.declared(), passes, (stored,))
    emit.problem(problem, operands, [made])


_cumulative("CumSum", "sum", np.cumsum, 11)
_cumulative("CumProd", "prod", np.cumprod, 26)

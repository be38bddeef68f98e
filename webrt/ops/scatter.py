"""Scatter, ScatterElements, ScatterND: what lands on an output element, looked for from there.

Without a reduction the last of several updates wins, as in NumPy: a table says which update that
is. It is made when packing where the indices are constant. Else an element looks at every update
where those are few; many are put in order, and an element goes over its own run (`runs.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Ref, call
from webrt.kernel.problem import Contract, Map, Pass, Reduce
from webrt.ops.emit import (
    I32_HIGH,
    I32_LOW,
    Emitter,
    Operands,
    flat,
    index,
    indices,
    strides,
)
from webrt.ops.gather import widest
from webrt.ops.registry import Attr, operator
from webrt.ops.runs import Runs, are_many, fold_runs, last_of_runs, runs_of
from webrt.ops.sampling import both
from webrt.ops.site import Inferred, Site, Tensor, compare, hold_shape, shape_text

COMBINES = {"add": "sum", "mul": "prod", "max": "max", "min": "min"}
_UFUNCS: dict[str, np.ufunc] = {
    "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
}  # fmt: skip
WIDE = 8
"""Slices of so many numbers are added up by a contraction with a matrix of zeros and ones."""


def _reduction(site: Site) -> str:
    name = site.attributes.get("reduction", "none")
    if name != "none" and name not in COMBINES:
        raise site.unsupported(f"reduction {name!r} isn't run")
    assert isinstance(name, str)
    return name


def _identity(combine: str, dtype: DType) -> Const:
    """What an update that doesn't land here adds."""
    if combine in ("sum", "prod"):
        number = 1 if combine == "prod" else 0
        return Const(float(number) if dtype.is_float else number, dtype)
    if dtype.is_float:
        return Const(-math.inf if combine == "max" else math.inf, dtype)
    low, high = (I32_LOW, I32_HIGH) if dtype is DType.I32 else (0, (1 << 32) - 1)
    return Const(low if combine == "max" else high, dtype)


def _from_start(
    emit: Emitter, operands: Operands, at: Value, offset: Dim, extent: Dim, held: Dim
) -> Expr:
    """An index, counted from the start of a dim of `extent`; all of `at` is held to `held`."""
    emit.limit(at, held)
    found = operands.load(at, offset)
    low, _ = emit.interval(at)
    if low >= 0:
        return found
    shifted = call("add", found, ex.as_index(extent))
    return ex.select(call("lt", found, ex.i32(0)), shifted, found)


def _names(
    emit: Emitter, operands: Operands, at: Value, offset: Dim, place: Dim, extent: Dim
) -> Expr:
    """Whether an index names a place of a dim, from its start or from its end."""
    emit.limit(at, extent)
    found = operands.load(at, offset)
    match = call("eq", found, ex.as_index(place))
    if emit.interval(at)[0] >= 0:
        return match
    return call("or", match, call("eq", found, ex.as_index(place - extent)))


# ScatterElements


class _Elements:
    """Updates lie beside the indices; an index replaces the position on one axis."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        data, at = site.input(0), site.ranked(1, len(site.input(0).shape))
        axis = site.axis(site.integer("axis"), len(data.shape))
        _reduction(site)
        hold_shape(site, 2, at)
        for j, (d, i) in enumerate(zip(data.shape, at, strict=True)):
            if j != axis and compare(i, d) == 1:
                raise site.shape_error(f"indices within {shape_text(data.shape)}", shape_text(at))
        return (Inferred(data.dtype, data.shape),)

    @staticmethod
    def reference(site: Site, data: Tensor, at: Tensor, updates: Tensor) -> tuple[Tensor, ...]:
        axis = site.axis(site.integer("axis"), data.ndim)
        place: list[Tensor] = list(np.indices(at.shape, sparse=True))
        place[axis] = np.where(at < 0, at + data.shape[axis], at).astype(np.int64)
        result, reduction = data.copy(), _reduction(site)
        if reduction == "none":
            result[tuple(place)] = updates
        else:
            _UFUNCS[reduction].at(result, tuple(place), updates)
        return (result,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        axis = site.axis(site.integer("axis"), len(site.input(0).shape))
        if 0 in site.input(1).shape:
            emit.view(site.input(0))
        elif _reduction(site) == "none":
            _replace_elements(site, emit, axis)
        else:
            _reduce_elements(site, emit, axis)


def _within(site: Site, at: tuple[Dim, ...], axis: int) -> tuple[tuple[Dim, ...], Expr | None]:
    """The position among the indices but for `axis`, and whether there is one."""
    valid: Expr | None = None
    own = list(at)
    shapes = zip(site.input(0).shape, site.input(1).shape, strict=True)
    for j, (extent, count) in enumerate(shapes):
        if j != axis and extent != count:
            valid = both(valid, call("lt", ex.as_index(at[j]), ex.as_index(count)))
            own[j] = dims.dim_min(at[j], count - 1)
    return tuple(own), valid


def _replace_elements(site: Site, emit: Emitter, axis: int) -> None:
    data, at, updates = (site.input(j) for j in range(3))
    table = _winners(site, emit, axis)

    def body(operands: Operands, here: tuple[Dim, ...]) -> Expr:
        own, valid = _within(site, here, axis)
        winner = operands.at(table, own)
        row = ex.as_dim(call("max", winner, ex.i32(0)))
        update = operands.load(updates, flat((*own[:axis], row, *own[axis + 1 :]), at.shape))
        landed = both(valid, call("ge", winner, ex.i32(0)))
        assert landed is not None
        return ex.select(landed, update, operands.at(data, here))

    emit.map(body)


def _winners(site: Site, emit: Emitter, axis: int) -> Value:
    """For each position of the data on `axis` the last update that lands there, or -1."""
    data, at = site.input(0), site.input(1)
    shape = (*at.shape[:axis], data.shape[axis], *at.shape[axis + 1 :])
    extent = data.shape[axis]
    if at.data is not None and all(isinstance(d, int) for d in shape):
        table: Tensor = np.full(tuple(dims.evaluate(d, {}) for d in shape), -1, np.int32)
        place: list[Tensor] = list(np.indices(at.data.shape, sparse=True))
        rows = place[axis]
        assert isinstance(extent, int)
        wanted = at.data.astype(np.int64)
        place[axis] = np.where(wanted < 0, wanted + extent, wanted)
        table[tuple(place)] = np.broadcast_to(rows, at.data.shape)
        return Value(f"{emit.outputs[0].name}.winner", DType.I32, shape, table)
    if are_many(at.shape[axis], shape):
        return last_of_runs(emit, _runs_of_elements(site, emit, axis), shape)
    winner = emit.temporary("winner", DType.I32, shape)
    here = indices(len(shape))
    operands = emit.operands()
    r = dims.symbol("r0")
    offset = flat((*here[:axis], r, *here[axis + 1 :]), at.shape)
    match = _names(emit, operands, at, offset, here[axis], extent)
    _store_winner(emit, operands, winner, match, at.shape[axis])
    return winner


def _runs_of_elements(site: Site, emit: Emitter, axis: int) -> Runs:
    """The runs of the indices along the axis, for each position on the others."""
    at, extent = site.input(1), site.input(0).shape[axis]
    shape = (dims.product(at.shape[:axis]), at.shape[axis], dims.product(at.shape[axis + 1 :]))
    if at.data is not None and isinstance(extent, int) and all(isinstance(d, int) for d in shape):
        wanted = at.data.astype(np.int64).reshape([dims.evaluate(d, {}) for d in shape])
        keys = np.where(wanted < 0, wanted + extent, wanted).astype(np.int32)
        return runs_of(emit, Value(f"{at.name}.keys", DType.I32, shape, keys), shape, extent)
    keys_of = emit.temporary("keys", DType.I32, shape)
    operands = emit.operands()
    size = dims.product(shape)
    found = _from_start(emit, operands, at, index(0), extent, extent)
    stored = emit.stored(keys_of, index(0), found)
    emit.problem(Map((size,), operands.declared(), (stored,)), operands, [keys_of])
    return runs_of(emit, keys_of, shape, extent)


def _store_winner(
    emit: Emitter, operands: Operands, winner: Value, match: Expr, count: Dim
) -> None:
    """The last r0 below `count` for which `match` holds, or -1."""
    shape = winner.shape
    found = ex.select(match, ex.as_index(dims.symbol("r0")), ex.i32(-1))
    stored = emit.stored(winner, flat(indices(len(shape)), shape), Ref("p0", DType.I32))
    problem = Reduce(shape, (count,), operands.declared(), (Pass("max", found),), (stored,))
    emit.problem(problem, operands, [winner])


def _reduce_elements(site: Site, emit: Emitter, axis: int) -> None:
    data, at, updates = (site.input(j) for j in range(3))
    here = indices(len(data.shape))
    own, valid = _within(site, here, axis)
    if are_many(at.shape[axis], data.shape) and data.dtype is not DType.BOOL:
        before, after = (flat(own[p], at.shape[p]) for p in (slice(axis), slice(axis + 1, None)))
        runs = _runs_of_elements(site, emit, axis)

        def place(number: Dim) -> Dim:
            return flat((*own[:axis], number, *own[axis + 1 :]), at.shape)

        fold_runs(
            emit, runs, _reduction(site), (data, updates), (before, here[axis], after), place, valid
        )
        return
    operands = emit.operands()
    offset = flat((*own[:axis], dims.symbol("r0"), *own[axis + 1 :]), at.shape)
    extent = data.shape[axis]
    match = _names(emit, operands, at, offset, here[axis], extent)
    update = operands.load(updates, offset)
    _combine(site, emit, operands, both(valid, match), update, operands.at(data, here))


def _combine(
    site: Site, emit: Emitter, operands: Operands, landed: Expr | None, update: Expr, old: Expr
) -> None:
    """The reduction over r0 of the updates that land on an element, and of the old element."""
    output = emit.outputs[0]
    name = _reduction(site)
    assert landed is not None
    kept = ex.select(landed, update, _identity(COMBINES[name], update.dtype))
    result = call(name, old, Ref("p0", update.dtype))
    here = indices(len(output.shape))
    stored = emit.stored(output, flat(here, output.shape), result)
    at = site.input(1).shape
    if site.op == "ScatterND":
        count = dims.product(at[:-1])
    else:
        count = at[site.axis(site.integer("axis"), len(at))]
    passes = (Pass(COMBINES[name], kept),)
    problem = Reduce(output.shape, (count,), operands.declared(), passes, (stored,))
    emit.problem(problem, operands, [output])


_AXIS = Attr("axis", 0)
operator("Scatter", _AXIS, since=9)(_Elements)
operator("ScatterElements", _AXIS, Attr("reduction", "none", since=16), since=11)(_Elements)


# ScatterND


def _width(site: Site) -> int:
    """How many axes of the data an index stands for."""
    data, at = site.input(0), site.ranked(1, 1, 64)
    if not isinstance(at[-1], int):
        raise site.unsupported(f"a last dim of indices of {at[-1]}")
    if at[-1] > len(data.shape):
        raise site.shape_error(f"at most {len(data.shape)} indices", str(at[-1]))
    return at[-1]


@operator("ScatterND", Attr("reduction", "none", since=16), since=11)
class ScatterND:
    """The last axis of the indices is a multi-index; updates are slices of the data."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        data, at = site.input(0), site.input(1)
        _reduction(site)
        hold_shape(site, 2, (*at.shape[:-1], *data.shape[_width(site) :]))
        return (Inferred(data.dtype, data.shape),)

    @staticmethod
    def reference(site: Site, data: Tensor, at: Tensor, updates: Tensor) -> tuple[Tensor, ...]:
        result, reduction = data.copy(), _reduction(site)
        place = tuple(np.moveaxis(at.astype(np.int64), -1, 0))
        if reduction == "none":
            result[place] = updates
        else:
            _UFUNCS[reduction].at(result, place, updates)
        return (result,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        if dims.product(site.input(1).shape[:-1]) == 0:
            emit.view(site.input(0))
            return
        targets = _targets(site, emit)
        if _reduction(site) == "none":
            _replace_slices(site, emit, targets)
        else:
            _reduce_slices(site, emit, targets)


def _targets(site: Site, emit: Emitter) -> Value:
    """For each update the number of the slice that it lands on."""
    data, at = site.input(0), site.input(1)
    width, count = _width(site), dims.product(at.shape[:-1])
    lead = data.shape[:width]
    if at.data is not None and all(isinstance(d, int) for d in lead):
        sizes = [dims.evaluate(d, {}) for d in lead]
        places = at.data.astype(np.int64).reshape(-1, width)
        places = np.where(places < 0, places + sizes, places)
        steps = [dims.evaluate(s, {}) for s in strides(lead)]
        found = (places * steps).sum(axis=1).astype(np.int32)
        return Value(f"{emit.outputs[0].name}.targets", DType.I32, (count,), found)
    targets = emit.temporary("targets", DType.I32, (count,))
    operands = emit.operands()
    held = widest(lead)
    total: Expr = ex.i32(0)
    for j, (extent, step) in enumerate(zip(lead, strides(lead), strict=True)):
        one = _from_start(emit, operands, at, index(0) * width + j, extent, held)
        part = one if step == 1 else call("mul", one, ex.as_index(step))
        total = part if j == 0 else call("add", total, part)
    stored = emit.stored(targets, index(0), total)
    emit.problem(Map((count,), operands.declared(), (stored,)), operands, [targets])
    return targets


def _slice_of(site: Site, here: tuple[Dim, ...]) -> tuple[Dim, Callable[[Dim], Dim]]:
    """(the number of the slice of an element, update number -> offset of the element in it)."""
    shape = site.input(0).shape
    width = _width(site)
    inner = dims.product(shape[width:])
    rest = flat(here[width:], shape[width:])
    return flat(here[:width], shape[:width]), lambda number: number * inner + rest


def _replace_slices(site: Site, emit: Emitter, targets: Value) -> None:
    data, updates = site.input(0), site.input(2)
    lead = dims.product(data.shape[: _width(site)])
    if targets.data is not None:
        table: Tensor = np.full(dims.evaluate(lead, {}), -1, np.int32)
        table[targets.data] = np.arange(targets.data.size)
        winner = Value(f"{emit.outputs[0].name}.winner", DType.I32, (lead,), table)
    elif are_many(targets.shape[0], (lead,)):
        winner = last_of_runs(emit, runs_of(emit, targets, (1, targets.shape[0], 1), lead), (lead,))
    else:
        winner = emit.temporary("winner", DType.I32, (lead,))
        operands = emit.operands()
        match = call("eq", operands.load(targets, dims.symbol("r0")), ex.as_index(index(0)))
        _store_winner(emit, operands, winner, match, targets.shape[0])

    def body(operands: Operands, here: tuple[Dim, ...]) -> Expr:
        number, place = _slice_of(site, here)
        last = operands.load(winner, number)
        update = operands.load(updates, place(ex.as_dim(call("max", last, ex.i32(0)))))
        return ex.select(call("ge", last, ex.i32(0)), update, operands.at(data, here))

    emit.map(body)


def _reduce_slices(site: Site, emit: Emitter, targets: Value) -> None:
    data, updates = site.input(0), site.input(2)
    here = indices(len(data.shape))
    number, place = _slice_of(site, here)
    if are_many(targets.shape[0], data.shape) and data.dtype is not DType.BOOL:
        lead = dims.product(data.shape[: _width(site)])
        runs = runs_of(emit, targets, (1, targets.shape[0], 1), lead)
        fold_runs(emit, runs, _reduction(site), (data, updates), (0, number, 0), place)
        return
    inner = dims.product(data.shape[_width(site) :])
    wide = not isinstance(inner, int) or inner >= WIDE
    if _reduction(site) == "add" and wide and data.dtype.is_float:
        _add_by_contraction(site, emit, targets)
        return
    operands = emit.operands()
    r = dims.symbol("r0")
    match = call("eq", operands.load(targets, r), ex.as_index(number))
    _combine(site, emit, operands, match, operands.load(updates, place(r)), operands.at(data, here))


def _add_by_contraction(site: Site, emit: Emitter, targets: Value) -> None:
    """Rows m are slices, columns n their elements; a is 1 where update k lands on slice m."""
    data, updates, output = site.input(0), site.input(2), emit.outputs[0]
    m, n, k = (dims.symbol(name) for name in "mnk")
    width = _width(site)
    inner = dims.product(data.shape[width:])
    operands = emit.operands()
    lands = call("eq", operands.load(targets, k), ex.as_index(m))
    a = ex.cast(lands, DType.F32)
    b = operands.load(updates, k * inner + n)
    total = call("add", operands.load(data, m * inner + n), Ref("acc", DType.F32))
    stored = emit.stored(output, m * inner + n, total)
    space = (dims.product(data.shape[:width]), inner, targets.shape[0])
    problem = Contract((), *space, operands.declared(), a, b, (stored,))
    emit.problem(problem, operands, [output])

"""Puts a list's keys in order and tells where each number's run starts: who lands on an element.

Runs of one key are merged to runs of two, of four and so on; an element of a merged run finds by
halving how many of those before it are the left run's. So n keys cost n · log² n, in log n steps,
and equal keys stay in the order of the list, on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call
from webrt.kernel.problem import Fold, Map
from webrt.ops.emit import Emitter, Operands, flat, indices
from webrt.ops.intervals import most_of
from webrt.ops.scalar import wrap

ACC = Ref("acc", DType.I32)


FEW = 64
"""So many updates are looked at by every element; more are put in order."""

LITTLE = 1 << 16
"""Below so many looks that isn't worth the steps that sorting takes.

2026-11-21, wasm natively and lavapipe, old way and this one, ms: rows of 64 into 1000, 128 updates,
none 0.28, 0.33 and 3.5, 2.4; add 1.3, 0.3 and 23, 4; single numbers into 10,000, 32 updates, add
0.36, 0.56 and 8, 4; 512 updates 4.7, 0.8 and 224, 5.
"""


def are_many(count: Dim, looking: tuple[Dim, ...]) -> bool:
    """Whether `count` updates are put in order, rather than looked at by each of `looking`."""
    looks = dims.product((count, *looking))
    return not isinstance(count, int) or (
        count > FEW and not (isinstance(looks, int) and looks < LITTLE)
    )


@dataclass(frozen=True, slots=True)
class Runs:
    """Keys [before, count, after] in order, and where each key's run is.

    `order`, of that shape: places in the list by key, and by place where keys are equal; `starts`
    [before, extent + 1, after]: how many keys are less than 0, 1 … extent. Where a run counts its
    keys, `sorts` is 1 if there are many, and 0 if they are few: then both are of no elements.
    """

    shape: tuple[Dim, Dim, Dim]
    extent: Dim
    sorts: Dim
    keys: Value
    order: Value
    starts: Value

    @property
    def count(self) -> Dim:
        return self.shape[1]

    def bounds(self, operands: Operands, at: tuple[Dim, Dim, Dim]) -> tuple[Expr, Expr]:
        """The run at [before, key, after]; of a few keys, all of them."""
        before, key, after = at
        shape = (self.shape[0], self.extent + 1, self.shape[2])
        start, stop = (
            operands.load(self.starts, flat((before, k, after), shape)) for k in (key, key + 1)
        )
        return self.either(start, ex.i32(0)), self.either(stop, ex.as_index(self.count))

    def at(self, operands: Operands, at: tuple[Dim, Dim, Dim]) -> Expr:
        """The place in the list of what is at [before, number in order, after]."""
        found = operands.load(self.order, flat(at, self.shape))
        return self.either(found, ex.as_index(at[1]))

    def either(self, many: Expr, few: Expr) -> Expr:
        if self.sorts == 1:
            return many
        return ex.select(call("eq", ex.as_index(self.sorts), ex.i32(1)), many, few)

    def is_own(self, operands: Operands, at: tuple[Dim, Dim, Dim], place: Dim) -> Expr | None:
        """Whether the key at `place` is that at [before, key, after]; None: it always is."""
        if self.sorts == 1:
            return None
        before, key, after = at
        found = operands.load(self.keys, flat((before, place, after), self.shape))
        return call("eq", found, ex.as_index(key))


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Keys [before, count, after] in runs that are in order, and their places; None: their own.

    `points` is that shape, or of no elements where a run's keys are few.
    """

    shape: tuple[Dim, Dim, Dim]
    points: tuple[Dim, Dim, Dim]
    keys: Value
    places: Value | None

    def key(self, operands: Operands, place: Dim) -> Expr:
        b, _, a = indices(3)
        return operands.load(self.keys, flat((b, place, a), self.shape))

    def place(self, operands: Operands, place: Dim) -> Expr:
        b, _, a = indices(3)
        if self.places is None:
            return ex.as_index(place)
        return operands.load(self.places, flat((b, place, a), self.shape))


def runs_of(emit: Emitter, keys: Value, shape: tuple[Dim, Dim, Dim], extent: Dim) -> Runs:
    """The runs of i32 `keys` [before, count, after]; keys outside of 0 … extent - 1 are in none."""
    before, count, after = shape
    if keys.data is not None and isinstance(extent, int):
        return _known(emit, keys, shape, extent)
    most = most_of(count)
    sorts = 1 if isinstance(count, int) else dims.dim_min(dims.floor_div(count, FEW + 1), 1)
    found = _Sorted(shape, (before, count * sorts, after), keys, None)
    run = 1
    while run < most or found.places is None:
        found = _merged(emit, found, run, most)
        run *= 2
    assert found.places is not None
    starts = _starts(emit, found, (before, (extent + 1) * sorts, after), most)
    return Runs(shape, extent, sorts, keys, found.places, starts)


def _known(emit: Emitter, keys: Value, shape: tuple[Dim, Dim, Dim], extent: int) -> Runs:
    """The runs of constants, made when packing."""
    assert keys.data is not None
    list_ = keys.data.reshape([dims.evaluate(d, {}) for d in shape])
    order = np.argsort(list_, axis=1, kind="stable").astype(np.int32)
    rows = np.moveaxis(np.take_along_axis(list_, order, 1), 1, 2).reshape(-1, list_.shape[1])
    less = np.array([np.searchsorted(row, np.arange(extent + 1)) for row in rows], np.int32)
    before, _, after = list_.shape
    starts = np.moveaxis(less.reshape(before, after, extent + 1), 2, 1)
    name = emit.outputs[0].name
    made = (("order", order), ("starts", np.ascontiguousarray(starts)))
    values = (Value(f"{name}.{n}", DType.I32, a.shape, a) for n, a in made)
    return Runs(shape, extent, 1, keys, *values)


def _merged(emit: Emitter, given: _Sorted, run: int, most: int) -> _Sorted:
    """Runs of twice `run`: the j-th key of two is the left one's or the right one's.

    acc is how many of the j keys before it are the left one's: the most for which the last of them
    doesn't come after the right one's that would stand there otherwise. What differs from step to
    step is read, so that all steps are one kernel.
    """
    count = given.shape[1]
    j = indices(3)[1]
    operands = emit.operands()
    numbers = np.array([run, run.bit_length()], np.int32)
    step_of = Value(f"{emit.outputs[0].name}.run{run}", DType.I32, (2,), numbers)
    length, steps = (ex.as_dim(operands.read(step_of, place)) for place in (0, 1))
    inside = ex.as_dim(call("bit_and", ex.as_index(j), ex.as_index(2 * length - 1)))
    left = j - inside
    right = left + length
    lefts = dims.dim_min(length, count - left)
    rights = dims.dim_max(dims.dim_min(length, count - right), 0)

    def key(place: Dim) -> Expr:
        return given.key(operands, dims.dim_max(dims.dim_min(place, count - 1), 0))

    more = ex.as_dim(call("add", ACC, _halved(steps)))
    fits = call("le", ex.as_index(more), ex.as_index(dims.dim_min(inside, lefts)))
    ahead = call("le", key(left + more - 1), key(right + inside - more))
    step = ex.select(call("and", fits, ahead), ex.as_index(more), ACC)
    first = ex.as_index(dims.dim_max(inside - rights, 0))

    ours, theirs = ex.as_dim(ACC), inside - ex.as_dim(ACC)
    alone = call("ge", ex.as_index(theirs), ex.as_index(rights))
    before = call("le", key(left + ours), key(right + theirs))
    taken = call("and", call("lt", ACC, ex.as_index(lefts)), call("or", alone, before))
    place = ex.as_dim(ex.select(taken, ex.as_index(left + ours), ex.as_index(right + theirs)))
    made = (given.key(operands, place), given.place(operands, place))
    keys, places = (
        emit.temporary(f"{n}{2 * run}", DType.I32, given.points) for n in ("keys", "places")
    )
    offset = flat(indices(3), given.points)
    outputs = tuple(emit.stored(v, offset, e) for v, e in zip((keys, places), made, strict=True))
    paired = call("lt", ex.as_index(right), ex.as_index(count))  # a left run alone stays as it is
    stop = ex.select(paired, ex.as_index(steps), ex.i32(0))
    turns = most.bit_length()
    problem = Fold(given.points, turns, operands.declared(), ex.i32(0), stop, first, step, outputs)
    emit.problem(problem, operands, [keys, places], alone=True)
    return _Sorted(given.shape, given.points, keys, places)


def _halved(steps: Dim) -> Expr:
    """2 to the power steps - 1 in the first turn, 1 in the last."""
    return call("shift_left", ex.i32(1), ex.as_index(steps - 1 - dims.symbol("t")))


def _starts(emit: Emitter, found: _Sorted, shape: tuple[Dim, Dim, Dim], most: int) -> Value:
    """How many keys are less than 0, 1 …: of `shape`."""
    count = found.shape[1]
    starts = emit.temporary("starts", DType.I32, shape)
    operands = emit.operands()
    steps = most.bit_length()
    more = ex.as_dim(call("add", ACC, _halved(steps)))
    last = found.key(operands, dims.dim_min(more, count) - 1)
    fits = call("le", ex.as_index(more), ex.as_index(count))
    less = call("lt", last, ex.as_index(indices(3)[1]))
    step = ex.select(call("and", fits, less), ex.as_index(more), ACC)
    stored = emit.stored(starts, flat(indices(3), shape), ACC)
    bounds = (ex.i32(0), ex.i32(steps), ex.i32(0))
    problem = Fold(shape, steps, operands.declared(), *bounds, step, (stored,))
    emit.problem(problem, operands, [starts], alone=True)
    return starts


# What lands where


def last_of_runs(emit: Emitter, runs: Runs, shape: tuple[Dim, ...]) -> Value:
    """The place of the last update of each key, or -1: a table of `shape`."""
    winner = emit.temporary("winner", DType.I32, shape)
    b, d, a = indices(3)
    at = (b, d, a)
    t = dims.symbol("t")
    operands = emit.operands()
    space = (runs.shape[0], runs.extent, runs.shape[2])
    start, stop = runs.bounds(operands, at)
    last = ex.as_dim(call("max", call("sub", stop, ex.i32(1)), ex.i32(0)))
    found = ex.select(call("lt", start, stop), runs.at(operands, (b, last, a)), ex.i32(-1))
    own = runs.is_own(operands, at, t)
    if own is None:
        stored = emit.stored(winner, flat(at, space), found)
        emit.problem(Map(space, operands.declared(), (stored,)), operands, [winner])
        return winner
    few = ex.as_index((1 - runs.sorts) * runs.count)
    bounds = (ex.i32(0), few, ex.i32(-1))
    step = ex.select(own, ex.as_index(t), ACC)
    stored = emit.stored(winner, flat(at, space), runs.either(found, ACC))
    problem = Fold(space, FEW, operands.declared(), *bounds, step, (stored,))
    emit.problem(problem, operands, [winner])
    return winner


def fold_runs(
    emit: Emitter,
    runs: Runs,
    op: str,
    tensors: tuple[Value, Value],
    at: tuple[Dim, Dim, Dim],
    offset: Callable[[Dim], Dim],
    valid: Expr | None = None,
) -> None:
    """Each element of the data goes over the run `at` [before, key, after], where that is `valid`.

    `tensors` are data and updates; `offset` is where the element's part of an update lies, by the
    update's place in the list.
    """
    (data, updates), output = tensors, emit.outputs[0]
    here = indices(len(output.shape))
    operands = emit.operands()
    start, stop = runs.bounds(operands, at)
    place = ex.as_dim(runs.at(operands, (at[0], dims.symbol("t"), at[2])))
    first = operands.at(data, here)
    acc = Ref("acc", first.dtype)
    step = call(op, acc, operands.load(updates, offset(place)))
    own = runs.is_own(operands, at, place)
    step = step if own is None else ex.select(own, step, acc)
    stored = emit.stored(output, flat(here, output.shape), wrap(acc, output.dtype))
    stop = stop if valid is None else ex.select(valid, stop, start)
    problem = Fold(
        output.shape, runs.count, operands.declared(), start, stop, first, step, (stored,)
    )
    emit.problem(problem, operands, [output])

"""TopK, and sorting by it: ranks by counting where few are wanted, a sorting network where many.

Elements are ordered by value and, where values are equal, by place: no two are alike, and an
element's rank is the number of those before it. Counting costs a group's length squared: a long
row is a tournament of groups, each of which passes its best k on, so that the work grows with the
row's length times k. Where k is large a bitonic network sorts groups of k and merges them in pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Ref, call
from webrt.kernel.problem import Map, Pass, Reduce
from webrt.ops.emit import I32_HIGH, I32_LOW, Emitter, Operands, flat, indices
from webrt.ops.intervals import most_of
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, compare

GROUP = 1024
"""Elements that are ranked among one another, at least twice as many as pass on."""

MOST_RANKED = 512
"""A larger k goes through the network."""


def _count(site: Site, extent: Dim) -> Dim:
    count = site.positive("k") if site.version < 10 else site.scalar(1, "k")
    if compare(count, extent) == 1 or compare(count, 0) == -1:
        raise site.shape_error(f"a k of at most {extent}", str(count))
    return count


def _largest(site: Site) -> bool:
    return bool(site.attributes.get("largest", 1))


@operator(
    "TopK",
    Attr("axis", -1),
    Attr("k", None, until=9),
    Attr("largest", 1, since=11),
    Attr("sorted", 1, since=11),
)
class TopK:
    """The k largest (or smallest) along an axis, in order, with their places."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = list(site.ranked(0, 1, 64))
        axis = site.axis(site.integer("axis"), len(shape))
        shape[axis] = _count(site, shape[axis])
        found = (Inferred(site.input(0).dtype, tuple(shape)), Inferred(DType.I64, tuple(shape)))
        return found[: site.outputs]

    @staticmethod
    def reference(site: Site, x: Tensor, k: Tensor | None = None) -> tuple[Tensor, ...]:
        axis = site.axis(site.integer("axis"), x.ndim)
        count = site.positive("k") if k is None else int(k.reshape(-1)[0])
        rows = np.flip(x, axis) if _largest(site) else x
        order = np.argsort(rows, axis, kind="stable")
        if _largest(site):
            order = x.shape[axis] - 1 - np.flip(order, axis)
        order = np.take(order, np.arange(count), axis)
        return (np.take_along_axis(x, order, axis), order)[: site.outputs]

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x = site.input(0)
        axis = site.axis(site.integer("axis"), len(x.shape))
        row = Row(x, axis, _largest(site))
        count = emit.outputs[0].shape[axis]
        if count == 0:
            return
        ranked = most_of(count) <= MOST_RANKED or most_of(row.extent) <= GROUP
        order = tournament(emit, row, count) if ranked else network(emit, row, count)
        _results(emit, row, order)


@dataclass(frozen=True, slots=True)
class Row:
    """Rows of `value` along an axis, and which elements come first."""

    value: Value
    axis: int
    largest: bool

    @property
    def extent(self) -> Dim:
        return self.value.shape[self.axis]

    @property
    def sides(self) -> tuple[Dim, Dim]:
        """(rows before the axis, rows after it)."""
        shape = self.value.shape
        return dims.product(shape[: self.axis]), dims.product(shape[self.axis + 1 :])

    def key(self, operands: Operands, before: Dim, place: Dim, after: Dim) -> Expr:
        """The element at a place; beyond the row's end one that comes last."""
        _, inner = self.sides
        at = dims.dim_min(place, self.extent - 1)
        found = operands.load(self.value, (before * self.extent + at) * inner + after)
        if found.dtype is DType.BOOL:
            found = ex.cast(found, DType.I32)
        last = _last(found.dtype, self.largest)
        held = call("max" if self.largest else "min", found, last)
        return ex.select(call("lt", ex.as_index(place), ex.as_index(self.extent)), held, last)


def _last(dtype: DType, largest: bool) -> Const:
    """A value that nothing comes after."""
    if dtype.is_float:
        return Const(-math.inf if largest else math.inf, dtype)
    low, high = (I32_LOW, I32_HIGH) if dtype is DType.I32 else (0, (1 << 32) - 1)
    return Const(low if largest else high, dtype)


def is_before(largest: bool, one: tuple[Expr, Expr], other: tuple[Expr, Expr]) -> Expr:
    """Whether (value, place) `one` comes before the other."""
    (x, i), (y, j) = one, other
    first = call("gt" if largest else "lt", x, y)
    return call("or", first, call("and", call("eq", x, y), call("lt", i, j)))


# By counting


def tournament(emit: Emitter, row: Row, count: Dim) -> Value:
    """The places of the best `count` of each row, in order: [before, count, after]."""
    before, after = row.sides
    length, most, held = row.extent, most_of(row.extent), most_of(count)
    source: Value | None = None
    number = 0
    while most > max(GROUP, 2 * held):
        factor = max(GROUP // held, 2)
        group = factor * held
        groups = dims.ceil_div(row.extent, group * factor**number)
        space = (before, groups, group, after)
        source = _round(emit, row, source, (length, space), held, f"round{number}")
        length, most, number = groups * held, -(-most // group) * held, number + 1
    return _round(emit, row, source, (length, (before, 1, length, after)), count, f"round{number}")


def _round(
    emit: Emitter,
    row: Row,
    source: Value | None,
    entries: tuple[Dim, tuple[Dim, ...]],
    count: Dim,
    name: str,
) -> Value:
    """The best `count` of each group, [before, groups · count, after]."""
    length, space = entries
    before, groups, group, after = space
    ranks = emit.temporary(f"{name}.ranks", DType.I32, space)
    b, g, own, a = indices(4)
    r = dims.symbol("r0")
    operands = emit.operands()

    def entry(number: Dim) -> tuple[Expr, Expr]:
        place = _entry(operands, row, source, length, (b, g * group + number, a))
        return row.key(operands, b, place, a), ex.as_index(place)

    ahead = ex.cast(is_before(row.largest, entry(r), entry(own)), DType.I32)
    stored = emit.stored(ranks, flat((b, g, own, a), space), Ref("p0", DType.I32))
    problem = Reduce(space, (group,), operands.declared(), (Pass("sum", ahead),), (stored,))
    emit.problem(problem, operands, [ranks])

    best = emit.temporary(f"{name}.best", DType.I32, (before, groups * count, after))
    operands = emit.operands()
    rank = operands.load(ranks, flat((b, g, r, a), space))
    place = _entry(operands, row, source, length, (b, g * group + r, a))
    here = ex.select(call("eq", rank, ex.as_index(own)), ex.as_index(place), ex.i32(0))
    kept = (before, groups, count, after)
    stored = emit.stored(best, flat((b, g, own, a), kept), Ref("p0", DType.I32))
    problem = Reduce(kept, (group,), operands.declared(), (Pass("max", here),), (stored,))
    emit.problem(problem, operands, [best])
    return best


def _entry(
    operands: Operands, row: Row, source: Value | None, length: Dim, at: tuple[Dim, Dim, Dim]
) -> Dim:
    """The place in the row of an entry; entries that there aren't come after the row's end."""
    before, number, after = at
    if source is None:
        return number
    _, inner = row.sides
    inside = dims.dim_min(number, length - 1)
    found = operands.load(source, (before * length + inside) * inner + after)
    there = call("lt", ex.as_index(number), ex.as_index(length))
    return ex.as_dim(ex.select(there, found, ex.as_index(row.extent + number)))


def _results(emit: Emitter, row: Row, order: Value) -> None:
    """Values and places, from the places in order."""
    axis, extent = row.axis, row.extent
    for number in range(len(emit.outputs)):

        def body(operands: Operands, at: tuple[Dim, ...], number: int = number) -> Expr:
            place = operands.load(order, flat(at, emit.outputs[0].shape))
            if number:  # said here what no proof finds out: it is a place in the row
                return call("min", call("max", place, ex.i32(0)), ex.as_index(extent - 1))
            inside = dims.dim_min(ex.as_dim(place), extent - 1)
            return operands.at(row.value, (*at[:axis], inside, *at[axis + 1 :]))

        emit.map(body, number)


# By a network


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Keys and places, [before, length, after]; None: the rows themselves."""

    keys: Value | None
    places: Value | None
    length: Dim


def network(emit: Emitter, row: Row, count: Dim) -> Value:
    """The places of the best `count` of each row, in order: [before, count, after].

    A step compares every entry with a partner; the one with the lower number keeps what comes
    first. Partners beyond the end aren't there: what comes last stands last already.
    """
    extent, most = row.extent, most_of(row.extent)
    whole = 1 << max(most - 1, 1).bit_length()
    run = whole
    if isinstance(count, int) and 2 * count <= most:
        run = 1 << max(count - 1, 1).bit_length()
    pairs = _Pairs(None, None, extent)
    size = 2
    while size <= run:
        pairs = _step(emit, row, pairs, size, True)
        distance = size // 4
        while distance:
            pairs = _step(emit, row, pairs, 2 * distance, False)
            distance //= 2
        size *= 2
    halvings = 0
    while run < whole:
        halvings += 1
        length = dims.ceil_div(extent, run << halvings) * run
        pairs = _better_half(emit, row, pairs, run, length)
        distance = run // 2
        while distance:
            pairs = _step(emit, row, pairs, 2 * distance, False)
            distance //= 2
        whole //= 2
    assert pairs.places is not None
    if pairs.length == count:
        return pairs.places
    before, after = row.sides
    best = emit.temporary("best", DType.I32, (before, count, after))
    b, i, a = indices(3)
    operands = emit.operands()
    found = operands.load(pairs.places, (b * pairs.length + i) * after + a)
    stored = emit.stored(best, flat((b, i, a), best.shape), found)
    emit.problem(Map(best.shape, operands.declared(), (stored,)), operands, [best])
    return best


def _pair(
    operands: Operands, row: Row, pairs: _Pairs, before: Dim, number: Dim, after: Dim
) -> tuple[Expr, Expr]:
    """(key, place) of an entry within the length."""
    if pairs.keys is None or pairs.places is None:
        return row.key(operands, before, number, after), ex.as_index(number)
    _, inner = row.sides
    offset = (before * pairs.length + number) * inner + after
    return operands.load(pairs.keys, offset), operands.load(pairs.places, offset)


def _store(
    emit: Emitter,
    row: Row,
    operands: Operands,
    length: Dim,
    pair: tuple[Expr, Expr],
) -> _Pairs:
    before, after = row.sides
    shape = (before, length, after)
    number = len(emit.nodes)
    keys = emit.temporary(f"keys{number}", _stored_as(pair[0].dtype), shape)
    places = emit.temporary(f"places{number}", DType.I32, shape)
    offset = flat(indices(3), shape)
    stored = tuple(emit.stored(v, offset, e) for v, e in zip((keys, places), pair, strict=True))
    emit.problem(Map(shape, operands.declared(), stored), operands, [keys, places], alone=True)
    return _Pairs(keys, places, length)


def _stored_as(dtype: DType) -> DType:
    return DType.I32 if dtype is DType.BOOL else dtype


def _step(emit: Emitter, row: Row, pairs: _Pairs, size: int, flipped: bool) -> _Pairs:
    """Entries of blocks of `size` compare with the mirrored entry, or with one half a block off."""
    operands = emit.operands()
    b, i, a = indices(3)
    block, inside = dims.floor_div(i, size) * size, dims.modulo(i, size)
    half = size // 2
    upper = dims.floor_div(inside, half)
    partner = block + (size - 1 - inside) if flipped else i + half - upper * size
    there = dims.dim_min(partner, pairs.length - 1)
    own = _pair(operands, row, pairs, b, i, a)
    other = _pair(operands, row, pairs, b, there, a)
    first = is_before(row.largest, own, other)
    lower = call("eq", ex.as_index(upper), ex.i32(0))
    keeps = call("not", call("xor", first, lower))
    if not isinstance(pairs.length, int) or pairs.length % size:
        absent = call("ge", ex.as_index(partner), ex.as_index(pairs.length))
        keeps = call("or", keeps, absent)
    kept = tuple(ex.select(keeps, x, y) for x, y in zip(own, other, strict=True))
    return _store(emit, row, operands, pairs.length, (kept[0], kept[1]))


def _better_half(emit: Emitter, row: Row, pairs: _Pairs, run: int, length: Dim) -> _Pairs:
    """Of each two sorted runs the better half, first the one's, last the other's reversed: bitonic.

    A run that has no second one stays; one that isn't whole has entries beyond the end.
    """
    operands = emit.operands()
    b, i, a = indices(3)
    group, inside = dims.floor_div(i, run), dims.modulo(i, run)
    one, two = group * (2 * run) + inside, group * (2 * run) + (2 * run - 1 - inside)
    own = _held(operands, row, pairs, b, one, a)
    other = _held(operands, row, pairs, b, two, a)
    first = is_before(row.largest, own, other)
    kept = tuple(ex.select(first, x, y) for x, y in zip(own, other, strict=True))
    return _store(emit, row, operands, length, (kept[0], kept[1]))


def _held(
    operands: Operands, row: Row, pairs: _Pairs, before: Dim, number: Dim, after: Dim
) -> tuple[Expr, Expr]:
    """The entry, or where there is none one that comes last."""
    key, place = _pair(operands, row, pairs, before, dims.dim_min(number, pairs.length - 1), after)
    there = call("lt", ex.as_index(number), ex.as_index(pairs.length))
    beyond = ex.as_index(row.extent + number)
    last = _last(key.dtype, row.largest)
    return ex.select(there, key, last), ex.select(there, place, beyond)

"""Cuts an iteration space in units, and loops over what is one unit's.

A unit is a block of one axis, with everything that runs faster: so an index is decoded once a
unit, and what follows are plain loops without a division in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim
from webrt.lower.common import decode
from webrt.lower.cpu.common import UNIT
from webrt.lower.scope import Scope

GUESS = 128
"""What a dynamic dim is taken for where one has to be preferred over another."""


@dataclass(frozen=True, slots=True)
class Range:
    """Indices start … stop - 1 of an axis; `start` is divisible by 4."""

    start: Dim
    stop: Dim


@dataclass(frozen=True, slots=True)
class Cut:
    """Units of `block` indices of axis `position`, and of all indices of the axes inside of it."""

    axes: tuple[Dim, ...]
    position: int
    block: Dim

    @property
    def blocks(self) -> Dim:
        return dims.ceil_div(self.axes[self.position], self.block)

    @property
    def units(self) -> Dim:
        return dims.product(self.axes[: self.position]) * self.blocks


def cut(axes: Sequence[Dim], elements: int, grain: Dim = 1, step: int = 16) -> Cut:
    """Units of about `elements` elements, of which a point of `axes` has `grain`.

    A block of the innermost axis is a multiple of `step`, so that it is a multiple of 4.
    """
    position, inside = len(axes) - 1, grain
    while position > 0 and _guess(inside * axes[position]) < elements:
        inside = inside * axes[position]
        position -= 1
    extent = axes[position]
    least = step if position == len(axes) - 1 else 1
    whole = inside if isinstance(inside, int) else None
    if whole is None:
        per = dims.floor_div(elements, dims.dim_max(inside * least, 1))
        block = dims.dim_max(per, 1) * least
    else:
        block = max(1, elements // max(1, whole * least)) * least
        if isinstance(extent, int):
            many = max(1, -(-extent // block))  # an empty tensor has no unit
            block = max(1, min(extent, -(-extent // (many * least)) * least))
    return Cut(tuple(axes), position, block)


def _guess(dim: Dim) -> int:
    return dims.evaluate(dim, dict.fromkeys(dims.free_symbols(dim), GUESS))


@contextmanager
def walk_unit(scope: Scope, space: Cut) -> Iterator[tuple[Scope, tuple[Dim, ...], Range]]:
    """The loops over a unit: gives the block inside, all indices but the last, and its range."""
    axes, position = space.axes, space.position
    *outer, number = decode(UNIT, [*axes[:position], space.blocks])
    places = [
        scope.symbol("axis", place, extent)
        for place, extent in zip(outer, axes[:position], strict=True)
    ]
    whole = dims.is_at_most(axes[position], space.block, {})
    own = Range(0, axes[position])
    if not whole:
        start = scope.symbol("block", number, space.blocks) * space.block
        stop = start + space.block
        if axes[position] % space.block != 0:
            stop = scope.symbol("stop", dims.dim_min(stop, axes[position]))
        own = Range(start, stop)
    ranges = [own, *(Range(0, extent) for extent in axes[position + 1 :])]
    with _loops(scope, ranges[:-1], axes[position:-1], places) as (inner, found):
        yield inner, found, ranges[-1]


@contextmanager
def _loops(
    scope: Scope, ranges: Sequence[Range], extents: Sequence[Dim], places: list[Dim]
) -> Iterator[tuple[Scope, tuple[Dim, ...]]]:
    if not ranges:
        yield scope, tuple(places)
        return
    one = ranges[0]
    if one.stop - one.start == 1:
        place = scope.symbol("i", one.start, extents[0])
        with _loops(scope, ranges[1:], extents[1:], [*places, place]) as result:
            yield result
        return
    with (
        scope.loop("i", one.start, one.stop, extent=extents[0]) as (inner, place),
        _loops(inner, ranges[1:], extents[1:], [*places, place]) as result,
    ):
        yield result


@dataclass(frozen=True, slots=True)
class Step:
    """`count` fours from four number `at` on; with `count` 0 the single element `at`."""

    scope: Scope
    at: Dim
    count: int


def steps(scope: Scope, own: Range, extent: Dim, unroll: int, width: int = 4) -> Iterator[Step]:
    """The loops over a range of the innermost axis: `unroll` fours a turn, fours, the rest by one.

    With `width` 1 all elements come one by one; a loop of at most `unroll` turns is none. Whoever
    iterates fills in the body of each step before going on to the next.
    """
    if width == 1:
        if own.start == 0 and isinstance(own.stop, int) and own.stop <= unroll:
            yield from (Step(scope, place, 0) for place in range(own.stop))
        else:
            yield from _serial(scope, own.start, own.stop, 1, extent, 0)
        return
    first, last = dims.floor_div(own.start, 4), dims.floor_div(own.stop, 4)
    fours = dims.floor_div(extent, 4)
    if isinstance(fours, int):
        unroll = max(1, min(unroll, fours))
    done = first
    if unroll > 1:
        whole = fours % unroll == 0
        done = last if whole else first + dims.floor_div(last - first, unroll) * unroll
        yield from _serial(scope, first, done, unroll, fours, unroll)
    if done != last:
        yield from _serial(scope, done, last, 1, fours, 1)
    if extent % 4 != 0:
        yield from _serial(scope, last * 4, own.stop, 1, extent, 0)


def _serial(
    scope: Scope, start: Dim, stop: Dim, step: int, extent: Dim, count: int
) -> Iterator[Step]:
    trips = stop - start
    if isinstance(trips, int) and trips <= step:
        if trips > 0:
            yield Step(scope, start, count)
        return
    with scope.loop("e", start, stop, step, extent) as (inner, place):
        yield Step(inner, place, count)

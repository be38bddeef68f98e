"""An axis of a unit's block of results, cut in tiles: which rows are in which slots of scratch."""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.kernel.expr import Expr, as_index, call, i32
from webrt.lower.scope import Scope


@dataclass(frozen=True, slots=True)
class Axis:
    """Rows or columns of a unit: `count` from `first` on, in tiles of `tile`, then of `rest`.

    The first `tiled` are computed in tiles, the others one by one: all of them, or none where the
    matrix has less than a tile. Tiles begin in slots 0 … `slots` - 1, those of `rest` from `large`
    on; `rest` is 0 where all are alike. `padded` tiles may reach over the end.
    """

    number: Dim
    first: Dim
    count: Dim
    tiled: Dim
    tile: int
    extent: Dim
    whole: bool
    large: Dim
    slots: Dim
    rest: int = 0

    def parts(self) -> tuple[tuple[int, Dim, Dim], ...]:
        """How many a tile, and the slots from the first to behind the last, of both sizes."""
        parts = (self.tile, 0, self.large), (self.rest, self.large, self.slots)
        return tuple(part for part in parts if part[1] != part[2])

    @property
    def behind(self) -> Dim:
        """The slot behind those of tiles."""
        return self.slots if self.rest else dims.ceil_div(self.slots, self.tile) * self.tile

    def start(self, slot: Dim, tile: int = 0) -> Dim:
        """The first row of the tile (of so many rows) that begins in `slot`."""
        if self.whole:
            return self.first + slot
        return dims.dim_min(self.first + slot, self.extent - (tile or self.tile))

    @property
    def base(self) -> Dim:
        """The first row that any tile reads."""
        if self.whole:
            return self.first
        return dims.dim_max(dims.dim_min(self.first, self.extent - self.tile), 0)

    def slot(self, scope: Scope, index: Dim) -> Dim:
        """The slot of the unit's row number `index`."""
        if self.whole:
            return index
        shift = self.behind - self.tiled
        if shift == 0:
            return index
        last: Dim = self.tile
        if self.rest:
            some = call("lt", as_index(self.large), as_index(self.slots))
            last = _let(scope, some, i32(self.rest), i32(self.tile))
        full = self.behind - last
        late = call("select", call("lt", as_index(index), as_index(full)), i32(0), as_index(shift))
        return index + symbol(scope.let("late", late).name)

    @staticmethod
    def of(
        scope: Scope, hint: str, extent: Dim, number: Dim, block: int, tile: int, padded: bool,
        rest: int = 0,
    ) -> Axis:  # fmt: skip
        """The axis `extent` of a kernel, block number `number`; tiles of 6 may have a `rest` of 4.

        With it the tiles of a block of four rows or more cover at most one of them twice.
        """
        first = scope.symbol(f"{hint}_first", number * block)
        count: Dim = block
        if dims.modulo(extent, block) != 0:
            count = scope.symbol(f"{hint}_count", dims.dim_min(extent - first, block))
        if padded or dims.modulo(extent, tile) == 0:
            return Axis(number, first, count, count, tile, extent, True, count, count)
        least = rest or tile
        tiled = count
        if isinstance(extent, int) and extent < least:
            tiled = 0
        elif not dims.is_at_most(least, extent, {}):
            few = call("lt", as_index(extent), i32(least))
            tiled = scope.symbol(f"{hint}_tiled", _let(scope, few, i32(0), as_index(count)))
        if not rest or tiled == 0:
            return Axis(number, first, count, tiled, tile, extent, False, tiled, tiled)
        assert (tile, rest) == (6, 4), (tile, rest)
        pairs = dims.ceil_div(tiled, 2)  # 2, 4 and 0 more than sixes: two fours, one, none
        large = dims.dim_max(pairs * 2 - dims.modulo(pairs * 2, 3) * 4, 0)
        large = scope.symbol(f"{hint}_large", large)
        if not dims.is_at_most(tile, extent, {}):
            few = call("lt", as_index(extent), i32(tile))
            large = scope.symbol(f"{hint}_large", _let(scope, few, i32(0), as_index(large)))
        slots = large + dims.ceil_div(dims.dim_max(tiled - large, 0), rest) * rest
        slots = scope.symbol(f"{hint}_slots", slots)
        return Axis(number, first, count, tiled, tile, extent, False, large, slots, rest)


def _let(scope: Scope, condition: Expr, if_true: Expr, if_false: Expr) -> Dim:
    return symbol(scope.let("chosen", call("select", condition, if_true, if_false)).name)

"""An axis of a unit's block of results, cut in tiles: which rows are in which slots of scratch."""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.kernel.expr import Expr, as_index, call, i32
from webrt.lower.scope import Scope


@dataclass(frozen=True, slots=True)
class Axis:
    """Rows or columns of a unit: `count` from `first` on, in tiles of `tile`.

    The first `tiled` are computed in whole tiles, the others one by one: all of them, or none where
    the matrix has less than a tile. `padded` tiles may reach over the end.
    """

    number: Dim
    first: Dim
    count: Dim
    tiled: Dim
    tile: int
    extent: Dim
    whole: bool

    def start(self, slot: Dim) -> Dim:
        """The first row of the tile that begins in `slot`."""
        if self.whole:
            return self.first + slot
        return dims.dim_min(self.first + slot, self.extent - self.tile)

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
        behind = dims.ceil_div(self.tiled, self.tile) * self.tile
        full, shift = behind - self.tile, behind - self.tiled
        if shift == 0:
            return index
        late = call("select", call("lt", as_index(index), as_index(full)), i32(0), as_index(shift))
        return index + symbol(scope.let("late", late).name)

    @staticmethod
    def of(
        scope: Scope, hint: str, extent: Dim, number: Dim, block: int, tile: int, padded: bool
    ) -> Axis:
        first = scope.symbol(f"{hint}_first", number * block)
        count: Dim = block
        if dims.modulo(extent, block) != 0:
            count = scope.symbol(f"{hint}_count", dims.dim_min(extent - first, block))
        if padded or dims.modulo(extent, tile) == 0:
            return Axis(number, first, count, count, tile, extent, True)
        tiled = count
        if isinstance(extent, int) and extent < tile:
            tiled = 0
        elif not dims.is_at_most(tile, extent, {}):
            few = call("lt", as_index(extent), i32(tile))
            tiled = scope.symbol(f"{hint}_tiled", _let(scope, few, i32(0), as_index(count)))
        return Axis(number, first, count, tiled, tile, extent, False)


def _let(scope: Scope, condition: Expr, if_true: Expr, if_false: Expr) -> Dim:
    return symbol(scope.let("chosen", call("select", condition, if_true, if_false)).name)

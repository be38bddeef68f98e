"""Sizes that a model computes in floats: a quotient of sizes that is rounded is a size again.

`ceil(length / 2.0 + 1.0)` of a padding, `floor(height * 0.5)` of a pyramid: exact, since a size is
below 2^20, so that float32 tells each quotient by a small number from the next whole one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dims.algebra import divide_exactly, terms_of
from webrt.dtypes import DType
from webrt.graph.ir import Array, Value
from webrt.ops.intervals import of_size
from webrt.plan.host import MAX_VALUES

MOST_UNDER = 1 << 10
"""A larger denominator is no stride, but a float that isn't exact."""

MOST_OVER = 1 << 23
"""Below, no quotient is rounded in float32 to a whole number that it isn't."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """`over` / `under`, which is positive."""

    over: Dim
    under: int = 1

    def plus(self, other: Ratio) -> Ratio | None:
        over = self.over * other.under + other.over * self.under
        return _reduced(over, self.under * other.under, self, other)

    def minus(self, other: Ratio) -> Ratio | None:
        return self.plus(Ratio(-other.over, other.under))

    def times(self, other: Ratio) -> Ratio | None:
        sizes = not (isinstance(self.over, int) or isinstance(other.over, int))
        if sizes and max(_odd(self.under), _odd(other.under)) > 1:
            return None  # three may be the size that a third is taken of
        return _reduced(self.over * other.over, self.under * other.under, self, other)

    def divided(self, other: Ratio) -> Ratio | None:
        if not isinstance(other.over, int) or other.over <= 0:
            return None
        return _reduced(self.over * other.under, self.under * other.over, self, other)

    def floor(self) -> Ratio | None:
        if self.under > 1 and not dims.is_nonnegative(self.over, {}):
            return None  # kernels divide what isn't negative
        return Ratio(dims.floor_div(self.over, self.under))

    def ceil(self) -> Ratio | None:
        return Ratio(self.over + (self.under - 1), self.under).floor()


def _reduced(over: Dim, under: int, *parts: Ratio) -> Ratio | None:
    """In lowest terms; None where floats may come out otherwise: thirds are rounded, so that three
    of them may be more than a whole.
    """
    common = math.gcd(under, *(coefficient for _, coefficient in terms_of(over)))
    least = under // common
    if least > MOST_UNDER or any(_odd(part.under) > _odd(least) for part in parts):
        return None
    found = Ratio(divide_exactly(over, common)[0], least)
    return found if least == 1 or max(map(abs, of_size(found.over))) <= MOST_OVER else None


def _odd(number: int) -> int:
    """A positive number without its factors of two."""
    return number // (number & -number)


_ROUNDED: dict[str, Callable[[Ratio], Ratio | None]] = {"Ceil": Ratio.ceil, "Floor": Ratio.floor}
_PAIRS: dict[str, Callable[[Ratio, Ratio], Ratio | None]] = {
    "Add": Ratio.plus, "Sub": Ratio.minus, "Mul": Ratio.times, "Div": Ratio.divided,
}  # fmt: skip
_VIEWS = ("Reshape", "Squeeze", "Unsqueeze")


@dataclass(slots=True)
class Ratios:
    """What is known of small floats that aren't whole; what is whole is a value's content."""

    known: dict[Value, tuple[Ratio, ...]] = field(default_factory=dict)

    def learn(self, op: str, inputs: Sequence[Value | None], made: Value) -> Value:
        """The node's output: with its elements known, where they are found to be sizes."""
        if made.data is not None or made.content is not None or not _is_small(made):
            return made
        found = self._result(op, inputs, made)
        if found is None:
            return made
        if all(r.under == 1 for r in found):
            content = tuple(r.over for r in found)
            return Value(made.name, made.dtype, made.shape, None, content)
        self.known[made] = found
        return made

    def _result(
        self, op: str, inputs: Sequence[Value | None], made: Value
    ) -> tuple[Ratio, ...] | None:
        if op not in (*_PAIRS, *_ROUNDED, *_VIEWS, "Cast"):
            return None
        rounded = _ROUNDED.get(op)
        if made.dtype in (DType.I64, DType.I32) and op == "Cast":
            rounded = Ratio.floor
        elif made.dtype not in (DType.F32, DType.F64):
            return None
        given = [self._of(v) for v in inputs[: 2 if op in _PAIRS else 1]]
        if any(g is None for g in given) or not given:
            return None
        arrays = [
            np.array(g, object).reshape([dims.evaluate(d, {}) for d in v.shape])
            for g, v in zip(given, inputs, strict=False)
            if v is not None
        ]
        results: list[Ratio | None]
        if op in _PAIRS:
            left, right = (a.reshape(-1) for a in np.broadcast_arrays(*arrays))
            results = [_PAIRS[op](x, y) for x, y in zip(left, right, strict=True)]
        elif rounded is not None:
            results = [rounded(x) for x in arrays[0].reshape(-1)]
        else:
            results = list(arrays[0].reshape(-1))
        held = tuple(r for r in results if r is not None)
        return held if len(held) == len(results) else None

    def _of(self, value: Value | None) -> tuple[Ratio, ...] | None:
        if value is None or not _is_small(value):
            return None
        if value.content is not None:
            return tuple(Ratio(d) for d in value.content)
        if value.data is not None:
            return _of_numbers(value.data)
        return self.known.get(value)


def _is_small(value: Value) -> bool:
    count = dims.product(value.shape)
    return isinstance(count, int) and 0 < count <= MAX_VALUES


def _of_numbers(data: Array) -> tuple[Ratio, ...] | None:
    if data.dtype.kind not in "fiu" or not np.isfinite(data).all():
        return None
    found = [Fraction(x) for x in data.reshape(-1).tolist()]
    if any(f.denominator > MOST_UNDER or abs(f.numerator) > dims.MAX_SYMBOL for f in found):
        return None
    return tuple(Ratio(f.numerator, f.denominator) for f in found)

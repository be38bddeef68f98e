"""Integer arithmetic on arrays of dims: raises Undecided where a symbol decides the answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dims.algebra import divide_exactly
from webrt.ops.site import Tensor, Undecided, compare


def _lift(function: Callable[..., Dim | bool], inputs: int) -> Callable[..., Tensor]:
    """The function over object arrays, broadcast."""
    lifted = np.frompyfunc(function, inputs, 1)

    def over(*arrays: Tensor) -> Tensor:
        return np.asarray(lifted(*arrays), object)

    return over


def _sign(left: Dim, right: Dim) -> int:
    sign = compare(left, right)
    if sign is None:
        raise Undecided
    return sign


def _divide(left: Dim, right: Dim) -> Dim:
    """ONNX rounds to zero, dims round down: the same where nothing is negative."""
    if isinstance(left, int) and isinstance(right, int) and right:
        return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    if not dims.is_nonnegative(right - 1, {}):
        raise Undecided
    if dims.is_nonnegative(left, {}):
        return dims.floor_div(left, right)
    over, under = dims.dim_max(left, 0), dims.dim_max(-left, 0)
    return dims.floor_div(over, right) - dims.floor_div(under, right)


def _quotient(left: Dim, right: Dim) -> Dim:
    """The same of floats, where nothing is left."""
    if right == 0:
        raise Undecided
    quotient, rest = divide_exactly(left, right)
    if rest != 0:
        raise Undecided
    return quotient


def _larger(left: Dim, right: Dim) -> Dim:
    if dims.is_nonnegative(left - right, {}):
        return left
    return right if dims.is_nonnegative(right - left, {}) else dims.dim_max(left, right)


def _smaller(left: Dim, right: Dim) -> Dim:
    if dims.is_nonnegative(left - right, {}):
        return right
    return left if dims.is_nonnegative(right - left, {}) else dims.dim_min(left, right)


def _modulo(left: Dim, right: Dim) -> Dim:
    if not (dims.is_nonnegative(left, {}) and dims.is_nonnegative(right - 1, {})):
        raise Undecided
    return dims.modulo(left, right)


divide = _lift(_divide, 2)
quotient = _lift(_quotient, 2)
modulo = _lift(_modulo, 2)
equal = _lift(lambda a, b: int(_sign(a, b) == 0), 2)
less = _lift(lambda a, b: int(_sign(a, b) < 0), 2)
less_or_equal = _lift(lambda a, b: int(_sign(a, b) <= 0), 2)
greater = _lift(lambda a, b: int(_sign(a, b) > 0), 2)
greater_or_equal = _lift(lambda a, b: int(_sign(a, b) >= 0), 2)
to_bool = _lift(lambda a: int(_sign(a, 0) != 0), 1)
MAXIMUM = np.frompyfunc(_larger, 2, 1)
MINIMUM = np.frompyfunc(_smaller, 2, 1)


def maximum(*arrays: Tensor) -> Tensor:
    """The elementwise maximum of any number of arrays, as dims."""
    result = arrays[0]
    for array in arrays[1:]:
        result = np.asarray(MAXIMUM(result, array), object)
    return result


def minimum(*arrays: Tensor) -> Tensor:
    """The elementwise minimum of any number of arrays, as dims."""
    result = arrays[0]
    for array in arrays[1:]:
        result = np.asarray(MINIMUM(result, array), object)
    return result

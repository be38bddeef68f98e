"""How far a kernel may be from the oracle: one table, by dtype and by the length of a sum."""

from __future__ import annotations

import numpy as np

from webrt.dtypes import DType

BASE = {DType.F32: 3e-6, DType.F16: 2e-3, DType.I32: 0.0, DType.U32: 0.0, DType.BOOL: 0.0}
"""Relative to the largest magnitude that enters a result; WGSL's exp and division err by a few
units in the last place."""


def tolerance(dtype: DType, length: int = 1) -> float:
    """For sums of `length` terms: rounding grows like the square root where signs are mixed."""
    return BASE[dtype] * max(1.0, length) ** 0.5


def assert_close(
    actual: np.ndarray, expected: np.ndarray, dtype: DType, length: int = 1, scale: float = 1.0
) -> None:
    """Element by element, against max(scale, |expected|)."""
    assert actual.shape == expected.shape
    if not dtype.is_float:
        np.testing.assert_array_equal(actual, expected)
        return
    bound = tolerance(dtype, length) * np.maximum(scale, np.abs(expected.astype(np.float64)))
    error = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    worst = int(np.argmax(error - bound)) if error.size else 0
    assert error.size == 0 or bool((error <= bound).all()), (
        f"element {worst}: {actual.flat[worst]} for {expected.flat[worst]}, "
        f"off by {error.flat[worst]:.3g}, allowed {bound.flat[worst]:.3g}"
    )

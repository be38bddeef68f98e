"""The error function on arrays, for the oracles: NumPy has none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_STEP = 1 / 512
_GRID = np.array([math.erf(j * _STEP) for j in range(int(6 / _STEP) + 2)])
_SLOPE = 2 / math.sqrt(math.pi) * np.exp(-((np.arange(len(_GRID)) * _STEP) ** 2)) * _STEP


def erf(x: Array) -> Array:
    """The error function, by cubic Hermite interpolation of exact values (error below 1e-12)."""
    magnitude = np.minimum(np.abs(x.astype(np.float64)), 6) / _STEP
    cell = np.nan_to_num(magnitude).astype(np.int64)
    t = magnitude - cell
    low, high, rise, next_rise = _GRID[cell], _GRID[cell + 1], _SLOPE[cell], _SLOPE[cell + 1]
    bend = 3 * (high - low) - 2 * rise - next_rise
    twist = 2 * (low - high) + rise + next_rise
    value: Array = np.copysign(low + t * (rise + t * (bend + t * twist)), x)
    return value.astype(x.dtype)

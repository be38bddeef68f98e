"""Valid random inputs of a model: within its bounds, the same for the same seed and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from webrt import dims
from webrt.dtypes import DType
from webrt.plan.plan import Plan, Port

Feeds = dict[str, npt.NDArray[Any]]
_UNBOUNDED = (0, 99)
"""Integers where the model tells no range: nothing is looked up by them."""


def random_feeds(plan: Plan, bindings: Mapping[str, int], seed: int, given: Feeds) -> Feeds:
    """Valid feeds for every input that `given` lacks; the same for the same seed and shapes."""
    random = np.random.default_rng(seed)
    feeds = dict(given)
    for port in plan.inputs:
        shape = tuple(dims.evaluate(d, bindings) for d in port.shape)
        made = _random(port, shape, random)
        feeds.setdefault(port.name, made)
    return feeds


def _random(port: Port, shape: tuple[int, ...], random: np.random.Generator) -> npt.NDArray[Any]:
    dtype = np.dtype(port.dtype.onnx_name)
    if "mask" in port.name.lower() and len(shape) > 0:
        return _mask(shape, random).astype(dtype)
    if port.dtype.is_float:
        return random.standard_normal(shape).astype(dtype)
    if port.dtype is DType.BOOL:
        return random.integers(0, 2, shape).astype(dtype)
    low = _UNBOUNDED[0] if port.low is None else port.low
    high = _UNBOUNDED[1] if port.high is None else port.high
    if port.low is None and port.high is not None:
        low = min(low, high)
    if "type" in port.name.lower():
        low, high = max(low, 0), min(high, 1)
    # Indices from the end are legal where a range starts below zero; real data has none.
    low = max(low, 0) if high >= 0 else low
    limits = np.iinfo(dtype)
    return random.integers(max(low, limits.min), max(low, min(high, limits.max)), shape,
                           dtype=dtype, endpoint=True)  # fmt: skip


def _mask(shape: tuple[int, ...], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Ones with a tail of zeros in each row; the first element is always one."""
    ends = random.integers((shape[-1] + 1) // 2, shape[-1], (*shape[:-1], 1), endpoint=True)
    return np.arange(shape[-1]) < np.maximum(ends, 1)

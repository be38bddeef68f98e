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
    shapes = {p.name: tuple(dims.evaluate(d, bindings) for d in p.shape) for p in plan.inputs}
    cached = any("past" in name.lower() for name in shapes)
    most = max((s[-1] for n, s in shapes.items() if s and "mask" in n.lower()), default=0)
    for port in plan.inputs:
        shape = shapes[port.name]
        if port.name.lower().endswith(("position_ids", "positions")) and shape:
            first = max(0, most - shape[-1]) if cached else 0
            made = _positions(port, shape, first)
        else:
            made = _random(port, shape, random, cached)
        feeds.setdefault(port.name, made)
    return feeds


def _positions(port: Port, shape: tuple[int, ...], first: int) -> npt.NDArray[Any]:
    """Positions that count up along the last axis: those behind `first` cached ones."""
    row = np.arange(first, first + shape[-1])
    row = row if port.high is None else np.minimum(row, port.high)
    return np.broadcast_to(row, shape).astype(port.dtype.onnx_name)


def _random(
    port: Port, shape: tuple[int, ...], random: np.random.Generator, cached: bool
) -> npt.NDArray[Any]:
    """`cached` tells that the model reads a cache: all of it is there, so its mask is of ones."""
    dtype = np.dtype(port.dtype.onnx_name)
    if "mask" in port.name.lower() and len(shape) > 0:
        return np.ones(shape, dtype) if cached else _mask(shape, random).astype(dtype)
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

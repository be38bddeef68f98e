"""Digests of what steps write, and how far tensors are apart: `web/insight-digest.js` in Python.

Written without NumPy, and faster where NumPy is to be had. `pack/checks.py` tells what a digest is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webrt.dtypes import DType
from webrt.pack.checks import BLOCKS, FIGURES, SAMPLES
from webrt.runtime.arrays import HostTensor, _numpy

ABSOLUTE, RELATIVE, COSINE = 1e-3, 1e-3, 0.9999
"""An output holds where |diff| <= ABSOLUTE + RELATIVE·|x| everywhere and cosine >= COSINE."""

ROUNDING = 2.0**-23
"""Nor is the cosine of outputs judged that are no further apart, in the root mean square, than
the step of float32 at 1: an oracle whose sigmoid is 1/2 + … has no more digits near 0."""

HALF_ABSOLUTE, HALF_RELATIVE = 2.0**-6, 2.0**-6
"""The same for a model of float16, whose steps at 1 are 2^-10: what the roundings of some layers
come to. RoBERTa-base, 12 layers: 0.0098 where |x| is 4 (2026-11)."""

EXACT = 1e-9
"""Means of integers are added up in another order, in f64."""

SIGNS = 0x9E3779B1
"""Element j counts negative in a signed sum where bit 31 of j times this is set."""

LARGEST = 3.4028234663852886e38
"""A mask may be -inf on one device and the lowest f32 on another."""


def digest(tensor: HostTensor) -> tuple[float, ...]:
    """SAMPLES elements in odd steps, then the figures of BLOCKS equal parts; zeros for none."""
    values = _finite(tensor)
    count = len(values)
    stride = (count // SAMPLES) | 1
    samples = [float(values[j * stride % count]) for j in range(min(count, SAMPLES))]
    found = samples + [0.0] * (SAMPLES - len(samples))
    for block in range(BLOCKS):
        first, end = block * count // BLOCKS, (block + 1) * count // BLOCKS
        found += _figures(values[first:end], first)
    return tuple(found)


def _finite(tensor: HostTensor) -> Any:
    """The elements as f64 (an array where NumPy is there), infinities as the largest f32."""
    elements = tensor.elements
    numpy = _numpy()
    if numpy is not None:
        values = numpy.asarray(elements).astype(numpy.float64)
        return numpy.clip(values, -LARGEST, LARGEST)  # a NaN stays
    if not tensor.dtype.is_float:
        return [float(x) for x in elements]
    return [x if x != x else min(max(x, -LARGEST), LARGEST) for x in elements]


def _figures(values: Any, first: int) -> list[float]:
    """Mean, root mean square, least, greatest of the numbers; how many are none; the signed sum."""
    numpy = _numpy()
    if numpy is not None:
        known = ~numpy.isnan(values)
        here = values[known]
        missing = float(values.size - here.size)
        if not here.size:
            return [0.0, 0.0, 0.0, 0.0, missing, 0.0]
        square = float(numpy.sqrt(numpy.mean(here * here)))
        places = numpy.arange(first, first + values.size, dtype=numpy.uint64)
        signs = numpy.where(places * SIGNS & 1 << 31, -1.0, 1.0)[known]
        signed = float((here * signs).sum())
        return [float(here.mean()), square, float(here.min()), float(here.max()), missing, signed]
    numbers = [x for x in values if x == x]
    missing = float(len(values) - len(numbers))
    if not numbers:
        return [0.0, 0.0, 0.0, 0.0, missing, 0.0]
    square = math.sqrt(sum(x * x for x in numbers) / len(numbers))
    signed = sum(-x if j * SIGNS & 1 << 31 else x for j, x in enumerate(values, first) if x == x)
    return [sum(numbers) / len(numbers), square, min(numbers), max(numbers), missing, signed]


@dataclass(frozen=True, slots=True)
class Difference:
    """A number of a digest that is not what it should be; `what` says which one."""

    what: str
    expected: float
    found: float


def differs(
    found: Sequence[float], expected: Sequence[float], count: int, dtype: DType, half: bool
) -> Difference | None:
    """The first number in which digests of two tensors of `count` elements differ by too much."""
    absolute, relative = tolerances(dtype, half)
    for j in range(SAMPLES):
        if not near(found[j], expected[j], absolute, relative * abs(expected[j])):
            return Difference("an element", expected[j], found[j])
    for at in range(SAMPLES, len(expected), FIGURES):
        block = (at - SAMPLES) // FIGURES
        size = (block + 1) * count // BLOCKS - block * count // BLOCKS
        rms = expected[at + 1]  # a mean of large numbers of both signs is small
        share = relative if dtype.is_float else EXACT
        wide = math.sqrt(size)  # errors of all signs add up to so many of one
        slacks = (absolute + share * rms,) * 2 + (None, None, 0.0, wide * (absolute + share * rms))
        for name, left, right, slack in zip(
            _NAMES, found[at:], expected[at:], slacks, strict=False
        ):
            if slack is None:
                slack = absolute + relative * abs(right)
            if not near(left, right, slack):
                what = f"{name} of the elements in part {block + 1} of {BLOCKS}"
                return Difference(what, right, left)
    return None


_NAMES = (
    "the mean", "the root mean square", "the least", "the greatest", "the number of NaN",
    "the signed sum",
)  # fmt: skip


def tolerances(dtype: DType, half: bool) -> tuple[float, float]:
    """Absolute and relative; nothing for integers and bools, which must be equal."""
    if not dtype.is_float:
        return 0.0, 0.0
    return (HALF_ABSOLUTE, HALF_RELATIVE) if half else (ABSOLUTE, RELATIVE)


def near(left: float, right: float, *slack: float) -> bool:
    return left == right or (left != left and right != right) or abs(left - right) <= sum(slack)


def points_alike(cosine: float, apart: float, count: int) -> bool:
    """Whether the cosine holds, or judges roundings: `apart` is the sum of |diff|²."""
    return cosine >= COSINE or apart <= ROUNDING * ROUNDING * count


@dataclass(frozen=True, slots=True)
class Distance:
    """`max_rel` is the largest |diff| / |x|, |x| at least 1e-3; `worst` is an element's number."""

    max_abs: float
    max_rel: float
    cosine: float
    ok: bool
    worst: int = 0


def distance(found: HostTensor, expected: HostTensor, half: bool) -> Distance:
    """How far the elements of two tensors of one shape are apart; integers must be equal."""
    if found.dtype is not expected.dtype or found.shape != expected.shape:
        return Distance(math.inf, math.inf, 0.0, ok=False)
    absolute, relative = tolerances(expected.dtype, half)
    most, share, worst, ok = 0.0, 0.0, 0, True
    dot = left_square = right_square = 0.0
    apart, same = 0.0, True
    for j, (x, y) in enumerate(zip(found.elements, expected.elements, strict=True)):
        both = math.isfinite(x) and math.isfinite(y)
        if both:
            dot, left_square, right_square = dot + x * y, left_square + x * x, right_square + y * y
        if x == y or (x != x and y != y):
            continue
        same = False
        size = abs(y) if math.isfinite(y) else 0.0
        difference = float(abs(x - y)) if both else math.inf
        share = max(share, difference / max(size, 1e-3))
        apart += difference * difference
        if difference > most:
            most, worst = difference, j
        ok = ok and difference <= absolute + relative * size
    lengths = math.sqrt(left_square) * math.sqrt(right_square)
    cosine = 1.0 if same else (dot / lengths if lengths else 0.0)
    if expected.dtype.is_float:
        ok = ok and points_alike(cosine, apart, len(expected.elements))
    return Distance(most, share, cosine, ok and (same or expected.dtype.is_float), worst)

"""Compare outputs with an oracle's: the figures and the verdict of `webrt check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from webrt.runtime.digest import ABSOLUTE, HALF_ABSOLUTE, HALF_RELATIVE, RELATIVE, points_alike


@dataclass(frozen=True, slots=True)
class Comparison:
    """`max_rel` is the largest |diff| / |x|, with |x| at least 1e-3."""

    max_abs: float
    max_rel: float
    cosine: float
    ok: bool


def compare(found: npt.NDArray[Any], expected: npt.NDArray[Any], half: bool = False) -> Comparison:
    """How far `found` is from `expected`; integers, bools and strings must be equal.

    `half` tells that the model is one of float16.
    """
    if found.dtype.kind == expected.dtype.kind == "O":
        found, expected = _places(found, expected)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return Comparison(np.inf, np.inf, 0.0, ok=False)
    if not found.size:
        return Comparison(0.0, 0.0, 1.0, ok=True)
    return _compared(found, expected, half)


TIMES = 2.0
"""How much further from an oracle than the oracle is from itself a quantised result may be."""


def worst(parts: Sequence[Comparison]) -> Comparison:
    """The largest differences and the least cosine of several comparisons."""
    return Comparison(
        max(p.max_abs for p in parts), max(p.max_rel for p in parts),
        min(p.cosine for p in parts), all(p.ok for p in parts),
    )  # fmt: skip


def beside(part: Comparison, spread: Comparison) -> Comparison:
    """`part` judged by `spread`, how far the oracle is from itself.

    A model that rounds activations to 8 bits makes a step of what differs in its last bit: int8
    MiniLM-L6 at length 128 is up to 0.2 from itself in ONNX Runtime (2026-11).
    """
    near = np.isfinite(spread.max_abs) and part.max_abs <= TIMES * spread.max_abs
    near = near and 1 - part.cosine <= TIMES**2 * (1 - spread.cosine)
    return replace(part, ok=part.ok or bool(near))


def _places(
    found: npt.NDArray[Any], expected: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Strings as numbers that are equal where they are."""
    texts = [*map(str, found.ravel()), *map(str, expected.ravel())]
    number = {text: place for place, text in enumerate(texts)}
    places = np.array([number[t] for t in texts], np.int64)
    parts = places[: found.size].reshape(found.shape), places[found.size :].reshape(expected.shape)
    return parts


def _compared(found: npt.NDArray[Any], expected: npt.NDArray[Any], half: bool) -> Comparison:
    left, right = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(left - right))
    difference = np.where(np.isnan(difference), np.inf, difference)
    size = np.where(np.isfinite(right), np.abs(right), 0.0)
    cosine = _cosine(left, right, same)
    if expected.dtype.kind == "f":
        absolute, relative = (HALF_ABSOLUTE, HALF_RELATIVE) if half else (ABSOLUTE, RELATIVE)
        apart = float(np.sum(difference * difference))
        alike = points_alike(cosine, apart, found.size)
        ok = bool(np.all(difference <= absolute + relative * size)) and alike
    else:
        ok = bool(np.all(same))
    most = float(np.max(difference / np.maximum(size, 1e-3)))
    return Comparison(float(np.max(difference)), most, cosine, ok)


def _cosine(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64], same: npt.NDArray[np.bool_]
) -> float:
    """The cosine of the angle between both; 1 for two equal vectors, zero ones included."""
    if same.all():
        return 1.0
    finite = np.isfinite(left) & np.isfinite(right)
    left, right = left[finite], right[finite]
    lengths = float(np.sqrt(left @ left) * np.sqrt(right @ right))
    return float(left @ right) / lengths if lengths else 0.0


def same_elements(
    found: npt.NDArray[Any], expected: npt.NDArray[Any], half: bool = False
) -> Comparison:
    """`compare` of the elements, in their order or, where that fails, whatever their order.

    A fused step may keep its result transposed: only a change of the values themselves counts.
    """
    left = found.ravel().astype(expected.dtype)
    in_order = compare(left, expected.ravel(), half)
    if in_order.ok or not left.size:
        return in_order
    sorted_too = compare(np.sort(left), np.sort(expected.ravel()), half)
    return sorted_too if sorted_too.ok else in_order

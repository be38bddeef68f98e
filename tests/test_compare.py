"""The verdict of `webrt check`: tolerances, and when a cosine tells something."""

from __future__ import annotations

import numpy as np
import pytest

from webrt.checking.compare import beside, compare
from webrt.dtypes import DType
from webrt.runtime import arrays
from webrt.runtime.digest import distance

RANDOM = np.random.default_rng(5)
TINY = RANDOM.random(4096).astype(np.float32)


def both(found: np.ndarray, expected: np.ndarray) -> bool:
    """The verdict, which `webrt check` and check vectors share."""
    tensors = [arrays.from_host(a, DType.F32) for a in (found, expected)]
    verdicts = compare(found, expected).ok, distance(*tensors, half=False).ok
    assert verdicts[0] == verdicts[1]
    return verdicts[0]


def test_within_tolerance() -> None:
    assert both(TINY + np.float32(5e-4), TINY)
    assert not both(TINY + np.float32(3e-3), TINY)


def test_roundings_near_zero_have_no_direction() -> None:
    """A sigmoid far below zero is 0 or 2^-24 where an oracle counts from 1/2."""
    assert both(TINY * np.float32(3e-8), np.zeros_like(TINY))
    assert both(TINY * np.float32(3e-8), np.round(TINY) * np.float32(2**-24))


@pytest.mark.parametrize("scale", [1e-6, 1e-5, 1e-3])
def test_small_outputs_have_to_be_right(scale: float) -> None:
    """Although every difference is below 1e-3."""
    small = TINY * np.float32(scale)
    assert both(small * np.float32(1.0005), small)
    assert not both(np.zeros_like(small), small)
    assert not both(small[::-1].copy(), small)


def test_infinities() -> None:
    x = np.array([np.inf, 0.0], np.float32)
    assert both(x, x)
    assert not both(np.array([3e38, 0.0], np.float32), x)


def test_quantised_results_are_judged_by_how_far_the_oracle_is_from_itself() -> None:
    step = np.float32(0.02) * (RANDOM.random(4096) < 0.01)
    spread = compare(TINY + step, TINY)
    assert not spread.ok
    assert beside(compare(TINY + step[::-1], TINY), spread).ok
    assert not beside(compare(TINY + 3 * step, TINY), spread).ok
    assert not beside(compare(TINY + np.float32(0.02), TINY), spread).ok  # all of them, not some
    right = compare(TINY, TINY)
    assert not beside(spread, right).ok
    assert beside(right, right).ok
    other_shape = compare(TINY[:-1], TINY)
    assert not beside(other_shape, other_shape).ok

"""Operators that few models hold, each against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from runtimes import check
from test_ops_contrib import floats, of, with_symbols


def test_inverses() -> None:
    small = {"x": floats(2, 3, 3)}
    check(of("Inverse", "x", small), small, rtol=1e-3, atol=1e-4, devices=("wasm-1",))
    large = floats(3, 7, 7)
    large[0] = np.eye(7)[[3, 1, 0, 2, 6, 5, 4]]  # no pivot is where it would be
    model = with_symbols(of("Inverse", "x", {"x": large}), {3: "many"})
    check(model, {"x": large}, rtol=1e-3, atol=1e-3)


LEGACY: list[tuple[str, dict[str, Any]]] = [
    ("Affine", {"alpha": 2.0, "beta": 0.5}), ("Scale", {"scale": 3.0}),
    ("ScaledTanh", {"alpha": 2.0, "beta": 0.5}),
    ("ParametricSoftplus", {"alpha": 2.0, "beta": 3.0}),
    ("ImageScaler", {"scale": 0.5, "bias": [1.0, 2.0, 3.0]}), ("Crop", {"border": [1, 2, 1, 1]}),
    ("Crop", {"border": [1, 2, 0, 0], "scale": [2, 3]}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "attributes"), LEGACY)
def test_operators_on_trial(op: str, attributes: dict[str, Any]) -> None:
    feeds = {"x": floats(1, 3, 5, 6)}
    check(of(op, "x", feeds, domain="", opset=9, **attributes), feeds, devices=("wasm-1",))


def test_maxima_of_regions() -> None:
    """One beyond the image, one of a single place, one of none."""
    regions = [[0, 1, 1, 6, 7], [1, 0, 0, 3, 3], [1, 5, 4, 20, 20], [0, 3, 3, 3, 3],
               [0, 19, 19, 22, 22]]  # fmt: skip
    feeds = {"x": floats(2, 3, 9, 11), "r": np.array(regions, np.float32)}
    rest: dict[str, Any] = {"domain": "", "pooled_shape": [3, 2], "spatial_scale": 0.7}
    check(of("MaxRoiPool", "x r", feeds, **rest), feeds)

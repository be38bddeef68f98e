"""What the host computes in a run: vectors shared with the player, and ONNX Runtime's answers."""

from __future__ import annotations

import array
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webrt.dtypes import DType
from webrt.errors import PackError, ShapeError
from webrt.runtime import host
from webrt.runtime.host import Given

VECTORS = json.loads((Path(__file__).parent / "vectors" / "host.json").read_text())
CODES = {"f32": "f", "i32": "i", "u32": "I"}


def given_of(tensor: dict[str, Any]) -> Given:
    data = memoryview(array.array(CODES[tensor["dtype"]], tensor["values"]))
    raw = data.cast("B") if data.nbytes else memoryview(b"")
    return Given(DType(tensor["dtype"]), tuple(tensor["shape"]), raw)


@pytest.mark.parametrize("case", VECTORS, ids=lambda c: c["name"])
def test_vectors(case: dict[str, Any]) -> None:
    inputs = [given_of(t) for t in case["inputs"]]
    if "error" in case:
        with pytest.raises({"ShapeError": ShapeError, "PackError": PackError}[case["error"]]):
            host.compute(case["op"], case["options"], inputs, "node")
        return
    found = host.compute(case["op"], case["options"], inputs, "node")
    arrays = [{"shape": list(a.shape), "values": a.elements} for a in found.arrays]
    assert arrays == case["arrays"]
    assert list(found.sizes) == case["sizes"]


@given(st.lists(st.integers(-3, 3), max_size=24), st.integers(1, 3))
@settings(max_examples=100)
def test_numpy_agrees(values: list[int], rows: int) -> None:
    matrix = np.array(values[: len(values) // rows * rows], np.int32).reshape(rows, -1)
    tensor = Given(DType.I32, matrix.shape, memoryview(matrix.tobytes()))
    (places,) = host.compute("nonzero", {}, [tensor], "").arrays
    np.testing.assert_array_equal(
        np.array(places.elements, int).reshape(places.shape), np.nonzero(matrix)
    )
    options = {"axis": -1, "sorted": 1}
    first, inverse, counts = host.compute("unique", options, [tensor], "").arrays
    _, *wanted = np.unique(matrix, return_index=True, return_inverse=True, return_counts=True)
    for made, array_ in zip((first, inverse, counts), wanted, strict=True):
        assert made.elements == array_.reshape(-1).tolist()

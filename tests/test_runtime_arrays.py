"""Host data in and out: every dtype, with NumPy and without, there and back."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

from webrt.dtypes import DType
from webrt.runtime import arrays

VALUES = {
    DType.F32: [0.5, -1.0, 3.0], DType.F16: [0.5, -1.0, 3.0], DType.F64: [0.5, -1.0, 3.0],
    DType.BOOL: [True, False, True],
    DType.I64: [-5, 0, (1 << 31) - 1], DType.I32: [-5, 0, 7], DType.I16: [-5, 0, 7],
    DType.I8: [-128, 0, 127], DType.U64: [0, 1, (1 << 32) - 1], DType.U32: [0, 1, (1 << 32) - 1],
    DType.U16: [0, 1, 65535], DType.U8: [0, 1, 255],
}  # fmt: skip


@pytest.fixture(params=["numpy", "plain"])
def _numpy_or_not(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(arrays, "_numpy", lambda: None)


@pytest.mark.usefixtures("_numpy_or_not")
@pytest.mark.parametrize("dtype", list(DType))
def test_there_and_back(dtype: DType) -> None:
    array = np.array([VALUES[dtype]], dtype.onnx_name)
    tensor = arrays.from_host(array, dtype)
    assert (tensor.dtype, tensor.shape) == (dtype, (1, 3))
    stored = arrays.to_storage(tensor)
    assert stored.nbytes % 4 == 0
    expected = array.astype(dtype.storage.onnx_name).tobytes()
    assert bytes(stored)[: len(expected)] == expected
    back = arrays.from_storage(dtype, (1, 3), stored)
    assert bytes(back.data) == array.tobytes()
    assert back.tolist() == [VALUES[dtype]]


@pytest.mark.usefixtures("_numpy_or_not")
def test_value_range() -> None:
    assert arrays.value_range(arrays.from_host(np.array([3, -7, 5]), DType.I64)) == (-7, 5)


@pytest.mark.usefixtures("_numpy_or_not")
def test_doubles_are_rounded_to_the_nearest_single() -> None:
    given = [1 + 2**-24 + 2**-50, 1e-50, math.inf, -math.inf, math.nan, -3.4028235e38]
    stored = arrays.to_storage(arrays.from_host(np.array(given), DType.F64))
    np.testing.assert_array_equal(
        np.frombuffer(stored, np.float32),
        np.array([1 + 2**-23, 0, math.inf, -math.inf, math.nan, -3.4028235e38], np.float32),
    )


@pytest.mark.usefixtures("_numpy_or_not")
def test_doubles_of_tensors_that_are_halves() -> None:
    tensor = arrays.from_host(np.array([0.5, -2.0]), DType.F64)
    stored = arrays.to_storage(tensor, DType.F16)
    assert bytes(stored) == np.array([0.5, -2.0], np.float16).tobytes()
    assert arrays.from_storage(DType.F64, (2,), stored, DType.F16).tolist() == [0.5, -2.0]


@pytest.mark.usefixtures("_numpy_or_not")
@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1.0, math.inf, -math.inf, math.nan, 3.4028235e38], None),
        ([3.4028235677973362e38], None),  # rounds to the largest
        ([0.0, -3.4028235677973366e38], 3.4028235677973366e38),
        ([1e300], 1e300),
        ([], None),
    ],
)
def test_doubles_that_no_single_comes_near(values: list[float], found: float | None) -> None:
    tensor = arrays.from_host(np.array(values, np.float64), DType.F64)
    assert arrays.beyond_f32(tensor) == found


@pytest.mark.usefixtures("_numpy_or_not")
def test_scalars_and_empty_ones() -> None:
    scalar = arrays.from_host(3, DType.I64)
    assert scalar.shape == ()
    assert scalar.tolist() == 3
    empty = arrays.from_host(np.zeros((0, 4), np.float32), DType.F32)
    assert empty.shape == (0, 4)
    assert bytes(arrays.to_storage(empty)) == b""
    assert arrays.from_storage(DType.I64, (0,), b"").tolist() == []


def test_results_can_be_written_to() -> None:
    result = arrays.as_result(arrays.from_storage(DType.F32, (2,), b"\0" * 8))
    result += 1
    assert result.tolist() == [1, 1]


def test_foreign_byte_order() -> None:
    with pytest.raises(arrays.NotAnArrayError, match=">f4"):
        arrays.from_host(np.zeros(3, ">f4"), DType.F32)


HALVES = json.loads((Path(__file__).parent / "vectors" / "halves.json").read_text())


def _bits(pairs: list[list[str]], side: int, code: str) -> memoryview:
    return memoryview(struct.pack(f"<{len(pairs)}{code}", *(int(p[side], 16) for p in pairs)))


@pytest.mark.usefixtures("_numpy_or_not")
def test_float16_becomes_float32_and_back_to_the_last_bit() -> None:
    """The player's code is held to the same vectors (e2e/node/vectors.test.js)."""
    down, up = HALVES["narrowed"], HALVES["widened"]
    assert arrays.narrowed(_bits(down, 0, "I")) == _bits(down, 1, "H")
    assert arrays.widened(_bits(up, 0, "H")) == _bits(up, 1, "I")
    assert math.isnan(arrays.widened(arrays.narrowed(memoryview(b"\0\0\xc0\x7f"))).cast("f")[0])


@pytest.mark.usefixtures("_numpy_or_not")
def test_every_float16_survives_as_float32() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16)
    halves = halves[~np.isnan(halves.view(np.float16))]
    wide = arrays.widened(memoryview(halves).cast("B"))
    assert bytes(arrays.narrowed(wide)) == halves.tobytes()


@pytest.mark.usefixtures("_numpy_or_not")
def test_float16_stored_as_float32_and_the_other_way() -> None:
    half = arrays.from_host([0.5, -1.0, 65504.0], DType.F16)
    assert half.data.nbytes == 6
    wide = arrays.to_storage(half, DType.F32)
    assert wide.cast("f").tolist() == [0.5, -1.0, 65504.0]
    assert arrays.from_storage(DType.F16, (3,), wide, DType.F32).data == half.data
    single = arrays.from_host([0.5, -1.0, 65504.0], DType.F32)
    stored = arrays.to_storage(single, DType.F16)
    assert bytes(stored) == bytes(half.data) + b"\0\0"
    assert arrays.from_storage(DType.F32, (3,), stored, DType.F16).tolist() == single.tolist()

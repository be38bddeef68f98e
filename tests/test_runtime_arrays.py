"""Host data in and out: every dtype, with NumPy and without, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from webrt.dtypes import DType
from webrt.runtime import arrays

VALUES = {
    DType.F32: [0.5, -1.0, 3.0], DType.F16: [0.5, -1.0, 3.0], DType.BOOL: [True, False, True],
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
    if dtype is not DType.F16:
        assert back.tolist() == [VALUES[dtype]]


@pytest.mark.usefixtures("_numpy_or_not")
def test_value_range() -> None:
    assert arrays.value_range(arrays.from_host(np.array([3, -7, 5]), DType.I64)) == (-7, 5)


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

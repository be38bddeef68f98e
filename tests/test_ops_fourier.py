"""DFT and STFT of lengths that take one contraction, a table, or stages, against NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnx_text
import pytest
from onnx import helper, numpy_helper

from webrt.kernel.check import check_problem
from webrt.passes.assemble import Built
from webrt.passes.evaluate import evaluate_plan
from webrt.passes.pipeline import build

Array = npt.NDArray[np.float32]


def _built(
    op: str, shape: list[int | str], rank: int, constants: dict[str, int], **attributes: int
) -> Built:
    names = ["x", *constants]
    kinds = onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", kinds.FLOAT, shape)],
        [helper.make_tensor_value_info("y", kinds.FLOAT, [f"y{j}" for j in range(rank)])],
        [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in constants.items() if n],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    built = build(onnx_text.graph(proto))
    for problem in built.plan.problems:
        check_problem(problem)
    return built


def _pairs(z: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    return np.stack([z.real, z.imag], -1)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("inverse", [0, 1])
@pytest.mark.parametrize("n", [1, 8, 400, 607, 1536, "n"])
def test_transform(n: int | str, inverse: int, parts: int) -> None:
    size = 50 if n == "n" else int(n)
    built = _built("DFT", [2, n, 3, parts], 4, {"": 0, "axis": 1}, inverse=inverse)
    x = np.random.default_rng(0).standard_normal((2, size, 3, parts)).astype(np.float32)
    signal = x[..., 0] + (1j * x[..., 1] if parts == 2 else 0)
    wanted = _pairs((np.fft.ifft if inverse else np.fft.fft)(signal, axis=1))
    found = evaluate_plan(built, {"x": x})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=3e-5 * (1 if inverse else size**0.5))


@pytest.mark.parametrize("length", [12, 20, 1000])
def test_half_a_spectrum_of_a_signal_that_is_cut_or_padded(length: int) -> None:
    built = _built("DFT", [1, 16, 1], 3, {"length": length}, onesided=1)
    x = np.random.default_rng(0).standard_normal((1, 16, 1)).astype(np.float32)
    wanted = _pairs(np.fft.rfft(x[..., 0], length, axis=1))
    np.testing.assert_allclose(evaluate_plan(built, {"x": x})["y"], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [16, 15])
def test_a_signal_from_half_a_spectrum(length: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 9, 2)).astype(np.float32)
    x = x[:, : length // 2 + 1]
    built = _built("DFT", list(x.shape), 3, {"length": length, "axis": 1}, onesided=1, inverse=1)
    wanted = np.fft.irfft(x[..., 0] + 1j * x[..., 1], length, axis=1)[..., None]
    np.testing.assert_allclose(evaluate_plan(built, {"x": x})["y"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "hop"), [(64, 16), (400, 160), (1024, 256)])
@pytest.mark.parametrize("n", [3000, "n"])
def test_frames(n: int | str, size: int, hop: int) -> None:
    built = _built("STFT", [2, n, 1], 4, {"hop": hop, "": 0, "size": size})
    x = np.random.default_rng(0).standard_normal((2, 3000, 1)).astype(np.float32)
    starts = np.arange((3000 - size) // hop + 1) * hop
    wanted = _pairs(np.fft.rfft(x[:, starts[:, None] + np.arange(size), 0], axis=-1))
    found = evaluate_plan(built, {"x": x})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=3e-3)


def test_long_transforms_take_stages() -> None:
    """4096 = 64 · 64: two contractions, not one of 4096 · 4096."""
    built = _built("DFT", [1, 4096, 2], 3, {})
    sizes = [p.m * p.n * p.k for p in built.plan.problems if hasattr(p, "k")]  # type: ignore[operator]
    assert len(sizes) == 2
    assert sum(sizes) <= 4 * 4096 * (64 + 64)  # type: ignore[arg-type]

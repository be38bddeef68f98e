"""Tensors of no elements: reduced, joined, sliced away, at pack time and at run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_text
import pytest
from adapters import opened

import webrt
from webrt.passes.evaluate import evaluate_plan
from webrt.passes.pipeline import build
from webrt.runtime.device import Device
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync


@pytest.fixture(scope="module", params=["llvmpipe", "wasm-1"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with opened(request.param) as found:
        yield found


@pytest.mark.parametrize(
    ("op", "wanted"),
    [
        ("ReduceSum", 0), ("ReduceProd", 1), ("ReduceMax", -np.inf), ("ReduceMin", np.inf),
        ("ReduceL1", 0), ("ReduceL2", 0), ("ReduceSumSquare", 0), ("ReduceLogSum", -np.inf),
        ("ReduceLogSumExp", -np.inf),
    ],
)  # fmt: skip
def test_what_nothing_comes_to(op: str, wanted: float) -> None:
    text = f"""
        g (float[2, 0, 3] x) => (float[2, 3] y) <int64[1] a = {{1}}> {{
            y = {op} <keepdims = 0> (x, a)
        }}"""
    built = build(onnx_text.graph(onnx_text.model(text, 20)))
    assert not built.plan.steps
    found = evaluate_plan(built, {"x": np.zeros((2, 0, 3), np.float32)})["y"]
    np.testing.assert_array_equal(found, np.full((2, 3), wanted, np.float32))


def test_what_a_slice_leaves_may_be_nothing(device: Device, tmp_path: Path) -> None:
    """At n = 1 the slice is empty: its kernel has no points, its sum is 0."""
    text = """
        g (float[n, 4] x) => (float[m, 4] y, float[1, 4] z, float[k, 4] c, float[3, 0] e)
          <int64[1] one = {1}, int64[1] many = {9223372036854775807}, int64[1] axis = {0},
           float[3, 2] f = {1, 2, 3, 4, 5, 6}> {
            t = Slice (x, one, many, axis)
            y = Exp (t)
            z = ReduceSum (y, axis)
            c = Concat <axis = 0> (y, x)
            e = Slice (f, many, many, one)
        }"""
    folder = tmp_path
    (folder / "m.onnx").write_bytes(onnx_text.model(text).SerializeToString())
    webrt.pack(folder / "m.onnx", folder / "pack")
    session = run_sync(Session.open(FolderSource(folder / "pack"), device))
    for n in (3, 1, 2):
        x = np.full((n, 4), 0.5, np.float32)
        found = session.run({"x": x})
        np.testing.assert_allclose(found["y"], np.exp(x[1:]), rtol=1e-6)
        np.testing.assert_allclose(found["z"], np.exp(x[1:]).sum(0, keepdims=True), rtol=1e-6)
        np.testing.assert_allclose(found["c"], np.concatenate([np.exp(x[1:]), x]), rtol=1e-6)
        assert found["e"].shape == (3, 0)

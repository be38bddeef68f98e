"""Dims that a model halves and doubles again: taken for multiples, checked at run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_text
import pytest

import webrt
from webrt.errors import ShapeError, UsageError
from webrt.passes.evaluate import evaluate_plan
from webrt.passes.pipeline import build
from webrt.plan.example import example_bindings
from webrt.runtime.bind import describe

PYRAMID = """
    g (float[n, 2, h, w] x) => (float[n, 2, hh, ww] y)
      <float[4] scales = {1, 1, 2, 2}, float[2, 2, 3, 3] k = {KERNEL}> {
        a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, k)
        b = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (a, k)
        up = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
            nearest_mode = "floor"> (b, , scales)
        y = Add (a, up)
    }""".replace("KERNEL", ", ".join(["0.25"] * 36))


def _model() -> onnx.ModelProto:
    return onnx_text.model(PYRAMID)


def test_a_pyramid_s_dims_are_multiples() -> None:
    built = build(onnx_text.graph(_model()))
    assert [str(d) for d in built.plan.inputs[0].shape] == ["s0", "2", "4*s1", "4*s2"]
    assert [str(d) for d in built.plan.outputs[0].shape] == ["s0", "2", "2*s1", "2*s2"]
    assert example_bindings(built.plan) == {"s0": 1, "s1": 32, "s2": 32}


def test_sizes_are_the_model_s_own() -> None:
    plan = build(onnx_text.graph(_model())).plan
    shown = [describe(plan, port).shape for port in (*plan.inputs, *plan.outputs)]
    assert shown == [("n", 2, "h", "w"), ("n", 2, "2*h/4", "2*w/4")]
    assert example_bindings(plan, {"h": 8, "w": 12}) == {"s0": 1, "s1": 2, "s2": 3}
    with pytest.raises(UsageError, match="h = 10: expected a multiple of 4"):
        example_bindings(plan, {"h": 10})
    with pytest.raises(UsageError, match="h = 2: expected 4 to 4194304"):
        example_bindings(plan, {"h": 2})


def test_its_numbers() -> None:
    built = onnx_text.check(_model(), n=2, h=8, w=12)
    x = np.ones((1, 2, 4, 4), np.float32)
    assert evaluate_plan(built, {"x": x})["y"].shape == (1, 2, 2, 2)


def test_a_run_is_held_to_multiples(tmp_path: Path) -> None:
    onnx.save(_model(), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        found = session.run({"x": np.ones((1, 2, 8, 4), np.float32)})
        assert found["y"].shape == (1, 2, 4, 2)
        with pytest.raises(ShapeError, match=r"h at axis 2 is 10, expected a multiple of 4"):
            session.run({"x": np.ones((1, 2, 10, 4), np.float32)})
        with pytest.raises(ShapeError, match=r"h at axis 2 is 2, expected 4 to 4194304"):
            session.run({"x": np.ones((1, 2, 2, 4), np.float32)})

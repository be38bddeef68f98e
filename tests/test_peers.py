"""What the models and test suites of other runtimes hold, and ONNX's own suite doesn't."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from runtimes import MICROSOFT, Array, check, helper, model_of

from webrt.frontend.onnx import from_proto

RANDOM = np.random.default_rng(5)


def floats(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model; each dim of each input is dynamic."""
    for info in model.graph.input:
        for place, dim in enumerate(info.type.tensor_type.shape.dim):
            dim.dim_param = f"{info.name}{place}"
    return model


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("pads", [(5, 7), (0, 6), (3, -1), (-1, 2), (1, 1)])
def test_reflections_of_reflections(pads: tuple[int, int], symbolic: bool) -> None:
    feeds = {"x": floats(2, 3)}
    node = helper.make_node("Pad", ["x", "p"], ["y"], mode="reflect")
    constants = {"p": np.array([0, pads[0], 0, pads[1]], np.int64)}
    model = model_of([node], feeds, ["y"], constants)
    cropped = feeds["x"][:, max(-pads[0], 0) : 3 - max(-pads[1], 0)]
    wanted = np.pad(cropped, [(0, 0), (max(pads[0], 0), max(pads[1], 0))], "reflect")
    check(dynamic(model) if symbolic else model, feeds, [wanted])


def test_a_gemm_of_dynamic_matrices() -> None:
    feeds = {"a": floats(5, 3), "b": floats(4, 5), "c": floats(4)}
    node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], transA=1, transB=1)
    check(dynamic(model_of([node], feeds, ["y"])), feeds)


def test_tools_leave_imports_out() -> None:
    feeds = {"x": floats(2, 3)}
    node = helper.make_node("Gelu", ["x"], ["y"], domain=MICROSOFT)
    model = model_of([node], feeds, ["y"])
    del model.opset_import[0]
    check(model, feeds)
    model = model_of([node, helper.make_node("Relu", ["y"], ["z"])], feeds, ["z"])
    del model.opset_import[1]
    assert [n.op for n in from_proto(model, "m.onnx").nodes][-1] == "Relu"

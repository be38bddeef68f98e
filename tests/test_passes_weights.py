"""Weights lie in the order in which kernels walk through them, and the results stay the same."""

from __future__ import annotations

import numpy as np
import runtimes
from onnx import helper

from webrt import dims
from webrt.frontend.onnx import from_proto
from webrt.kernel.axes import stride
from webrt.kernel.expr import loads
from webrt.kernel.problem import Contract, Reduce
from webrt.passes import pipeline

RANDOM = np.random.default_rng(5)


def _model() -> tuple[runtimes.onnx.ModelProto, dict[str, runtimes.Array]]:
    """A convolution, one of each channel by itself, and another that adds the first's result."""
    weights = {
        "w": (0.2 * RANDOM.normal(size=(8, 3, 3, 3))).astype(np.float32),
        "d": (0.2 * RANDOM.normal(size=(8, 1, 3, 3))).astype(np.float32),
        "v": (0.1 * RANDOM.normal(size=(8, 4, 5, 3))).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "d"], ["c"], pads=[1, 1, 1, 1], group=8),
        helper.make_node("Conv", ["c", "v"], ["e"], pads=[2, 1, 2, 1], group=2, dilations=[1, 1]),
        helper.make_node("Add", ["e", "b"], ["y"]),
    ]
    feeds = {"x": RANDOM.normal(size=(2, 3, 14, 11)).astype(np.float32)}
    return runtimes.model_of(nodes, feeds, ["y"], weights), feeds


def test_convolutions_agree_with_the_oracle() -> None:
    runtimes.check(*_model())


def test_taps_are_outermost() -> None:
    """Channels run fastest: of a convolution's sum, and across the rows of a depthwise one."""
    model, _ = _model()
    problems = pipeline.build(from_proto(model, "m.onnx")).plan.problems
    (depthwise,) = [p for p in problems if isinstance(p, Reduce)]
    (weight,) = [
        load
        for load in loads(depthwise.passes[0].expr)
        if depthwise.operands[int(load.memory)].constant
    ]
    assert stride(weight.offset, "i1") == 1
    assert stride(depthwise.outputs[0].offset, "i1") == 1
    grouped = [p for p in problems if isinstance(p, Contract)][-1]
    four = dims.symbol("four") * 4
    (pixel,) = loads(grouped.a)
    space = {"four": 15, "b0": 2, "b1": 2, "m": 42}
    first, second = (
        dims.simplify(dims.substitute(pixel.offset, {"k": four + j}), space) for j in (0, 1)
    )
    assert second == first + 1

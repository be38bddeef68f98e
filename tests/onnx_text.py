"""Models for pass tests from ONNX text: inputs named `w…` become weights, seeded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from webrt.frontend.onnx import from_proto
from webrt.graph.ir import Graph
from webrt.graph.program import Program
from webrt.graph.verify import verify
from webrt.kernel.check import check_problem
from webrt.passes.assemble import Built
from webrt.passes.evaluate import evaluate_plan
from webrt.passes.pipeline import GRAPH_PASSES, build

Array = npt.NDArray[np.generic]


def model(text: str, opset: int = 17) -> onnx.ModelProto:
    """The model of a graph in ONNX text, `name (inputs) => (outputs) { nodes }`."""
    header = f'<ir_version: 8, opset_import: ["" : {opset}]>\n'
    proto = onnx.parser.parse_model(header + text)
    rng = np.random.default_rng(0)
    for value in list(proto.graph.input):
        if value.name.startswith("w"):
            shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
            data = (rng.standard_normal(shape) * 0.3).astype(np.float32)
            proto.graph.initializer.append(numpy_helper.from_array(data, value.name))
            proto.graph.input.remove(value)
    return proto


def graph(proto: onnx.ModelProto) -> Graph:
    return from_proto(proto, "test.onnx")


def feeds(proto: onnx.ModelProto, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Random floats, ones and zeros for int64 and bool inputs, sizes for the dynamic dims."""
    rng = np.random.default_rng(1)
    result: dict[str, Array] = {}
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        shape = [d.dim_value or sizes[d.dim_param] for d in dims]
        kind = value.type.tensor_type.elem_type
        if kind == onnx.TensorProto.FLOAT:
            result[value.name] = rng.standard_normal(shape).astype(np.float32)
        elif kind == onnx.TensorProto.BOOL:
            result[value.name] = rng.integers(0, 2, shape).astype(np.bool_)
        else:
            result[value.name] = rng.integers(0, 2, shape).astype(
                onnx.helper.tensor_dtype_to_np_dtype(kind)
            )
    return result


def check(proto: onnx.ModelProto, **sizes: int) -> Built:
    """Build the model's plan, hold it to ONNX's reference, and give it."""
    fed = feeds(proto, sizes)
    ir = graph(proto)
    for graph_pass in GRAPH_PASSES:
        ir = graph_pass(ir)
        verify(ir)
    built = build(graph(proto))
    for problem in built.plan.problems:
        check_problem(problem)
    found = evaluate_plan(built, fed)
    expected = ReferenceEvaluator(proto).run(None, fed)
    for value, array in zip(proto.graph.output, expected, strict=True):
        np.testing.assert_allclose(found[value.name], array, rtol=1e-4, atol=1e-5)
    return built


def families(built: Built) -> list[str]:
    """The family of each step's problem."""
    return [type(built.plan.problems[s.problem]).__name__ for s in built.plan.steps]


def operators(ir: Graph | Program) -> list[str]:
    """The operators of a graph, in order."""
    assert isinstance(ir, Graph)
    return [n.op for n in ir.nodes]

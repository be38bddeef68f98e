"""Holds small models to ONNX Runtime: NumPy references, problems, fused plans, devices."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import adapters
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import webrt
from webrt import dims
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import bind, evaluate, known
from webrt.graph.ir import Graph, Value
from webrt.graph.verify import verify
from webrt.kernel.reference import evaluate_problem
from webrt.ops.registry import compute
from webrt.passes import pipeline
from webrt.passes.evaluate import evaluate_plan
from webrt.passes.flow import has_flow
from webrt.passes.lower import lower
from webrt.runtime.device import Device
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

Array = npt.NDArray[Any]
MICROSOFT = "com.microsoft"
_OPEN = contextlib.ExitStack()
atexit.register(_OPEN.close)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Any] | Sequence[str],
    constants: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of nodes; its inputs are like the arrays; outputs by name, with dtypes perhaps."""
    kinds = dict(outputs) if isinstance(outputs, Mapping) else dict.fromkeys(outputs, np.float32)
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in inputs.items()
    ]
    results = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(t)), None)
        for n, t in kinds.items()
    ]
    made = [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "g", infos, results, made)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def oracle(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What ONNX Runtime says, without its optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    found: list[Array] = session.run(None, dict(feeds))
    return found


@functools.cache
def device(name: str) -> Device:
    """A device that tests share, by its name in `adapters`."""
    return _OPEN.enter_context(adapters.opened(name))


def check(
    model: onnx.ModelProto,
    feeds: Mapping[str, Array],
    wanted: Sequence[Array | None] | None = None,
    *,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    steps: int = 0,
    devices: Sequence[str] = ("wasm-1", "llvmpipe"),
) -> None:
    """Every way of running the model must agree with the oracle; integers to within `steps`."""
    expected = oracle(model, feeds) if wanted is None else list(wanted)
    graph = from_proto(model, "m.onnx")
    verify(graph)
    for way, found in _ways(model, graph, feeds, devices):
        for name, value, array in zip(graph.output_names, found, expected, strict=False):
            if array is None:
                continue
            assert value.shape == array.shape, (way, name, value.shape, array.shape)
            exact = array.dtype.kind != "f"
            np.testing.assert_allclose(
                value.astype(np.float64), array.astype(np.float64), 0 if exact else rtol,
                steps if exact else atol, err_msg=f"{name} by {way}",
            )  # fmt: skip


def _ways(
    model: onnx.ModelProto, graph: Graph, feeds: Mapping[str, Array], devices: Sequence[str]
) -> list[tuple[str, list[Array]]]:
    values = evaluate(graph, dict(feeds), compute)
    ways: list[tuple[str, list[Array]]] = [("reference", [values[v] for v in graph.outputs])]
    if not has_flow(graph):  # flows run on devices alone
        ways.append(("problems", lowered(graph, feeds)))
        plan = evaluate_plan(pipeline.build(graph), dict(feeds))
        ways.append(("plan", [plan[n] for n in graph.output_names]))
    folder = Path(tempfile.mkdtemp(prefix="webrt-test-"))
    try:
        (folder / "m.onnx").write_bytes(model.SerializeToString())
        webrt.pack(folder / "m.onnx", folder / "pack")
        for name in devices:
            session = run_sync(Session.open(FolderSource(folder / "pack"), device(name)))
            outputs = session.run(dict(feeds))
            ways.append((name, [np.asarray(outputs[n]) for n in graph.output_names]))
    finally:
        shutil.rmtree(folder)
    return ways


def lowered(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs, by the problems; a load out of range raises."""
    program = lower(graph)
    bindings = bind(graph, dict(feeds))
    arrays: dict[Value, Array] = {v: feeds[v.name] for v in program.inputs}
    for node in program.nodes:
        inputs = [known(v, arrays, bindings) for v in node.inputs]
        results = evaluate_problem(node.problem, inputs, bindings, strict=True)
        for value, result in zip(node.outputs, results, strict=True):
            shape = [dims.evaluate(d, bindings) for d in value.shape]
            arrays[value] = np.asarray(result).reshape(shape)
    return [known(v, arrays, bindings) for v in program.outputs]


__all__ = ["MICROSOFT", "Array", "TensorProto", "check", "helper", "model_of", "oracle"]

"""Every ONNX backend node case of the operators that webrt has: NumPy reference and problems."""

import fnmatch
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from conformance_expected import EXPECTED
from onnx import numpy_helper

from webrt import dims
from webrt.errors import UnsupportedOpError, WebrtError
from webrt.frontend.onnx import OLDEST_OPSET, from_proto
from webrt.graph.evaluate import bind, evaluate, known
from webrt.graph.ir import Graph, Value
from webrt.kernel.reference import evaluate_problem
from webrt.ops.registry import compute, find
from webrt.passes.lower import lower

Array = npt.NDArray[np.generic]
RTOL, ATOL = 1e-3, 1e-6


@dataclass(frozen=True)
class Case:
    """A backend case, with the inputs that shapes depend on as initializers."""

    name: str
    model: onnx.ModelProto
    inputs: list[Array]
    outputs: list[Array]


def _cases() -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    for case in found:
        inputs, outputs = case.data_sets[0]
        arrays = [_array(a) for a in inputs], [_array(a) for a in outputs]
        if all(a is not None for side in arrays for a in side):
            yield Case(case.name.removeprefix("test_"), case.model, *arrays)


def _array(data: object) -> Array | None:
    """A tensor; None for the sequences and optionals that some cases have."""
    if isinstance(data, onnx.TensorProto):
        return numpy_helper.to_array(data)
    array = np.asarray(data) if not isinstance(data, list) else None
    return array if array is not None and array.dtype.kind in "fiub" else None


def _is_ours(model: onnx.ModelProto) -> bool:
    nodes = {(n.op_type, "" if n.domain == "ai.onnx" else n.domain) for n in model.graph.node}
    return all(op == "Constant" or find(op, domain) for op, domain in nodes)


CASES = [c for c in _cases() if c.outputs]
OURS = [c for c in CASES if _is_ours(c.model)]
OTHERS = [c for c in CASES if not _is_ours(c.model)]


def _graph(case: Case) -> Graph:
    """The graph; small integer inputs become constants where shapes depend on them."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for opset in model.opset_import:
        if not opset.domain and opset.version < OLDEST_OPSET:
            opset.version = OLDEST_OPSET  # nothing changed for these operators
    try:
        graph = from_proto(model, case.name)
        lower(graph)
        return graph
    except WebrtError:
        for info, array in zip(case.model.graph.input, case.inputs, strict=False):
            if array.size == 0 or _may_be_shape(case, array):
                model.graph.initializer.append(numpy_helper.from_array(array, info.name))
        return from_proto(model, case.name)


def _may_be_shape(case: Case, array: Array) -> bool:
    kinds = "fiub" if case.name.startswith(("range", "onehot")) else "ib"
    return array.ndim < 2 and array.dtype.kind in kinds and array.size < 9


def _feeds(case: Case, graph: Graph) -> dict[str, Array]:
    names = [i.name for i in case.model.graph.input]
    given = dict(zip(names, case.inputs, strict=False))
    return {v.name: given[v.name].astype(v.dtype.onnx_name) for v in graph.inputs}


def _lowered(graph: Graph, feeds: dict[str, Array]) -> list[Array]:
    """The outputs, by the problems; a load out of range raises."""
    program = lower(graph)
    bindings = bind(graph, feeds)
    arrays: dict[Value, Array] = {v: feeds[v.name] for v in program.inputs}
    for node in program.nodes:
        inputs = [known(v, arrays, bindings) for v in node.inputs]
        results = evaluate_problem(node.problem, inputs, bindings, strict=True)
        for value, result in zip(node.outputs, results, strict=True):
            shape = [dims.evaluate(d, bindings) for d in value.shape]
            arrays[value] = np.asarray(result).reshape(shape)
    return [known(v, arrays, bindings) for v in program.outputs]


def _check(case: Case) -> None:
    _compare(case, _graph(case))


def _compare(case: Case, graph: Graph) -> None:
    feeds = _feeds(case, graph)
    values = evaluate(graph, feeds, compute)
    for value, lowered, wanted in zip(
        graph.outputs, _lowered(graph, feeds), case.outputs, strict=False
    ):
        for found in (values[value], lowered):
            assert found.shape == wanted.shape
            np.testing.assert_allclose(
                found.astype(np.float64), wanted.astype(np.float64), RTOL, ATOL
            )


def _reason(name: str) -> str | None:
    return next((why for glob, why in EXPECTED.items() if fnmatch.fnmatch(name, glob)), None)


@pytest.mark.parametrize("case", OURS, ids=lambda c: c.name)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_backend_case(case: Case) -> None:
    reason = _reason(case.name)
    if reason is None:
        _check(case)
        return
    with pytest.raises((WebrtError, AssertionError)) as caught:
        _check(case)
    if not isinstance(caught.value, AssertionError):
        assert reason in str(caught.value)


MOSTLY_DYNAMIC = 890
"""That many cases run with dynamic dims: the others need literal ones (a kernel, a group)."""


def _dynamic(model: onnx.ModelProto, constants: dict[str, Array]) -> onnx.ModelProto:
    """Every input's dim of more than 1 is a symbol, equal ones the same."""
    copy = _raised(model)
    for name, array in constants.items():
        copy.graph.initializer.append(numpy_helper.from_array(array, name))
    for info in copy.graph.input:
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_value > 1:
                dim.dim_param = f"n{dim.dim_value}"
    return copy


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_backend_cases_with_dynamic_dims() -> None:
    ran = 0
    for case in OURS:
        if _reason(case.name):
            continue
        named = zip((i.name for i in case.model.graph.input), case.inputs, strict=False)
        constants = {n: a for n, a in named if a.size == 0 or _may_be_shape(case, a)}
        try:
            graph = from_proto(_dynamic(case.model, constants), case.name)
            _compare(case, graph)
        except WebrtError:
            continue
        ran += 1
    assert ran >= MOSTLY_DYNAMIC


def test_expected_failures_are_of_cases() -> None:
    for glob in EXPECTED:
        assert any(fnmatch.fnmatch(c.name, glob) for c in OURS), glob


def test_cases_of_other_operators_are_refused_by_name() -> None:
    for case in OTHERS:
        with pytest.raises(UnsupportedOpError, match=case.name):
            from_proto(_raised(case.model), case.name)


def _raised(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for opset in copy.opset_import:
        if not opset.domain:
            opset.version = max(opset.version, OLDEST_OPSET)
    if not any(not o.domain for o in copy.opset_import):
        copy.opset_import.add(version=OLDEST_OPSET)
    return copy

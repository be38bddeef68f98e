"""Every ONNX backend node case of the operators that webrt has: NumPy reference and problems."""

from __future__ import annotations

import fnmatch

import numpy as np
import pytest
from conformance_expected import EXPECTED
from onnx_cases import Array, Case, all_cases, assert_close

from webrt import dims
from webrt.errors import UnsupportedOpError, WebrtError
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import bind, evaluate, known
from webrt.graph.ir import Graph, Value
from webrt.graph.verify import verify
from webrt.kernel.reference import evaluate_problem
from webrt.ops.registry import compute
from webrt.passes.lower import lower

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

OURS = [c for c in all_cases() if c.is_ours]
OTHERS = [c for c in all_cases() if not c.is_ours]

MOSTLY_DYNAMIC = 890
"""That many cases run with dynamic dims: the others need literal ones (a kernel, a group)."""


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


def _check(case: Case, graph: Graph) -> None:
    verify(graph)
    feeds = case.feeds(graph)
    values = evaluate(graph, feeds, compute)
    lowered = _lowered(graph, feeds)
    for value, found, wanted in zip(graph.outputs, lowered, case.outputs, strict=False):
        assert_close(values[value], wanted)
        assert_close(found, wanted)


@pytest.mark.parametrize("case", OURS, ids=lambda c: c.name)
def test_backend_case(case: Case) -> None:
    if case.reason is None:
        _check(case, from_proto(case.runnable(), case.name))
        return
    with pytest.raises((WebrtError, AssertionError)) as caught:
        _check(case, from_proto(case.runnable(), case.name))
    if not isinstance(caught.value, AssertionError):
        assert case.reason in str(caught.value)


def test_backend_cases_with_dynamic_dims() -> None:
    ran = 0
    for case in OURS:
        if case.reason is None:
            try:
                _check(case, from_proto(case.dynamic(), case.name))
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
            from_proto(case.raised(), case.name)

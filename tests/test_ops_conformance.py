"""ONNX's backend cases on the oracles: NumPy references, problems evaluated, dims made dynamic."""

from __future__ import annotations

import onnx
import pytest
from backend import assert_similar
from onnx_cases import Case, all_cases
from runtimes import lowered

from webrt.errors import WebrtError
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import evaluate
from webrt.graph.verify import verify
from webrt.ops.registry import compute
from webrt.passes.lower import lower

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

ON_HOST = {"NonMaxSuppression", "NonZero", "Unique"}
"""Steps of the host: no problem computes them (`tests/test_backend_cases.py` runs them)."""

OURS = [
    c
    for c in all_cases()
    if c.suite != "light" and not c.reasons and c.operators.isdisjoint(ON_HOST)
]
MOSTLY_DYNAMIC = 800
"""That many cases run with dynamic dims: the others need literal ones (a kernel, a group)."""


def _check(case: Case, model: onnx.ModelProto) -> None:
    graph = from_proto(model, case.name)
    verify(graph)
    for number, (_, wanted) in enumerate(case.data):
        feeds = {v.name: case.feeds(number)[v.name] for v in graph.inputs}
        values = evaluate(graph, feeds, compute)
        results = lowered(graph, feeds)
        for value, found, array in zip(graph.outputs, results, wanted, strict=False):
            assert_similar(values[value], array, case, "reference")
            assert_similar(found.astype(values[value].dtype), array, case, "problems")


def _lowerable(case: Case) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The case with the fewest inputs as constants that let it be lowered."""
    for model, constants in case.variants():
        try:
            lower(from_proto(model, case.name))
        except WebrtError:
            continue
        return model, constants
    raise AssertionError(f"{case.id} can't be lowered")


@pytest.mark.parametrize("case", OURS, ids=lambda c: c.id)
def test_case_on_the_oracles(case: Case) -> None:
    model, _ = _lowerable(case)
    _check(case, model)


def test_cases_with_dynamic_dims() -> None:
    ran = 0
    for case in OURS:
        _, constants = _lowerable(case)
        try:
            _check(case, case.dynamic(constants))
        except WebrtError:
            continue
        ran += 1
    assert ran >= MOSTLY_DYNAMIC, ran

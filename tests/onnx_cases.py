"""ONNX's backend node cases, with the inputs that shapes depend on as constants."""

from __future__ import annotations

import fnmatch
import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from conformance_expected import EXPECTED
from onnx import numpy_helper

from webrt.errors import WebrtError
from webrt.frontend.onnx import OLDEST_OPSET, from_proto
from webrt.graph.ir import Graph
from webrt.ops.registry import find
from webrt.passes.lower import lower

Array = npt.NDArray[np.generic]
RTOL, ATOL = 1e-3, 1e-6


@dataclass(frozen=True)
class Case:
    """One backend case: a model of a node, its inputs and the outputs that it must give."""

    name: str
    model: onnx.ModelProto
    inputs: list[Array]
    outputs: list[Array]

    @functools.cached_property
    def is_ours(self) -> bool:
        """Whether webrt has all its operators."""
        nodes = {(n.op_type, n.domain.removeprefix("ai.onnx")) for n in self.model.graph.node}
        return all(op == "Constant" or find(op, domain) for op, domain in nodes)

    @property
    def reason(self) -> str | None:
        """Why the case is expected to fail; None where it isn't."""
        found = (why for glob, why in EXPECTED.items() if fnmatch.fnmatch(self.name, glob))
        return next(found, None)

    @property
    def shapes(self) -> dict[str, Array]:
        """The inputs that shapes may depend on."""
        named = zip((i.name for i in self.model.graph.input), self.inputs, strict=False)
        kinds = "fiub" if self.name.startswith(("range", "onehot")) else "ib"
        return {
            name: array
            for name, array in named
            if not array.size or (array.ndim < 2 and array.size < 9 and array.dtype.kind in kinds)
        }

    def raised(self) -> onnx.ModelProto:
        """The model in an opset that is read: older cases' operators didn't change."""
        copy = onnx.ModelProto()
        copy.CopyFrom(self.model)
        for opset in copy.opset_import:
            if not opset.domain:
                opset.version = max(opset.version, OLDEST_OPSET)
        if not any(not o.domain for o in copy.opset_import):
            copy.opset_import.add(version=OLDEST_OPSET)
        return copy

    def with_constant_shapes(self) -> onnx.ModelProto:
        copy = self.raised()
        for name, array in self.shapes.items():
            copy.graph.initializer.append(numpy_helper.from_array(array, name))
        return copy

    def runnable(self) -> onnx.ModelProto:
        """The model as it is where that can be lowered, else with constant shapes."""
        model = self.raised()
        try:
            lower(from_proto(model, self.name))
        except WebrtError:
            return self.with_constant_shapes()
        return model

    def dynamic(self) -> onnx.ModelProto:
        """Every input's dim of more than 1 is a symbol, equal ones the same."""
        model = self.with_constant_shapes()
        for info in model.graph.input:
            for dim in info.type.tensor_type.shape.dim:
                if dim.dim_value > 1:
                    dim.dim_param = f"n{dim.dim_value}"
        return model

    def feeds(self, graph: Graph) -> dict[str, Array]:
        given = dict(zip((i.name for i in self.model.graph.input), self.inputs, strict=False))
        return {v.name: given[v.name].astype(v.dtype.onnx_name) for v in graph.inputs}


def assert_close(found: Array, wanted: Array) -> None:
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), RTOL, ATOL)


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every node case whose inputs and outputs are tensors; takes about 8 s."""
    return tuple(_collected())


def _collected() -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    for case in found:
        inputs, outputs = ([_array(a) for a in side] for side in case.data_sets[0])
        arrays = [a for a in (*inputs, *outputs) if a is not None]
        if outputs and len(arrays) == len(inputs) + len(outputs):
            name = case.name.removeprefix("test_")
            yield Case(name, case.model, arrays[: len(inputs)], arrays[len(inputs) :])


def _array(data: object) -> Array | None:
    """A tensor; None for the sequences and optionals that some cases have."""
    if isinstance(data, onnx.TensorProto):
        return numpy_helper.to_array(data)
    array = np.asarray(data) if not isinstance(data, list) else None
    return array if array is not None and array.dtype.kind in "fiub" else None

"""The registry against ONNX's schemas: names, opsets, attributes with their defaults."""

import onnx.defs
import pytest
from onnx.helper import get_attribute_value

from webrt.frontend.onnx import NEWEST_OPSET, OLDEST_OPSET
from webrt.graph.ir import Attribute
from webrt.ops.registry import OpDef, all_operators, find

RUNTIME_S = {"LayerNormalization": 17, "SimplifiedLayerNormalization": NEWEST_OPSET + 1}
"""What ONNX Runtime's optimiser writes in ONNX's domain, and the opset that ONNX has it from."""

OPERATORS = [d for d in all_operators() if d.domain == ""]

REQUIRED = [
    "Abs", "Add", "And", "Cast", "Clip", "Concat", "ConstantOfShape", "Conv", "CumSum", "Div",
    "Equal", "Erf", "Exp", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Gelu",
    "Gemm", "GlobalMaxPool", "Greater", "GreaterOrEqual", "Identity", "LayerNormalization",
    "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mul", "Not", "Pow", "Range",
    "Reciprocal", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Shape", "Slice",
    "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
]  # fmt: skip


def _schema_defaults(name: str, version: int) -> dict[str, Attribute | None] | None:
    """None where the operator isn't in that opset."""
    try:
        schema = onnx.defs.get_schema(name, version)
    except onnx.defs.SchemaError:
        return None
    found: dict[str, Attribute | None] = {}
    for attribute in schema.attributes.values():
        given = attribute.default_value
        value = get_attribute_value(given) if given.name else None
        found[attribute.name] = _decoded(value)
    return found


def _decoded(value: object) -> Attribute | None:
    """As the front end gives attributes."""
    if isinstance(value, list):
        return tuple(map(_decoded, value))  # type: ignore[return-value]
    return value.decode() if isinstance(value, bytes) else value  # type: ignore[return-value]


@pytest.mark.parametrize("definition", OPERATORS, ids=lambda d: d.name)
def test_attributes_are_those_of_the_schema(definition: OpDef) -> None:
    for version in range(OLDEST_OPSET, NEWEST_OPSET + 1):
        if version < RUNTIME_S.get(definition.name, 0):
            continue
        expected = _schema_defaults(definition.name, version)
        known = find(definition.name, "", version)
        assert (known is not None) == (expected is not None), version
        if known is None or expected is None:
            continue
        found = known.defaults(version)
        assert found.keys() == expected.keys(), version
        for name, value in expected.items():
            if isinstance(value, float):
                assert found[name] == pytest.approx(value, rel=1e-6), (version, name)
            else:
                assert found[name] == value, (version, name)


def test_the_operators_of_the_required_models_are_there() -> None:
    assert not [name for name in REQUIRED if find(name) is None]


def test_our_own_operators() -> None:
    ours = [d.name for d in all_operators() if d.domain == "webrt"]
    assert ours == [
        "Attention", "Centre", "Dequantize", "Different", "FromRing", "If", "Loop", "Need",
        "RMSNorm", "RotaryEmbedding", "ToRing", "Values",
    ]  # fmt: skip


def test_the_newest_opset_is_onnx_s() -> None:
    assert onnx.defs.onnx_opset_version() >= NEWEST_OPSET

"""Holds nodes to ONNX's own schemas: how many inputs, which attributes, which dtypes."""

from __future__ import annotations

from functools import cache

from onnx import NodeProto, defs
from onnx.defs import OpSchema

from webrt.dtypes import DType
from webrt.errors import ModelError, ShapeError
from webrt.graph.ir import Value

_TYPES = {d: f"tensor({d.onnx_name})" for d in DType}
_TYPES |= {DType.F32: "tensor(float)", DType.F64: "tensor(double)"}


@cache
def schema_of(op: str, domain: str, version: int) -> OpSchema | None:
    """The schema that a node in that opset is held to; None where ONNX has none."""
    try:
        return defs.get_schema(op, version, domain)
    except (defs.SchemaError, TypeError):  # a name that no text is, perhaps
        return None


def check_node(name: str, node: NodeProto, schema: OpSchema) -> None:
    """Raise ModelError for a node whose inputs, outputs or attributes aren't the operator's."""
    where = f"node {name!r} ({node.op_type})"
    inputs = list(node.input)
    while inputs and not inputs[-1]:
        inputs.pop()
    least, optional = schema.min_input, OpSchema.FormalParameterOption.Optional
    while len(inputs) < least <= len(node.input) and schema.inputs[least - 1].option == optional:
        least -= 1  # a blank is an input, too
    _check_count(where, "input", len(inputs), least, schema.max_input)
    _check_count(where, "output", len(node.output), schema.min_output, schema.max_output)
    for position, formal in enumerate(schema.inputs):
        single = formal.option == OpSchema.FormalParameterOption.Single
        if single and not (position < len(inputs) and inputs[position]):
            raise ModelError(f"{where}: expected an input {formal.name!r}, found none")
    given = {a.name: a for a in node.attribute}
    if len(given) < len(node.attribute):
        raise ModelError(f"{where}: an attribute is given twice")
    for attribute, formal_attribute in schema.attributes.items():
        if attribute in given and given[attribute].type != formal_attribute.type.value:  # type: ignore[attr-defined]
            expected = formal_attribute.type.name.lower()  # type: ignore[attr-defined]
            raise ModelError(f"{where}: expected attribute {attribute!r} to be of type {expected}")
        if formal_attribute.required and attribute not in given:
            raise ModelError(f"{where}: expected an attribute {attribute!r}, found none")


def _check_count(where: str, what: str, found: int, least: int, most: int) -> None:
    if not least <= found <= most:
        expected = f"{least}" if least == most else f"{least} to {most}"
        unit = what if most == 1 else f"{what}s"
        raise ModelError(f"{where}: expected {expected} {unit}, found {found}")


def check_types(name: str, op: str, schema: OpSchema, inputs: list[Value | None]) -> None:
    """Raise ShapeError for inputs whose dtypes the operator doesn't take, or not together."""
    bound: dict[str, DType] = {}
    for position, value in enumerate(inputs):
        if value is None:
            continue
        formal = schema.inputs[min(position, len(schema.inputs) - 1)]
        where = f"node {name!r} ({op}): input {position}"
        if _TYPES[value.dtype] not in formal.types:
            raise ShapeError(f"{where} may not be of dtype {value.dtype}")
        if formal.is_homogeneous:
            first = bound.setdefault(formal.type_str, value.dtype)
            if first is not value.dtype:
                raise ShapeError(f"{where}: expected dtype {first}, found {value.dtype}")

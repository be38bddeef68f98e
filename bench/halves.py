"""Convert an ONNX model of float32 to float16, as the converters that people use do.

`python bench/halves.py MODEL.onnx OUT.onnx [--keep-io] [--keep OP …]`: nodes of the operators that
are kept stay float32, between Casts. Models with subgraphs or functions aren't converted.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, MutableSequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

KEPT = frozenset(["Resize", "Upsample", "NonMaxSuppression", "RoiAlign", "Range", "CumSum"])
"""Operators that have inputs of float32 whatever the others are, or that need its range."""

LARGEST = 65504.0


def to_half(
    model: ModelProto, *, keep_io: bool = False, keep: Collection[str] = frozenset()
) -> ModelProto:
    """The model in float16; weights beyond its range become its largest numbers."""
    made = ModelProto()
    made.CopyFrom(onnx.shape_inference.infer_shapes(model))
    graph = made.graph
    ports = [*graph.input, *graph.output]
    known = [*ports, *graph.value_info]
    singles = {v.name for v in known if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    weights = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    singles |= weights.keys()
    first: list[NodeProto] = []
    last: list[NodeProto] = []
    for name in dict.fromkeys(p.name for p in ports if keep_io and p.name in singles):
        made_inside = name in {p.name for p in graph.output}
        for node in graph.node:
            _rename(node.input, name, f"{name}/f16")
            _rename(node.output, name, f"{name}/f16")
        singles.add(f"{name}/f16")
        if made_inside:
            last.append(_cast(f"{name}/f16", name, True))
        else:
            first.append(_cast(name, f"{name}/f16", False))
    nodes = list(first)
    for node in graph.node:
        kept = node.op_type in KEPT | set(keep)
        nodes += _between_casts(node, singles) if kept else [_halved(node)]
    for tensor in weights.values():
        _halve(tensor)
    for port in ports:
        if port.name in singles and not keep_io:
            port.type.tensor_type.elem_type = TensorProto.FLOAT16
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*nodes, *last])
    return made


def _between_casts(node: NodeProto, singles: set[str]) -> list[NodeProto]:
    """The node as it was, its float inputs cast to float32 and its float outputs from it."""
    inputs = [name for name in dict.fromkeys(node.input) if name in singles]
    outputs = [name for name in node.output if name in singles]
    for name in {*inputs, *outputs}:
        _rename(node.input, name, f"{name}/{node.name}")
        _rename(node.output, name, f"{name}/{node.name}")
    before = [_cast(name, f"{name}/{node.name}", True) for name in inputs]
    return [*before, node, *(_cast(f"{name}/{node.name}", name, False) for name in outputs)]


def _rename(names: MutableSequence[str], old: str, new: str) -> None:
    for place, name in enumerate(names):
        if name == old:
            names[place] = new


def _cast(source: str, target: str, wide: bool) -> NodeProto:
    to = TensorProto.FLOAT if wide else TensorProto.FLOAT16
    return helper.make_node("Cast", [source], [target], name=f"{target}/cast", to=to)


def _halved(node: NodeProto) -> NodeProto:
    """The node with attributes of float16 in the place of float32."""
    for attribute in node.attribute:
        _halve(attribute.t)
        if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
    if node.op_type == "ConstantOfShape" and not node.attribute:
        zero = helper.make_tensor("value", TensorProto.FLOAT16, [1], [0])
        node.attribute.append(helper.make_attribute("value", zero))
    return node


def _halve(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        numbers = np.clip(numpy_helper.to_array(tensor), -LARGEST, LARGEST).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep-io", action="store_true")
    parser.add_argument("--keep", nargs="*", default=[])
    given = parser.parse_args()
    made = to_half(onnx.load(given.model), keep_io=given.keep_io, keep=given.keep)
    onnx.save(made, given.out)


if __name__ == "__main__":
    main()

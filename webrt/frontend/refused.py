"""Which nodes aren't run, and why: all of a model's are listed before any is built."""

from __future__ import annotations

from onnx import AttributeProto, NodeProto

from webrt.errors import UnsupportedOpError
from webrt.frontend.functions import Functions, has_schema_body, opsets_of, short_domain
from webrt.frontend.schema import check_node, schema_of
from webrt.frontend.sequences import FOLDED
from webrt.frontend.structure import Named, node_name
from webrt.ops.control import CONTROL
from webrt.ops.registry import find
from webrt.ops.scores import ML

CONSTANT_ATTRIBUTES = ("value", "value_int", "value_ints", "value_float", "value_floats")
SUBGRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def refuse_unsupported(
    ordered: list[Named], opsets: dict[str, int], file: str, functions: Functions
) -> None:
    """Raise one UnsupportedOpError that lists every node that isn't run."""
    refused = _Refused(functions)
    lines = [why for name, node in ordered for why in refused.of(name, node, opsets)]
    if lines:
        raise UnsupportedOpError(f"{file}: {'; '.join(lines)}")
    for name, node in ordered:
        check_schema(name, node, opsets)


def check_schema(name: str, node: NodeProto, opsets: dict[str, int]) -> None:
    """Raise ModelError for a node that its operator's schema doesn't allow."""
    domain = short_domain(node.domain)
    schema = schema_of(node.op_type, domain, opsets[domain])
    if schema is not None:
        check_node(name, node, schema)


class _Refused:
    """Tells why nodes aren't run; a function's nodes are looked at once."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.known: dict[int, list[tuple[str, str]]] = {}

    def of(self, name: str, node: NodeProto, opsets: dict[str, int]) -> list[str]:
        return [f"node {n!r} {why}" for n, why in self._found(name, node, opsets)]

    def _found(self, name: str, node: NodeProto, opsets: dict[str, int]) -> list[tuple[str, str]]:
        function = self.functions.find(node)
        if function is None or short_domain(node.domain) not in opsets:
            why = why_unsupported(node, opsets)
            return [(name, f"({shown(node)}) {why}")] if why else []
        if id(function) not in self.known:
            inner = opsets_of(function)
            self.known[id(function)] = [
                found
                for place, n in enumerate(function.node)
                for found in self._found(node_name(n, place), n, inner)
            ]
        return [(f"{name}/{n}", why) for n, why in self.known[id(function)]]


def shown(node: NodeProto) -> str:
    """The operator, as messages name it."""
    domain = short_domain(node.domain)
    return f"{domain}.{node.op_type}" if domain else str(node.op_type)


def why_unsupported(node: NodeProto, opsets: dict[str, int]) -> str | None:
    """Why a node isn't run; None where it may be."""
    domain = short_domain(node.domain)
    if domain not in opsets:
        return f"is of the domain {domain!r}, which the model doesn't import"
    if not domain and node.op_type == "Constant":
        other = [a.name for a in node.attribute if a.name not in CONSTANT_ATTRIBUTES]
        if len(node.attribute) != 1 or len(node.output) != 1:
            return "needs one value and one output"
        return f"has {other[0]}, which isn't run" if other else None
    if domain == "webrt":
        return "isn't an operator of ONNX"
    if (not domain and node.op_type in FOLDED) or (domain, node.op_type) == (ML, "ZipMap"):
        return None
    definition = find(node.op_type, domain, opsets[domain])
    if definition is None and has_schema_body(node, opsets[domain]):
        return None
    if definition is None:
        known = find(node.op_type, domain)
        return f"isn't run in opset {opsets[domain]}" if known else "isn't run"
    allowed = definition.defaults(opsets[domain])
    for attribute in node.attribute:
        if attribute.type in SUBGRAPHS and node.op_type not in CONTROL:
            return "holds a subgraph, which isn't run"
        if attribute.name not in allowed:
            return (
                f"has an attribute {attribute.name!r}, which isn't known in opset {opsets[domain]}"
            )
    if not any(node.output):
        return "has no output"
    return None

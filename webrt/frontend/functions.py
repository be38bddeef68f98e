"""Functions: operators that the model, or ONNX's own schemas, define by other operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TypeProto
from onnx.defs import OpSchema

from webrt.errors import ModelError, UnsupportedOpError
from webrt.frontend.schema import schema_of
from webrt.frontend.tensors import ELEMENT_TYPES
from webrt.graph.ir import Value

MAX_DEPTH = 32
"""Functions that call functions, at most so deep."""

MAX_NODES = 1 << 18
"""Nodes that all calls of a model become, at most: a few calls of calls can be very many."""

Key = tuple[str, str, str]

_ELEMENTS = {dtype: number for number, dtype in reversed(ELEMENT_TYPES.items())}
"""The first of the element types that are read as a dtype."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a call stands for: formal names, nodes in order, the opsets that they are of."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[NodeProto, ...]
    opsets: dict[str, int]


@dataclass(slots=True)
class Functions:
    """The functions of one model, and how many nodes their calls have become."""

    file: str
    local: dict[Key, FunctionProto] = field(default_factory=dict)
    made: int = 0

    @classmethod
    def of(cls, functions: Iterable[FunctionProto], file: str) -> Functions:
        found = cls(file)
        for function in functions:
            key = (short_domain(function.domain), function.name, function.overload)
            if key in found.local:
                raise ModelError(f"{file}: the function {function.name!r} is defined twice")
            found.local[key] = function
        found._check_depth()
        return found

    def find(self, node: NodeProto) -> FunctionProto | None:
        """The function of the model that a node calls."""
        return self.local.get(_key(node))

    def local_body(self, node: NodeProto) -> Body:
        """The body of a call of a function of the model."""
        function = self.local[_key(node)]
        return _bound(function, node, opsets_of(function), self.file)

    def schema_body(
        self, node: NodeProto, inputs: Sequence[Value | None], opsets: Mapping[str, int]
    ) -> Body | None:
        """The body that ONNX's schema gives an operator, or None where it gives none."""
        domain = short_domain(node.domain)
        schema = schema_of(node.op_type, domain, opsets[domain])
        function = None
        if schema is not None:
            function = _of_schema(schema, node, inputs, opsets[domain])
        if function is None:
            return None
        defaults = {
            a.default_value.name: a.default_value
            for a in (schema.attributes.values() if schema is not None else ())
            if a.default_value.name
        }
        opsets = {**opsets, **opsets_of(function)}
        body = _bound(function, node, opsets, self.file, defaults)
        own = any(
            short_domain(n.domain) == domain and n.op_type == node.op_type for n in body.nodes
        )
        return None if own else body

    def count(self, nodes: int) -> None:
        """Note that a call becomes so many nodes; raises UnsupportedOpError for too many."""
        self.made += nodes
        if self.made > MAX_NODES:
            raise UnsupportedOpError(f"{self.file}: its functions expand to over {MAX_NODES} nodes")

    def _check_depth(self) -> None:
        """No function may call itself, over others or not."""
        depth: dict[Key, int] = {}
        for start in self.local:
            path: list[tuple[Key, list[Key]]] = [(start, self._called(start))]
            while path:
                key, rest = path[-1]
                if not rest:
                    path.pop()
                    below = [depth.get(k, 0) for k in self._called(key)]
                    depth[key] = 1 + max(below, default=0)
                    if depth[key] > MAX_DEPTH:
                        raise UnsupportedOpError(
                            f"{self.file}: functions call functions over {MAX_DEPTH} levels"
                        )
                    continue
                following = rest.pop()
                if any(following == k for k, _ in path):
                    raise ModelError(f"{self.file}: the function {following[1]!r} calls itself")
                if following not in depth:
                    path.append((following, self._called(following)))

    def _called(self, key: Key) -> list[Key]:
        return [_key(n) for n in all_nodes(self.local[key].node) if _key(n) in self.local]


def short_domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def has_schema_body(node: NodeProto, version: int) -> bool:
    """Whether ONNX's schema defines the operator by others."""
    schema = schema_of(node.op_type, short_domain(node.domain), version)
    return schema is not None and (
        schema.has_function or schema.has_context_dependent_function  # type: ignore[attr-defined]
    )


def _key(node: NodeProto) -> Key:
    return short_domain(node.domain), node.op_type, node.overload


def all_nodes(nodes: Iterable[NodeProto]) -> Iterable[NodeProto]:
    """The nodes, and those of their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from all_nodes(graph.node)


def opsets_of(function: FunctionProto) -> dict[str, int]:
    """Versions by domain that the function's nodes are of."""
    return {short_domain(o.domain): int(o.version) for o in function.opset_import}


def _of_schema(
    schema: OpSchema, node: NodeProto, inputs: Sequence[Value | None], version: int
) -> FunctionProto | None:
    """The newest body up to the version; a body of a newer opset means the same operator."""
    typed = schema.context_dependent_function_opset_versions  # type: ignore[attr-defined]
    plain = schema.function_opset_versions  # type: ignore[attr-defined]
    if typed:
        call = NodeProto()
        call.CopyFrom(node)
        types = [_type(v).SerializeToString() for v in inputs]
        try:
            content = schema.get_context_dependent_function_with_opset_version(  # type: ignore[attr-defined]
                _nearest(typed, version), call.SerializeToString(), types
            )
        except Exception:  # C++ raises whatever it likes for types that it can't use
            content = b""
    elif plain:
        content = schema.get_function_with_opset_version(  # type: ignore[attr-defined]
            _nearest(plain, version)
        )
    else:
        return None
    try:
        function: FunctionProto = FunctionProto.FromString(content)
    except DecodeError:
        return None
    return function if function.node else None


def _nearest(versions: Sequence[int], version: int) -> int:
    return max((v for v in versions if v <= version), default=min(versions))


def _type(value: Value | None) -> TypeProto:
    found = TypeProto()
    if value is not None:
        found.tensor_type.elem_type = _ELEMENTS[value.dtype]
        found.tensor_type.shape.SetInParent()
        for dim in value.shape:
            place = found.tensor_type.shape.dim.add()
            if isinstance(dim, int):
                place.dim_value = dim
            else:
                place.dim_param = str(dim)
    return found


def _bound(
    function: FunctionProto,
    node: NodeProto,
    opsets: dict[str, int],
    file: str,
    defaults: Mapping[str, AttributeProto] = MappingProxyType({}),
) -> Body:
    """The function's nodes with the attributes of the call in place of references to them.

    An output that the call doesn't ask for needn't be made.
    """
    where = f"{file}: node {node.name!r} ({node.op_type})"
    if len(node.input) > len(function.input) or len(node.output) > len(function.output):
        raise ModelError(
            f"{where}: expected at most {len(function.input)} inputs and {len(function.output)} "
            f"outputs, found {len(node.input)} and {len(node.output)}"
        )
    given = {**defaults, **{a.name: a for a in function.attribute_proto}}
    given |= {a.name: a for a in node.attribute}
    nodes = tuple(_with_attributes(n, given) for n in function.node)
    known = {*function.input, ""}
    for inner in nodes:
        for name in inner.input:
            if name not in known:
                raise ModelError(f"{where}: its function reads {name!r}, which is defined nowhere")
        known |= set(inner.output)
    asked = [o for o, wanted in zip(function.output, node.output, strict=False) if wanted]
    missing = [name for name in asked if name not in known]
    if missing:
        raise ModelError(f"{where}: its function's output {missing[0]!r} is defined nowhere")
    return Body(tuple(function.input), tuple(function.output), nodes, opsets)


def _with_attributes(node: NodeProto, given: Mapping[str, AttributeProto]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            found = given.get(attribute.ref_attr_name)
            if found is not None:
                copy.attribute.add().CopyFrom(found)
                copy.attribute[-1].name = attribute.name
            continue
        kept = copy.attribute.add()
        kept.CopyFrom(attribute)
        for graph in (kept.g, *kept.graphs) if attribute.type in _GRAPHS else ():
            _bind_graph(graph, given)
    return copy


def _bind_graph(graph: GraphProto, given: Mapping[str, AttributeProto]) -> None:
    bound = [_with_attributes(n, given) for n in graph.node]
    del graph.node[:]
    graph.node.extend(bound)


_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)

"""ONNX nodes to graph nodes: attributes decoded, shapes inferred, constants folded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import ModelError, UnsupportedOpError
from webrt.frontend import texts
from webrt.frontend.functions import (
    Body,
    Functions,
    short_domain,
)
from webrt.frontend.inner import Inner
from webrt.frontend.ratios import Ratios
from webrt.frontend.refused import check_schema, shown, why_unsupported
from webrt.frontend.schema import check_types, schema_of
from webrt.frontend.sequences import FOLDED, Columns, Item, Texts
from webrt.frontend.structure import Named, node_name
from webrt.frontend.tensors import NARROW, Reader, element_type, type_name
from webrt.graph.ir import Array, Attribute, Graph, Node, Value, must_run
from webrt.ops.compose import Make
from webrt.ops.control import CONTROL
from webrt.ops.draw import DRAWING, TRAINED, draws
from webrt.ops.registry import find
from webrt.ops.site import ASSUMED, CACHES, FRESH, numpy_dtype
from webrt.plan.plan import NO_LABELS, SEED, Labels, ModelSymbol

TYPE_ATTRIBUTES = {
    ("BitCast", "to"), ("Cast", "to"), ("DequantizeLinear", "output_dtype"), ("EyeLike", "dtype"),
    ("QuantizeLinear", "output_dtype"), ("BlackmanWindow", "output_datatype"),
    ("HammingWindow", "output_datatype"), ("HannWindow", "output_datatype"),
    ("MelWeightMatrix", "output_datatype"), *((op, "dtype") for op in DRAWING),
}  # fmt: skip
"""Attributes that name an element type: decoded to the name of one of our dtypes, if not 0."""

OF_NARROW = ("Cast", "DequantizeLinear", "GatherBlockQuantized", "Shape", "Size")
MOVES_NARROW = (
    "Concat", "Flatten", "Gather", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
"""What takes constants of fewer than 8 bits, which are kept as int8 or uint8: as the same."""


def _is_zero(value: Value | None) -> bool | None:
    """Whether a value is known to be zeros; None for no value."""
    return None if value is None else value.data is not None and not value.data.any()


class Builder(Inner):
    """Builds the graph of one model, node by node."""

    def __init__(
        self,
        proto: GraphProto,
        opsets: dict[str, int],
        reader: Reader,
        file: str,
        same: dict[str, str | int],
        functions: Functions,
        multiples: dict[str, int],
        empty: set[str],
    ) -> None:
        """`same` tells what a dim of that name is taken for: a number, or an earlier name.

        A dim in `multiples` is so many times its symbol, one in `empty` may be 0.
        """
        self.proto = proto
        self.opsets = opsets
        self.reader = reader
        self.file = file
        self.values: dict[str, Item | None] = {}
        self.symbols: dict[str, ModelSymbol] = {}
        self.narrow: dict[Value, str] = {}
        self.nodes: list[Node] = []
        self.refused: list[str] = []
        self.same = same
        self.multiples = multiples
        self.empty = empty
        self.caches: set[str] = set()
        self.shown = {
            d.dim_param or f"{i.name}.{j}"
            for i in proto.input
            for j, d in enumerate(i.type.tensor_type.shape.dim)
        }
        self.place = ""
        self.turns: list[Value] = []
        self.seed: Value | None = None
        self.streams = 0
        self.read: dict[Value | tuple[object, ...], Value] = {}
        self.sized: dict[tuple[object, ...], tuple[Value, ...]] = {}
        self.ratios = Ratios()
        self.assumed: list[tuple[Dim, Dim]] = []
        self.functions = functions
        self.functions.made = 0

    def build(self, ordered: list[Named]) -> Graph:
        """The graph. Sizes that only a run tells become symbols of their own."""
        tokens = FRESH.set(self.fresh), ASSUMED.set(self.assumed), CACHES.set(self.caches)
        try:
            return self._build(ordered)
        finally:
            FRESH.reset(tokens[0])
            ASSUMED.reset(tokens[1])
            CACHES.reset(tokens[2])

    def _build(self, ordered: list[Named]) -> Graph:
        if self.proto.sparse_initializer:
            raise UnsupportedOpError(f"{self.file}: sparse initializers aren't run")
        for tensor in self.proto.initializer:
            if tensor.data_type == TensorProto.STRING:
                self.values[tensor.name] = texts.constant(tensor, f"initializer {tensor.name!r}")
                continue
            value = self.constant(tensor, f"initializer {tensor.name!r}")
            self.values[tensor.name] = value
            if tensor.data_type in NARROW:
                self.narrow[value] = type_name(tensor.data_type)
        inputs = [self._input(i) for i in self.proto.input if i.name not in self.values]
        for name, node in ordered:
            self._node(name, node)
        if self.refused:
            raise UnsupportedOpError("; ".join(self.refused))
        for info in self.proto.output:
            self._check_output(info)
        answers = {o.name: self._output(o.name) for o in self.proto.output}  # one may stand twice
        outputs = tuple(value for value, _ in answers.values())
        labels = {name: labels for name, (_, labels) in answers.items() if labels != NO_LABELS}
        alive = without_dead(self.nodes, outputs)
        if self.seed is not None:
            inputs.append(self.seed)
        symbols = tuple(self.symbols.values())
        return Graph(symbols, tuple(inputs), outputs, alive, tuple(answers), labels)

    def _output(self, name: str) -> tuple[Value, Labels]:
        value, labels = texts.answer(self.values[name])
        if value is None:
            where = f"{self.file}: output {name!r}"
            raise UnsupportedOpError(f"{where}: only tensors are run as outputs")
        return value, labels

    def inner_node(self, name: str, node: NodeProto) -> None:
        """A node of a graph inside, which nobody has looked at yet."""
        why = None if self.functions.find(node) else why_unsupported(node, self.opsets)
        if why:
            self.refused.append(f"node {name!r} ({shown(node)}) {why}")
            return
        check_schema(name, node, self.opsets)
        self._node(name, node)

    def scale(self, symbol: str, factor: int) -> bool:
        """Take the dims of a symbol, by its id, for multiples of `factor`; whether that can be."""
        name = next(s.name for s in self.symbols.values() if s.id == symbol)
        self.multiples[name] = self.multiples.get(name, 1) * factor
        self.empty.discard(name)
        return name in self.shown and self.multiples[name] <= dims.MAX_SYMBOL

    def unify(self, left: Dim, right: Dim) -> bool:
        """Take the later of two symbols for the earlier, or a symbol for a number.

        False where that is no dim of an input: what reads it tells its size.
        """
        names = [s.name for s in self.symbols.values()]  # of s0, s1 … in this order
        places = [len(names) if isinstance(d, int) else self._place(d) for d in (left, right)]
        if isinstance(left, int) or isinstance(right, int):
            number = left if isinstance(left, int) else right
            assert isinstance(number, int)
            other = names[min(places)]
            self.same[other] = number
        else:
            kept, other = names[min(places)], names[max(places)]
            self.same[other] = kept
            if other in self.empty:
                self.empty.add(kept)
        return other in self.shown

    def _place(self, dim: Dim) -> int:
        name = sorted(dims.free_symbols(dim))[0]
        return [s.id for s in self.symbols.values()].index(name)

    def constant(self, tensor: TensorProto, what: str) -> Value:
        return constant(tensor.name, self.reader.read(tensor, what))

    def _check_output(self, info: ValueInfoProto) -> None:
        """An output is answered in the type that the model declares, or refused."""
        where = f"{self.file}: output {info.name!r}"
        if isinstance(self.values.get(info.name), Texts | Columns):
            return
        if info.type.WhichOneof("value") not in (None, "tensor_type"):
            raise UnsupportedOpError(f"{where}: only tensors are run as outputs")
        if info.type.tensor_type.elem_type:
            element_type(info.type.tensor_type.elem_type, where)

    def _input(self, info: ValueInfoProto) -> Value:
        where = f"{self.file}: input {info.name!r}"
        if info.type.WhichOneof("value") != "tensor_type":
            raise UnsupportedOpError(f"{where}: only tensors are run as inputs")
        if info.name == SEED:
            raise UnsupportedOpError(f"{where}: the name is webrt's own; call it otherwise")
        tensor = info.type.tensor_type
        dtype = element_type(tensor.elem_type, where)
        if not tensor.HasField("shape"):
            raise ModelError(f"{where}: expected a shape, found none; give it a rank and dims")
        shape = tuple(self._dim(info.name, j, d, where) for j, d in enumerate(tensor.shape.dim))
        value = Value(info.name, dtype, shape)
        self.values[info.name] = value
        sizes = [d for d in shape if isinstance(d, int)]
        if 0 in sizes and len(sizes) == len(shape):  # what holds nothing is known
            nothing = np.empty(sizes, numpy_dtype(dtype))
            self.values[info.name] = Value(info.name, dtype, shape, nothing)
        return value

    def _dim(self, name: str, axis: int, dim: object, where: str) -> Dim:
        number, parameter = getattr(dim, "dim_value", 0), getattr(dim, "dim_param", "")
        if number > 0:
            return int(number)
        if number == 0 and not parameter and dim.WhichOneof("value") == "dim_value":  # type: ignore[attr-defined]
            return 0
        display = parameter or f"{name}.{axis}"
        while display in self.same:
            known = self.same[display]
            if isinstance(known, int):
                return known
            display = known
        empty = display in self.empty
        if display not in self.symbols:
            name = f"s{len(self.symbols)}"
            multiple = 1 if empty else self.multiples.get(display, 1)
            self.symbols[display] = ModelSymbol(name, display, empty=empty, multiple=multiple)
            self.caches |= {name} if empty else set()
        found = self.symbols[display]
        return found.multiple * dims.symbol(found.id) - int(empty)

    def _node(self, name: str, node: NodeProto) -> None:
        domain = short_domain(node.domain)
        if not domain and node.op_type == "Constant":
            if node.attribute[0].t.data_type == TensorProto.STRING:
                text = texts.constant(node.attribute[0].t, f"node {name!r} (Constant)")
                self.values[node.output[0]] = text
                return
            array = self._attribute_constant(name, node)
            self.values[node.output[0]] = constant(node.output[0], array)
            return
        if any(i and i not in self.values for i in node.input):
            return  # an input's own node was refused
        items = [self.values[i] if i else None for i in node.input]
        while items and items[-1] is None:
            items.pop()
        if self.functions.find(node) is not None:
            self._call(name, node, items, self.functions.local_body(node))
            return
        if not domain and node.op_type in (*FOLDED, *CONTROL):
            self.folded(name, node, items)
            return
        if not domain and node.op_type == "Identity" and items and items[0] is not None:
            self.values[node.output[0]] = items[0]
            return
        if texts.is_text(node, domain, items):
            self.text_node(name, node, items, domain)
            return
        inputs = [v for v in items if v is None or isinstance(v, Value)]
        if len(inputs) < len(items):
            why = "takes a sequence or an optional: that isn't run"
            self.refused.append(f"node {name!r} ({shown(node)}) {why}")
            return
        few = [self.narrow[v] for v in inputs if v in self.narrow]
        if few and node.op_type not in (*OF_NARROW, *MOVES_NARROW):
            why = f"elements of type {few[0]} aren't run"
            self.refused.append(f"node {name!r} ({shown(node)}): {why}")
            return
        self.tensor_node(name, node, inputs, domain)
        if few and node.op_type in MOVES_NARROW:
            made = [self.values.get(o) for o in node.output]
            self.narrow |= {v: few[0] for v in made if isinstance(v, Value)}

    def tensor_node(
        self, name: str, node: NodeProto, inputs: list[Value | None], domain: str
    ) -> None:
        schema = schema_of(node.op_type, domain, self.opsets[domain])
        if schema is not None:
            check_types(name, node.op_type, schema, inputs)
        if find(node.op_type, domain, self.opsets[domain]) is None:
            body = self.functions.schema_body(node, inputs, self.opsets)
            if body is None:
                self.refused.append(f"node {name!r} ({shown(node)}) isn't run")
                return
            self._call(name, node, inputs, body)
            return
        self._apply(name, node, inputs, domain)

    def _call(self, name: str, node: NodeProto, inputs: Sequence[Item | None], body: Body) -> None:
        """Build the nodes of a function, in a scope of their own."""
        self.functions.count(len(body.nodes))
        outer = self.values, self.opsets
        given = [*inputs, *[None] * (len(body.inputs) - len(inputs))]
        self.values = dict(zip(body.inputs, given, strict=True))
        self.opsets = body.opsets
        for place, inner in enumerate(body.nodes):
            inner_name = f"{name}/{node_name(inner, place)}"
            why = None if self.functions.find(inner) else why_unsupported(inner, self.opsets)
            if why:
                self.refused.append(f"node {inner_name!r} ({shown(inner)}) {why}")
                continue
            check_schema(inner_name, inner, self.opsets)
            self._node(inner_name, inner)
        made = [self.values.get(o) for o in body.outputs]
        self.values, self.opsets = outer
        for output, value in zip(node.output, made, strict=False):
            if output and value is not None:
                self.values[output] = value

    def _apply(self, name: str, node: NodeProto, inputs: list[Value | None], domain: str) -> None:
        outputs = list(node.output)
        while outputs and not outputs[-1]:
            outputs.pop()
        try:
            attributes = {a.name: self.attribute(name, node, a) for a in node.attribute}
            if domain in ("", "com.microsoft") and draws(
                node.op_type, [_is_zero(v) for v in inputs]
            ):
                empty = max(TRAINED.get(node.op_type, (0,))) + 1 - len(inputs)
                inputs = [*inputs, *[None] * empty, *self._keys(attributes)]
            if domain and any(v in self.narrow for v in inputs if v is not None):
                attributes["bits"] = 0  # each element is one: none are packed in bytes
            made, values = self.applied(name, node.op_type, inputs, attributes, outputs, domain)
            if not domain and len(values) == 1:
                values = (self.ratios.learn(node.op_type, inputs, values[0]),)
        except UnsupportedOpError as error:
            self.refused.append(str(error))
            return
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # a shape rule that fell over inputs that no valid model has
            kind = f"{type(error).__name__}: {error}"
            raise ModelError(f"node {name!r} ({node.op_type}): is malformed ({kind})") from error
        make = Make(name)
        for left, right in dict.fromkeys(self.assumed):
            make("Need", make.scalar(left), make.scalar(right), domain="webrt")
        self.assumed.clear()
        self.nodes += [*make.nodes, *made]
        self.values |= {o: v for o, v in zip(outputs, values, strict=False) if o}
        called = texts.names_made(node.op_type, domain, name, attributes, self.opsets[domain])
        if called and outputs[0]:
            self.values[outputs[0]] = Texts(values[0], called)

    def _keys(self, attributes: dict[str, Attribute]) -> list[Value]:
        """What numbers that a node draws depend on, besides the node."""
        keys = list(self.turns)
        if "seed" not in attributes:
            self.seed = self.seed or Value(SEED, DType.U32, ())
            keys.append(self.seed)
        self.streams += 1
        attributes |= {"stream": self.streams, "keys": len(keys)}
        return keys

    def _attribute_constant(self, name: str, node: NodeProto) -> Array:
        attribute = node.attribute[0]
        what = f"node {name!r} (Constant)"
        match attribute.name:
            case "value":
                return self.reader.read(attribute.t, what)
            case "value_int":
                return np.array(attribute.i, np.int64)
            case "value_ints":
                return np.array(attribute.ints, np.int64)
            case "value_float":
                return np.array(attribute.f, np.float32)
        return np.array(attribute.floats, np.float32)

    def attribute(self, name: str, node: NodeProto, attribute: AttributeProto) -> Attribute:
        where = f"node {name!r} ({node.op_type}), attribute {attribute.name!r}"
        if (node.op_type, attribute.name) in TYPE_ATTRIBUTES and attribute.i:
            return str(element_type(attribute.i, where))
        match attribute.type:
            case AttributeProto.FLOAT:
                return float(attribute.f)
            case AttributeProto.INT:
                return int(attribute.i)
            case AttributeProto.STRING:
                return attribute.s.decode("utf-8")
            case AttributeProto.TENSOR if attribute.t.data_type == TensorProto.STRING:
                return texts.strings_of(attribute.t, where)
            case AttributeProto.TENSOR:
                return self.reader.read(attribute.t, where)
            case AttributeProto.FLOATS:
                return tuple(float(x) for x in attribute.floats)
            case AttributeProto.INTS:
                return tuple(int(x) for x in attribute.ints)
            case AttributeProto.STRINGS:
                return tuple(s.decode("utf-8") for s in attribute.strings)
        raise UnsupportedOpError(f"{where}: attributes of type {attribute.type} aren't run")


def constant(name: str, array: Array) -> Value:
    """A value that is known."""
    for dtype in DType:
        if numpy_dtype(dtype) == array.dtype:
            return Value(name, dtype, tuple(array.shape), array)
    raise AssertionError(array.dtype)


def without_dead(nodes: list[Node], outputs: tuple[Value, ...]) -> tuple[Node, ...]:
    """The nodes that the outputs need: what is known needs nothing."""
    needed = {v for v in outputs if v.data is None and v.content is None}
    kept = []
    for node in reversed(nodes):
        if needed.isdisjoint(node.outputs) and not must_run(node):
            continue
        kept.append(node)
        needed |= {v for v in node.inputs if v is not None and v.data is None and v.content is None}
    return tuple(reversed(kept))


__all__ = ["Builder", "constant", "type_name", "without_dead"]

"""What a graph's builder does for nodes that hold graphs, or whose sizes only a run tells."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import ModelError, ShapeError, UnsupportedOpError
from webrt.frontend import repeats, sizes, texts
from webrt.frontend.control import BUILDERS
from webrt.frontend.functions import Functions
from webrt.frontend.sequences import Attributes, Item, Maybe, Repeated, Texts, fold
from webrt.frontend.structure import sorted_nodes, used_names
from webrt.graph.ir import Array, Attribute, Node, Value, binds
from webrt.ops.compose import Make, applied
from webrt.ops.control import CONTROL
from webrt.ops.registry import apply
from webrt.ops.scores import ML
from webrt.ops.site import DependsOnDataError, DimsDiffer
from webrt.plan.host import MAX_VALUES
from webrt.plan.plan import ModelSymbol

MOVES = ("Cast", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""What moves the elements of its first input about."""


def _key(
    op: str,
    domain: str,
    inputs: Sequence[Value | None],
    attributes: Mapping[str, Attribute],
    outputs: int,
) -> tuple[object, ...]:
    """Alike for nodes that compute the same; small constants are compared by what they hold."""

    def held(array: Array) -> tuple[object, ...]:
        return array.dtype.str, array.shape, array.tobytes()

    given: list[object] = [
        held(v.data) if v is not None and v.data is not None and v.data.size <= MAX_VALUES else v
        for v in inputs
    ]
    named = [(n, held(a) if isinstance(a, np.ndarray) else a) for n, a in attributes.items()]
    return op, domain, outputs, *given, *sorted(named, key=lambda pair: pair[0])


class Inner:
    """The half of a builder that knows of graphs inside; `shown` are the names of inputs' dims."""

    file: str
    opsets: dict[str, int]
    values: dict[str, Item | None]
    symbols: dict[str, ModelSymbol]
    nodes: list[Node]
    refused: list[str]
    functions: Functions
    shown: set[str]
    place: str
    turns: list[Value]
    read: dict[Value | tuple[object, ...], Value]
    sized: dict[tuple[object, ...], tuple[Value, ...]]
    assumed: list[tuple[Dim, Dim]]

    @abstractmethod
    def constant(self, tensor: TensorProto, what: str) -> Value: ...

    @abstractmethod
    def attribute(self, name: str, node: NodeProto, attribute: AttributeProto) -> Attribute: ...

    @abstractmethod
    def tensor_node(
        self, name: str, node: NodeProto, inputs: list[Value | None], domain: str
    ) -> None: ...

    @abstractmethod
    def inner_node(self, name: str, node: NodeProto) -> None: ...

    def fresh(self, name: str) -> Dim:
        """The symbol of a size that only a run tells, in this turn of an unrolled loop."""
        display = name + self.place
        while display in self.shown:  # a dim of the model has that name
            display += "'"
        if display not in self.symbols:
            self.symbols[display] = ModelSymbol(f"s{len(self.symbols)}", display)
        return dims.symbol(self.symbols[display].id)

    def known(self, value: Value, elements: Sequence[Dim | None] = (), least: int = 0) -> Value:
        """A small integer tensor with its elements known: as symbols that a run reads, if need be.

        `elements` tells those that are known before; less than `least` ends a run. Raises
        UnsupportedOpError where it can't be read.
        """
        if value.data is not None or value.content is not None:
            return value
        if value in self.read:
            return self.read[value]
        count = dims.product(value.shape)
        small = isinstance(count, int) and 0 < count <= MAX_VALUES
        if not small or value.dtype not in (DType.I64, DType.I32):
            raise UnsupportedOpError(f"{value.name!r} holds sizes that aren't run")
        assert isinstance(count, int)
        moved = self.moved(value, count)
        if moved is not None:
            self.read[value] = moved
            return moved
        unknown = [p for p in self.parts(value) if None in self.elements(p)]
        if len(set(unknown)) == 1:  # whatever else it stands in, it is read once
            self.known(unknown[0], least=least)
        elements = elements or self.elements(value)
        if None in elements:
            symbols = [self.fresh(f"{value.name}[{j}]") for j in range(count)]
            make = Make(f"{value.name}/rest")
            rest = make("Sub", value, make.number(least, value)) if least else value
            made = apply("Values", [rest], name=f"{value.name}/read", outputs=[""], domain="webrt")
            made.attributes["binds"] = tuple(map(str, symbols))
            self.nodes += [*make.nodes, made]
            pairs = zip(elements, symbols, strict=True)
            elements = [s - 1 + least if e is None else e for e, s in pairs]
        content = tuple(e for e in elements if e is not None)
        self.read[value] = Value(value.name, value.dtype, value.shape, None, content)
        return self.read[value]

    def elements(self, value: Value) -> tuple[Dim | None, ...]:
        """What is known of a tensor's elements: of one that is put together, that of its parts."""
        value = self.read.get(value, value)
        if value.content is not None:
            return value.content
        if value.data is not None:
            return tuple(int(e) for e in value.data.reshape(-1))
        parts = self.parts(value)
        if parts:
            return tuple(e for part in parts for e in self.elements(part))
        count = dims.product(value.shape)
        return (None,) * (count if isinstance(count, int) else 0)

    def parts(self, value: Value) -> list[Value]:
        """The vectors that a vector is put together of; none where it isn't."""
        made = self.maker(value)
        if made is None or made.op != "Concat" or len(value.shape) != 1:
            return []
        return [part for part in made.inputs if part is not None]

    def moved(self, value: Value, count: int) -> Value | None:
        """The value, known, where it is one moved about of which more is known: the pads of an
        exporter that turns pairs of them round, say.
        """
        made = self.maker(value)
        source = made.inputs[0] if made is not None and made.op in MOVES else None
        if made is None or source is None or source.dtype not in (DType.I64, DType.I32):
            return None
        if not isinstance(dims.product(source.shape), int):
            return None
        few = self.elements(source).count(None) < count
        known = self.known(source) if few else self.moved(source, count)
        if known is None:
            return None
        given = [known, *made.inputs[1:]]
        again = apply(
            made.op, given, made.attributes, name=made.name, outputs=[value.name],
            domain=made.domain, version=made.version,
        ).outputs[0]  # fmt: skip
        return again if again.content is not None else None

    def maker(self, value: Value) -> Node | None:
        """The node whose output it is, if it is in the graph that is being built."""
        return next((n for n in reversed(self.nodes) if value in n.outputs), None)

    def inside(self, name: str, graph: GraphProto, given: Sequence[Item | None]) -> list[Item]:
        """The outputs of a graph that a node holds, built among this one's nodes."""
        if graph.sparse_initializer:
            raise UnsupportedOpError(f"{self.file}: sparse initializers aren't run")
        outer, read, sized = self.values, dict(self.read), dict(self.sized)
        self.values = dict(outer)
        try:
            for tensor in graph.initializer:
                self.values[tensor.name] = self.constant(tensor, f"initializer {tensor.name!r}")
            formals = [i.name for i in graph.input]
            if len(formals) < len(given):
                raise ModelError(f"node {name!r}: its graph takes {len(formals)} inputs")
            self.values |= zip(formals, given, strict=False)
            refused = len(self.refused)
            for inner, node in sorted_nodes(graph, self.file, outer):
                self.inner_node(f"{name}/{inner}", node)
            if len(self.refused) > refused:
                why = "; ".join(self.refused[refused:])
                del self.refused[refused:]
                raise UnsupportedOpError(why)
            found = [self.values[o.name] for o in graph.output]
        finally:
            self.values, self.read, self.sized = outer, read, sized
        return [Maybe(None) if v is None else v for v in found]

    def subgraph(self, node: NodeProto, name: str) -> GraphProto:
        """A graph that a node holds."""
        for attribute in node.attribute:
            if attribute.name == name:
                graph: GraphProto = attribute.g
                return graph
        raise ModelError(f"{self.file}: a {node.op_type} has no {name}")

    def folded(self, name: str, node: NodeProto, inputs: list[Item | None]) -> None:
        """Control flow, sequences and optionals."""
        make = Make(name)
        outputs: Sequence[Item]
        if any(n and n not in self.values for n in used_names(node)):
            return  # what a graph of it takes from outside was refused
        try:
            repeated = None
            if node.op_type == "Loop":
                repeated = repeats.repeated(self, self.subgraph(node, "body"), inputs)
            if repeated is not None:
                outputs = [repeated]
            elif node.op_type in CONTROL:
                outputs = BUILDERS[node.op_type](self, name, node, inputs)
            else:
                attributes = {
                    a.name: self.attribute(name, node, a)
                    for a in node.attribute
                    if a.name != "type"
                }
                outputs = [self.fold(name, node.op_type, inputs, attributes, make)]
        except UnsupportedOpError as error:
            self.refused.append(str(error))
            return
        self.nodes += make.nodes
        self.values |= {o: v for o, v in zip(node.output, outputs, strict=False) if o}

    def fold(
        self, name: str, op: str, inputs: list[Item | None], attributes: Attributes, make: Make
    ) -> Item:
        """What an operator on sequences gives; of repeated elements a run reads how many."""
        item = inputs[0] if inputs else None
        if op != "ConcatFromSequence" or not isinstance(item, Repeated):
            return fold(op, name, inputs, attributes, make)
        if attributes.get("axis") != item.axis or attributes.get("new_axis"):
            raise UnsupportedOpError(f"node {name!r} ({op}): along another axis it isn't run")
        counting = Make(f"{name}/count")
        whole = repeats.total(counting, item)
        self.nodes += counting.nodes
        (length,) = self.known(whole).content or (0,)
        return repeats.spread(make, item, length)

    def applied(
        self,
        name: str,
        op: str,
        inputs: list[Value | None],
        attributes: dict[str, Attribute],
        outputs: list[str],
        domain: str,
    ) -> tuple[list[Node], tuple[Value, ...]]:
        """The nodes of an operator; what must be known of its inputs and isn't, a run reads.

        One whose sizes only a run tells stands once, whatever else asks for the same: what it
        finds in one mask fits together only so.
        """
        key = _key(op, domain, inputs, attributes, len(outputs))
        if key in self.sized:
            return [], self.sized[key]
        unknown: DependsOnDataError | None = None
        while True:
            try:
                made, values = applied(
                    op, inputs, attributes, name=name, outputs=outputs, domain=domain,
                    version=self.opsets[domain],
                )  # fmt: skip
                if unknown is not None and inputs[0] is not None:
                    sizes.check_read(self, op, inputs[0], values[0], attributes)
                if any(binds(n) for n in made):
                    self.sized[key] = values
                return made, values
            except DependsOnDataError as error:
                unknown = unknown or error
                value = inputs[error.position] if error.position < len(inputs) else None
                known = value is None or value.data is not None or value.content is not None
                if known or error.position not in sizes.READ.get(op, ()):
                    raise unknown from None
                try:
                    sizes.know(self, name, op, error.position, inputs, attributes)
                except UnsupportedOpError:
                    raise unknown from None
            except ShapeError as error:
                if unknown is None or isinstance(error, DimsDiffer):
                    raise
                raise unknown from error  # sizes that a run reads don't fit as they stand

    def text_node(
        self, name: str, node: NodeProto, items: Sequence[Item | None], domain: str
    ) -> None:
        """A node that takes strings, or makes maps of them."""
        op, first = node.op_type, items[0] if items else None
        make = Make(name)
        if (domain, op) == ("", "Cast") and node.attribute[0].i == TensorProto.STRING:
            self.values[node.output[0]] = first
            return
        if domain == ML and op in ("ZipMap", "LabelEncoder"):
            attributes = {a.name: self.attribute(name, node, a) for a in node.attribute}
            if op == "ZipMap":
                self.values[node.output[0]] = texts.columns(name, first, attributes)
                return
            assert isinstance(first, Texts)
            made = texts.encoded(name, first, attributes, self.opsets[domain], make)
            self.values[node.output[0]] = made
            self.nodes += make.nodes
            return
        moves = (domain, op) in texts.MOVES and isinstance(first, Texts)
        if not moves and (domain or op not in texts.JOINS):
            self.refused.append(f"node {name!r} ({op}) takes strings: that isn't run")
            return
        inputs, names = texts.joined(make, items)
        tensors = [v for v in inputs if v is None or isinstance(v, Value)]
        if len(tensors) < len(inputs):
            self.refused.append(f"node {name!r} ({op}) takes a sequence: that isn't run")
            return
        self.nodes += make.nodes
        self.tensor_node(name, node, tensors, domain)
        for output in node.output if op != "Equal" else ():
            made_value = self.values.get(output)
            if isinstance(made_value, Value):
                self.values[output] = Texts(made_value, names)

"""The text form of graphs, read first by maintainers; `parse_graph(*print_graph(g))` is `g` again.

    symbol s0 "batch"
    input  %0 "ids" : i64[s0, 4]
    const  %1 "table" : f32[100, 8] = data(0)
    const  %2 "axis" : i64[1] = [1]
    node   %3 "y" : f32[s0, 4, 8] = Gather-17 (%1, %0) {"axis": 0} "/embed/Gather"
    known  %4 "shape" : i64[2] = [s0, 8]
    output %3 "last"

Values are numbered as they appear. Constants of more than INLINE elements stand beside the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Array, Attribute, Graph, Node, Value
from webrt.plan.plan import ModelSymbol

INLINE = 16
"""Constants of up to this many elements are written out."""


def print_graph(graph: Graph) -> tuple[str, tuple[Array, ...]]:
    """The graph's text, and the constants that stand beside it."""
    printer = _Printer()
    lines = [f"symbol {s.id} {json.dumps(s.name)}" for s in graph.symbols]
    lines += [f"input  {printer.define(value)}" for value in graph.inputs]
    for node in graph.nodes:
        lines += printer.known_first([v for v in node.inputs if v is not None])
        lines.append(printer.node(node))
    lines += printer.known_first(graph.outputs)
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        lines.append(f"output %{printer.numbers[value]} {json.dumps(name)}")
    return "\n".join(lines) + "\n", tuple(printer.data)


class _Printer:
    def __init__(self) -> None:
        self.numbers: dict[Value, int] = {}
        self.data: list[Array] = []

    def define(self, value: Value) -> str:
        self.numbers[value] = len(self.numbers)
        shape = ", ".join(map(str, value.shape))
        return f"%{self.numbers[value]} {json.dumps(value.name)} : {value.dtype}[{shape}]"

    def known_first(self, values: Sequence[Value]) -> list[str]:
        """Lines that define the known values among `values`, where they aren't yet."""
        lines = []
        for value in dict.fromkeys(values):
            if value in self.numbers:
                continue
            if value.content is not None:
                content = ", ".join(map(str, value.content))
                lines.append(f"known  {self.define(value)} = [{content}]")
            elif value.data is not None:
                lines.append(f"const  {self.define(value)} = {self._elements(value.data)}")
        return lines

    def _elements(self, data: Array) -> str:
        if data.size <= INLINE:
            return json.dumps(data.reshape(-1).tolist())
        self.data.append(data)
        return f"data({len(self.data) - 1})"

    def node(self, node: Node) -> str:
        inputs = ", ".join("none" if v is None else f"%{self.numbers[v]}" for v in node.inputs)
        outputs = ", ".join(self._output(v) for v in node.outputs)
        name = f"{node.domain}.{node.op}" if node.domain else node.op
        attributes = json.dumps({k: self._attribute(a) for k, a in node.attributes.items()})
        made = f"{name}-{node.version} ({inputs}) {attributes} {json.dumps(node.name)}"
        return f"node   {outputs} = {made}"

    def _attribute(self, value: Attribute) -> object:
        if not isinstance(value, Graph):
            return _attribute_json(value)
        text, data = print_graph(value)
        self.data += data
        return {"graph": text, "first": len(self.data) - len(data)}

    def _output(self, value: Value) -> str:
        text = self.define(value)
        if value.content is not None:
            return f"{text} known [{', '.join(map(str, value.content))}]"
        return text if value.data is None else f"{text} const {self._elements(value.data)}"


def _attribute_json(value: Attribute) -> object:
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.name, "shape": value.shape, "data": value.reshape(-1).tolist()}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return value


def _attribute_from(value: object, data: Sequence[Array]) -> Attribute:
    match value:
        case {"graph": str(text), "first": int(first)}:
            return parse_graph(text, data[first:])
        case {"dtype": str(dtype), "shape": list(shape), "data": list(data)}:
            return np.array(data, dtype).reshape(shape)
        case {"bytes": str(text)}:
            return bytes.fromhex(text)
        case list():
            return tuple(value)
        case int() | float() | str():
            return value
    raise ValueError(f"not an attribute: {value!r}")


_STRING = r'"(?:[^"\\]|\\.)*"'
_VALUE = re.compile(
    rf"%(\d+) ({_STRING}) : (\w+)\[([^\]]*)\](?: (=|known|const) (\[[^\]]*\]|data\(\d+\)))?"
)
_NODE = re.compile(rf"^(.*?) = ([\w.]+)-(\d+) \(([^)]*)\) (\{{.*\}}) ({_STRING})$")


def parse_graph(text: str, data: Sequence[Array] = ()) -> Graph:
    """The graph of a text; raises ValueError for a line that isn't one."""
    values: dict[int, Value] = {}
    symbols: list[ModelSymbol] = []
    inputs: list[Value] = []
    outputs: list[Value] = []
    names: list[str] = []
    nodes: list[Node] = []
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        rest = rest.strip()
        match kind:
            case "symbol":
                symbol, _, name = rest.partition(" ")
                symbols.append(ModelSymbol(symbol, json.loads(name)))
            case "input":
                inputs.append(_value(rest, kind, values, data))
            case "const" | "known":
                _value(rest, kind, values, data)
            case "node":
                nodes.append(_node(rest, values, data))
            case "output":
                number, _, name = rest.partition(" ")
                outputs.append(values[int(number[1:])])
                names.append(json.loads(name))
            case _:
                raise ValueError(f"not a line of a graph: {line!r}")
    return Graph(tuple(symbols), tuple(inputs), tuple(outputs), tuple(nodes), tuple(names))


def _value(text: str, kind: str, values: dict[int, Value], data: Sequence[Array]) -> Value:
    found = _VALUE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a value: {text!r}")
    number, name, dtype, shape_text, mark, elements = found.groups()
    shape = _dims(shape_text)
    array: Array | None = None
    content: tuple[Dim, ...] | None = None
    if mark == "known" or (mark == "=" and kind == "known"):
        content = _dims(elements[1:-1])
    elif mark:
        array = _array(elements, DType(dtype), shape, data)
    value = Value(json.loads(name), DType(dtype), shape, array, content)
    values[int(number)] = value
    return value


def _array(elements: str, dtype: DType, shape: tuple[Dim, ...], data: Sequence[Array]) -> Array:
    if elements.startswith("data"):
        return data[int(elements[5:-1])]
    sizes = [dims.evaluate(d, {}) for d in shape]
    return np.array(json.loads(elements), dtype.onnx_name).reshape(sizes)


def _node(text: str, values: dict[int, Value], data: Sequence[Array]) -> Node:
    found = _NODE.match(text)
    if found is None:
        raise ValueError(f"not a node: {text!r}")
    results, op, version, arguments, attributes, name = found.groups()
    inputs = tuple(None if a == "none" else values[int(a[1:])] for a in arguments.split(", ") if a)
    outputs = tuple(_value(m.group(), "node", values, data) for m in _VALUE.finditer(results))
    decoded = {k: _attribute_from(v, data) for k, v in json.loads(attributes).items()}
    domain, _, short = op.rpartition(".")
    return Node(short, json.loads(name), inputs, outputs, decoded, domain, int(version))


def _dims(text: str) -> tuple[Dim, ...]:
    """Dims between commas; the commas inside min() and max() aren't between."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return tuple(dims.parse(p) for p in [*parts, text[start:]] if p.strip())

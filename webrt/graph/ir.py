"""The graph IR: a model as typed nodes over values with symbolic shapes.

Values are compared by identity, nodes and graphs are immutable: a pass builds a new graph.
Operators keep ONNX's names and attributes, decoded to Python; `webrt.Attention` and a few more of
our own (domain "webrt") stand for patterns that passes recognise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

import numpy as np
import numpy.typing as npt

from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.plan.plan import Labels, ModelSymbol

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of the graph. `data` holds a constant's content (shape and dtype agree with it).

    `content` holds the elements (row-major) of a small integer tensor that is known up to symbols:
    a shape, a length, an index. A value with `content` or `data` needs no dispatch.
    """

    name: str
    dtype: DType
    shape: tuple[Dim, ...]
    data: Array | None = None
    content: tuple[Dim, ...] | None = None


Attribute = Union[
    int, float, str, bytes, Array, tuple[int, ...], tuple[float, ...], tuple[str, ...], "Graph"
]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator application. An absent optional input is None."""

    op: str
    name: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    domain: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Nodes in topological order. `symbols` in the order in which the inputs show them.

    `labels` tell what elements or columns of outputs stand for, by the outputs' names.
    """

    symbols: tuple[ModelSymbol, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    output_names: tuple[str, ...]
    labels: dict[str, Labels] = field(default_factory=dict)


def subgraphs(node: Node) -> dict[str, Graph]:
    """The graphs that a node holds, by attribute.

    Such a graph is closed: what it takes from outside are its inputs, and the node's last ones.
    """
    return {name: a for name, a in node.attributes.items() if isinstance(a, Graph)}


def must_run(node: Node) -> bool:
    """Whether a node runs although nobody reads its outputs."""
    return node.op == "Need" or bool(binds(node))


def binds(node: Node) -> tuple[str, ...]:
    """The symbols that get their values where the node runs."""
    found = node.attributes.get("binds", ())
    return tuple(str(s) for s in found) if isinstance(found, tuple) else ()

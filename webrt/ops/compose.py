"""Operators that are others put together: what a node of theirs becomes when a model is read.

A composite is a function of its site and of a `Make`, which applies operators in their newest
spelling and collects the nodes. Views, constants and chains cost nothing once passes are through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Array, Attribute, Node, Value
from webrt.ops.registry import NEWEST, Attr, OpDef, apply, find, register
from webrt.ops.site import Site, numpy_dtype

Composite = Callable[[Site, "Make"], tuple[Value, ...]]


def composite(
    name: str, *attributes: Attr, domain: str = "", since: int = 1, until: int = NEWEST
) -> Callable[[Composite], Composite]:
    """Register a function `expand(site, make)` that gives the outputs of an operator."""

    def add(expand: Composite) -> Composite:
        rules = (_never, _never, _never, None)
        register(OpDef(name, domain, since, until, attributes, *rules, expand))
        return expand

    return add


def _never(*_: object) -> NoReturn:
    raise AssertionError("a composite is expanded, never applied")


def applied(
    op: str,
    inputs: Sequence[Value | None],
    attributes: dict[str, Attribute],
    *,
    name: str,
    outputs: Sequence[str],
    domain: str = "",
    version: int = 0,
) -> tuple[list[Node], tuple[Value, ...]]:
    """The nodes that an operator becomes, and its outputs: `registry.apply`, composites too."""
    newest = version or NEWEST
    definition = find(op, domain, newest)
    if definition is not None and definition.expand is not None:
        filled = {k: v for k, v in definition.defaults(newest).items() if v is not None}
        site = Site(op, name, tuple(inputs), filled | attributes, newest, len(outputs), domain)
        make = Make(name)
        made = definition.expand(site, make)
        if made is not None:
            if len(made) < len(outputs):
                raise site.unsupported(f"its output {len(made)} isn't run")
            return make.nodes, made
    node = apply(op, inputs, attributes, name=name, outputs=outputs, domain=domain, version=version)
    return [node], node.outputs


class Make:
    """Makes the nodes that one node becomes: `make("Add", x, y)` is the sum."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Node] = []

    def __call__(
        self, op: str, *inputs: Value | None, domain: str = "", **attributes: Attribute
    ) -> Value:
        return self.node(op, inputs, attributes, domain)[0]

    def several(
        self,
        outputs: int,
        op: str,
        *inputs: Value | None,
        domain: str = "",
        **attributes: Attribute,
    ) -> tuple[Value, ...]:
        """The first so many outputs of an operator."""
        return self.node(op, inputs, attributes, domain, outputs)

    def node(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attributes: dict[str, Attribute],
        domain: str = "",
        outputs: int = 1,
    ) -> tuple[Value, ...]:
        """The same, with attributes in a table."""
        name = f"{self.name}/{op}_{len(self.nodes)}"
        names = [f"{name}.{j}" for j in range(outputs)]
        nodes, made = applied(op, inputs, attributes, name=name, outputs=names, domain=domain)
        self.nodes += nodes
        return made

    def constant(self, data: Array) -> Value:
        """A tensor that is known."""
        dtype = next(d for d in DType if numpy_dtype(d) == data.dtype)
        return Value(f"{self.name}/constant", dtype, tuple(data.shape), data)

    def number(self, value: float, like: Value) -> Value:
        """A scalar of the dtype of `like`."""
        return self.constant(np.asarray(value, numpy_dtype(like.dtype)))

    def integers(self, *elements: Dim) -> Value:
        """A vector of int64, known up to symbols."""
        name, shape = f"{self.name}/constant", (len(elements),)
        known = [e for e in elements if isinstance(e, int)]
        if len(known) == len(elements):
            return Value(name, DType.I64, shape, np.array(known, np.int64))
        return Value(name, DType.I64, shape, None, tuple(elements))

    def scalar(self, element: Dim) -> Value:
        """A scalar of int64, known up to symbols."""
        vector = self.integers(element)
        data = None if vector.data is None else vector.data.reshape(())
        return Value(vector.name, DType.I64, (), data, vector.content)

    def reshape(self, x: Value, *shape: Dim) -> Value:
        return x if x.shape == shape else self("Reshape", x, self.integers(*shape), allowzero=1)

    def transpose(self, x: Value, *order: int) -> Value:
        return self("Transpose", x, perm=order)

    def cast(self, x: Value, dtype: DType) -> Value:
        return x if x.dtype is dtype else self("Cast", x, to=str(dtype))

    def part(self, x: Value, axis: int, start: Dim, end: Dim) -> Value:
        """The elements from `start` to `end` along an axis."""
        bounds = self.integers(start), self.integers(end)
        return self("Slice", x, *bounds, self.integers(axis))

    def range(self, length: Dim) -> Value:
        """0, 1 … as int64."""
        return self("Range", self.scalar(0), self.scalar(length), self.scalar(1))

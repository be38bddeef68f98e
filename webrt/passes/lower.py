"""Lowers a graph to a program: every node becomes problems, every known value a literal."""

from __future__ import annotations

from collections.abc import Mapping

from webrt import ops
from webrt.dims import Dim
from webrt.errors import UnsupportedOpError, WebrtError
from webrt.graph.ir import Graph, Node, Value
from webrt.graph.program import ProblemNode, Program
from webrt.kernel.expr import Expr
from webrt.ops.emit import Emitter, Operands
from webrt.ops.intervals import Interval
from webrt.ops.registry import find
from webrt.ops.site import Site
from webrt.passes.integers import Integers

assert ops.FAMILIES  # importing the families fills the registry


def lower(
    graph: Graph,
    facts: Mapping[Value, Interval] | None = None,
    inner: frozenset[Value] = frozenset(),
) -> Program:
    """The graph as problems. Raises UnsupportedOpError for what doesn't fit 32 bits.

    Integer inputs are taken as any 32-bit integer at first; one that indexes a table is held to
    the table, one that would overflow to less (see `passes/integers.py`): then all is lowered anew.
    Inputs among `inner` are made by other steps of the plan: `facts` tells what is proven of them.
    """
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        if 0 in value.shape and value.data is None:
            raise UnsupportedOpError(f"the output {name!r} holds no elements: that isn't run")
    integers = Integers(graph, held=dict(facts or {}), inner=inner)
    while True:
        nodes = _lower_nodes(graph, integers)
        made = {v: integers.interval(v) for v in graph.outputs if v.dtype.is_integer}
        if integers.settled():  # which forgets what it has proven
            break
    ranges = {v: r for v, r in integers.ranges.items() if v in graph.inputs and v not in inner}
    return Program(
        graph.symbols, graph.inputs, graph.outputs, graph.output_names, nodes, ranges,
        integers.longest, made,
    )  # fmt: skip


def _lower_nodes(graph: Graph, integers: Integers) -> tuple[ProblemNode, ...]:
    result: list[ProblemNode] = []
    refused: list[str] = []
    for node in graph.nodes:
        if all(_needs_nothing(v) for v in node.outputs):
            continue
        try:
            made, limits = lower_node(node, integers)
        except UnsupportedOpError as error:
            refused.append(str(error))
            continue
        for value, low, high in limits:
            integers.limit(value, low, high)
        for problem_node in made:
            integers.visit(problem_node)
        result += made
    if refused:
        raise UnsupportedOpError("; ".join(refused))
    done: set[Value] = set()
    for value in graph.outputs:
        if value.content is not None and value not in done:
            done.add(value)
            result.append(_known_output(value, integers))
    return tuple(result)


def _needs_nothing(value: Value) -> bool:
    return value.data is not None or value.content is not None or 0 in value.shape


def lower_node(
    node: Node, integers: Integers
) -> tuple[list[ProblemNode], list[tuple[Value, int, int]]]:
    """The problems of one node, and the limits that it puts on index tensors."""
    definition = find(node.op, node.domain, node.version)
    assert definition is not None, node.op
    emit = Emitter(node.name, node.outputs, integers.interval)
    try:
        site = Site.of(node)
        definition.infer(site)
        for limit, dim in site.whole:
            integers.at_most(dim, limit)
        definition.lower(site, emit)
    except WebrtError as error:
        error.add_note(f"{node.domain}.{node.op} {node.attributes}")
        raise
    return emit.nodes, emit.limits


def _known_output(value: Value, integers: Integers) -> ProblemNode:
    """A shape that is an output of the model is written by a kernel."""
    emit = Emitter(value.name, (value,), integers.interval)

    def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
        offset: Dim = 0
        for place, extent in zip(at, value.shape, strict=True):
            offset = offset * extent + place
        return operands.load(value, offset)

    emit.map(body)
    return emit.nodes[0]

"""The builder's passes from a graph to a plan: one tuple, read from top to bottom."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

from webrt.errors import UsageError
from webrt.graph.ir import Attribute, Graph, subgraphs
from webrt.graph.program import Program
from webrt.graph.text import print_graph
from webrt.kernel.text import print_problem
from webrt.ops.site import shape_text
from webrt.passes.assemble import Built, assemble
from webrt.passes.attention import recognise_attention
from webrt.passes.clean import clean
from webrt.passes.flow import build_flow, has_flow
from webrt.passes.fuse import fuse
from webrt.passes.halves import store_halves
from webrt.passes.lower import lower
from webrt.passes.norm import recognise_norms
from webrt.passes.onehot import gather_one_hot
from webrt.passes.projections import merge_projections
from webrt.passes.qdq import multiply_whole
from webrt.passes.slices import scatter_slices
from webrt.passes.spans import tell_spans

GRAPH_PASSES: tuple[Callable[[Graph], Graph], ...] = (
    clean,
    gather_one_hot,
    scatter_slices,
    recognise_norms,
    recognise_attention,
    merge_projections,
    multiply_whole,
    clean,
)


NAMES = (*dict.fromkeys(p.__name__ for p in GRAPH_PASSES), "lower", "fuse")
"""What the IR can be shown after."""


def build(graph: Graph, dump_after: str | None = None) -> Built:
    """The plan of a graph and its weights.

    `dump_after` names a pass of `NAMES`: the IR after it goes to standard error. Raises UsageError
    for another name.
    """
    built = _built(graph, dump_after)
    if not graph.labels:
        return built
    outputs = tuple(
        replace(p, labels=graph.labels.get(p.name, p.labels)) for p in built.plan.outputs
    )
    return replace(built, plan=replace(built.plan, outputs=outputs))


def _built(graph: Graph, dump_after: str | None) -> Built:
    if dump_after is not None and dump_after not in NAMES:
        raise UsageError(f"no pass is called {dump_after!r}: expected one of {', '.join(NAMES)}")
    for graph_pass in GRAPH_PASSES:
        graph = _everywhere(graph_pass, graph)
        _dump(graph_pass.__name__, dump_after, graph)
    if has_flow(graph):
        return build_flow(graph)
    program = lower(graph)
    _dump("lower", dump_after, program)
    fused = fuse(program)
    _dump("fuse", dump_after, fused)
    return assemble(store_halves(tell_spans(fused), program.outputs), program.outputs)


def _everywhere(graph_pass: Callable[[Graph], Graph], graph: Graph) -> Graph:
    """A pass over a graph, and over the graphs that its nodes hold."""
    done = graph_pass(graph)
    if not any(subgraphs(n) for n in done.nodes):
        return done
    nodes = []
    for node in done.nodes:
        inner: dict[str, Attribute] = {
            k: _everywhere(graph_pass, g) for k, g in subgraphs(node).items()
        }
        nodes.append(replace(node, attributes=node.attributes | inner) if inner else node)
    return replace(done, nodes=tuple(nodes))


def finish(program: Program) -> Built:
    """Fuse a program and assemble its plan."""
    return assemble(store_halves(tell_spans(fuse(program)), program.outputs), program.outputs)


def _dump(name: str, wanted: str | None, ir: Graph | Program) -> None:
    if name == wanted:
        text = print_graph(ir)[0].rstrip() if isinstance(ir, Graph) else "\n".join(_lines(ir))
        print(text, file=sys.stderr)


def _lines(program: Program) -> Iterator[str]:
    """The values of each node and the text form of its problem."""
    for node in program.nodes:
        made = ", ".join(f"{v.name}: {v.dtype}{shape_text(v.shape)}" for v in node.outputs)
        read = ", ".join(v.name for v in node.inputs)
        yield f"# {made} = ({read})   {node.name}\n{print_problem(node.problem)}\n"


__all__ = ["GRAPH_PASSES", "NAMES", "Built", "build", "finish"]

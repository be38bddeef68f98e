"""The builder's passes from a graph to a plan: one tuple, read from top to bottom."""

from __future__ import annotations

from webrt.graph.ir import Graph
from webrt.graph.program import Program
from webrt.passes.assemble import Built, assemble
from webrt.passes.fuse import fuse


def finish(program: Program) -> Built:
    """Fuse a program and assemble its plan."""
    return assemble(fuse(program), program.outputs)


__all__ = ["Built", "Graph", "finish"]

"""Old place of `webrt.graph.program`."""

from webrt.graph.program import ProblemNode, Program

__all__ = ["ProblemNode", "Program"]

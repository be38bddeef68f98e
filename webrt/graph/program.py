"""A program: the graph's nodes lowered to problems, not yet fused."""

from __future__ import annotations

from dataclasses import dataclass, field

from webrt.graph.ir import Value
from webrt.kernel.problem import Problem
from webrt.plan.plan import ModelSymbol


@dataclass(frozen=True, slots=True, eq=False)
class ProblemNode:
    """One problem with the values that its operands and outputs stand for, in order.

    A view (reshape, squeeze, identity …) is a Map over one axis that stores load i0 at i0: fusion
    makes it no operation at all. Values of dtype i64 are computed as i32, bool as bool (stored as
    u32).
    """

    problem: Problem
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    name: str
    alone: bool = False
    """Fusion moves it into no other: a step of many, each of which reads the last in two places."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Problem nodes in topological order; `ranges` bounds integer inputs (see `plan.Port`).

    `longest` bounds symbols, by id: a model whose table of positions has 512 rows takes no longer
    sequences. `facts` are what the integers among the outputs are proven to be.
    """

    symbols: tuple[ModelSymbol, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    output_names: tuple[str, ...]
    nodes: tuple[ProblemNode, ...]
    ranges: dict[Value, tuple[int, int]]
    longest: dict[str, int] = field(default_factory=dict)
    facts: dict[Value, tuple[int, int]] = field(default_factory=dict)

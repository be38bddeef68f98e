"""Constant operands laid out in panels: what a kernel for CPUs reads in their place."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Map, Problem
from webrt.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Panel:
    """Operand number `operand` is replaced by the output of `problem`, a Map of that one operand.

    All its dims are literals; it runs once, when the weights are loaded.
    """

    operand: int
    problem: Map


def repack(problem: Problem, schedule: Schedule) -> tuple[Problem, tuple[Panel, ...]]:
    """The problem as `lower` takes it under `schedule`: constants in panels where that asks so."""
    return problem, ()

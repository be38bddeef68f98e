"""Evaluates programs and plans with NumPy, problem by problem: the oracle of the passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.graph.ir import Array, Value
from webrt.graph.program import Program
from webrt.kernel.reference import NUMPY, evaluate_problem
from webrt.passes.assemble import Built


def bind(shapes: Sequence[tuple[Dim, ...]], arrays: Sequence[Array]) -> dict[str, int]:
    """The model's symbols, from the dims of inputs that are symbols."""
    bindings: dict[str, int] = {}
    for shape, array in zip(shapes, arrays, strict=True):
        for dim, found in zip(shape, array.shape, strict=True):
            scaled = dims.scaled_symbol(dim)
            if scaled is not None:
                name, factor, less = scaled
                bindings[name] = (found + less) // factor
    return bindings


def evaluate_program(program: Program, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The model's outputs, by name, computed by the program's problems."""
    arrays = [feeds[v.name] for v in program.inputs]
    bindings = bind([v.shape for v in program.inputs], arrays)
    memory: dict[Value, Array] = dict(zip(program.inputs, arrays, strict=True))

    def read(value: Value) -> Array:
        if value not in memory:
            assert value.data is not None, f"{value.name} is read before it is made"
            memory[value] = np.asarray(value.data)
        return memory[value]

    for node in program.nodes:
        made = evaluate_problem(node.problem, [read(v) for v in node.inputs], bindings)
        memory.update(zip(node.outputs, made, strict=True))
    return {
        name: _shaped(read(v), v.shape, bindings)
        for name, v in zip(program.output_names, program.outputs, strict=True)
    }


def evaluate_plan(built: Built, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The model's outputs, by name, computed by the plan's steps."""
    plan = built.plan
    arrays = [feeds[p.name] for p in plan.inputs]
    bindings = bind([p.shape for p in plan.inputs], arrays)
    memory: dict[int, Array] = dict(built.constants)
    memory |= {p.tensor: a for p, a in zip(plan.inputs, arrays, strict=True)}
    for step in plan.steps:
        operands = [memory[t] for t in step.inputs]
        made = evaluate_problem(plan.problems[step.problem], operands, bindings)
        memory.update(zip(step.outputs, made, strict=True))
    return {
        p.name: _shaped(memory[p.tensor], p.shape, bindings).astype(NUMPY[p.dtype])
        for p in plan.outputs
    }


def _shaped(array: Array, shape: tuple[Dim, ...], bindings: Mapping[str, int]) -> Array:
    return array.reshape([dims.evaluate(d, bindings) for d in shape])

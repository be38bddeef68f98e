"""Tensors of f16 are loaded and stored as f16; what problems compute stays f32.

Before:  y[i] = exp(x[i])   where x and y are values of f16, as f32     After:  y = f16(exp(f32(x)))

This is the last pass: fusion works on f32, so an f16 model becomes the kernels that its f32 twin
becomes, and a value that stays inside a kernel is never rounded to f16.
"""

from __future__ import annotations

from dataclasses import replace

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.graph.program import ProblemNode, Program
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load
from webrt.kernel.problem import Operand, Output, Reduce, map_expressions
from webrt.passes import costs

LONG_ROW = 64
"""Elements from which on the sum over a row is kept in f32: it takes little room beside the row,
and sums of squares overflow f16."""


_WIDE = (DType.F32, DType.F64)


def store_halves(program: Program, outputs: tuple[Value, ...]) -> Program:
    """The program over f16 tensors; `outputs` are the model's own, with the ports' dtypes."""
    changed = _changed(program, outputs)
    if not changed and not any(v.dtype is DType.F16 for n in program.nodes for v in _values(n)):
        return program
    nodes = tuple(_with_halves(_renamed(node, changed)) for node in program.nodes)
    results = tuple(changed.get(v, v) for v in program.outputs)
    return replace(program, nodes=nodes, outputs=results)


def _values(node: ProblemNode) -> tuple[Value, ...]:
    return (*node.inputs, *node.outputs)


def _changed(program: Program, outputs: tuple[Value, ...]) -> dict[Value, Value]:
    """What kernels make and is stored in another dtype than its own, with what takes its place.

    The model's outputs have their ports' dtypes; inside, sums over long rows are kept in f32.
    """
    ports: dict[Value, set[DType]] = {}
    for stored, port in zip(program.outputs, outputs, strict=True):
        ports.setdefault(stored, set()).add(port.dtype)
    read = {v for node in program.nodes for v in node.inputs}
    found: dict[Value, Value] = {}
    for node in program.nodes:
        for value, output in zip(node.outputs, node.problem.outputs, strict=True):
            wanted = ports.get(value, set())
            sums = not wanted and _sums_long_rows(node, output)
            if value.dtype is DType.F16 and (sums or wanted - {DType.F16}):
                found[value] = replace(value, dtype=DType.F32)
            elif value.dtype in _WIDE and wanted == {DType.F16} and value not in read:
                found[value] = replace(value, dtype=DType.F16)
    return found


def _sums_long_rows(node: ProblemNode, output: Output) -> bool:
    problem = node.problem
    return (
        isinstance(problem, Reduce)
        and not output.each
        and any(p.combine in ("sum", "prod") for p in problem.passes)
        and costs.typical(dims.product(problem.reduced)) >= LONG_ROW
    )


def _renamed(node: ProblemNode, changed: dict[Value, Value]) -> ProblemNode:
    inputs, outputs = (tuple(changed.get(v, v) for v in vs) for vs in (node.inputs, node.outputs))
    return replace(node, inputs=inputs, outputs=outputs)


def _with_halves(node: ProblemNode) -> ProblemNode:
    """The node with its problem loading and storing in the dtypes of its values."""
    if all(v.dtype is not DType.F16 for v in _values(node)):
        return node
    loaded = [v.dtype for v in node.inputs]

    def narrow(expr: Expr) -> Expr | None:
        if not isinstance(expr, Load) or loaded[_position(expr)] is not DType.F16:
            return None
        return ex.cast(replace(expr, dtype=DType.F16), DType.F32)

    problem = map_expressions(node.problem, lambda e: ex.rewrite(e, narrow))
    operands = tuple(_operand(o, v) for o, v in zip(problem.operands, node.inputs, strict=True))
    stored = tuple(_output(o, v) for o, v in zip(problem.outputs, node.outputs, strict=True))
    return replace(node, problem=replace(problem, operands=operands, outputs=stored))


def _position(load: Load) -> int:
    assert isinstance(load.memory, int), load
    return load.memory


def _operand(operand: Operand, value: Value) -> Operand:
    return replace(operand, dtype=DType.F16) if value.dtype is DType.F16 else operand


def _output(output: Output, value: Value) -> Output:
    if value.dtype is not DType.F16:
        return output
    return replace(output, dtype=DType.F16, expr=ex.cast(output.expr, DType.F16))

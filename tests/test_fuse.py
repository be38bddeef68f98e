"""Fusion on hand-made programs: what becomes of them, and that they compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from unittest import mock

import numpy as np

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.graph.program import ProblemNode, Program
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load, Ref
from webrt.kernel.problem import (
    Attention,
    Contract,
    Map,
    Operand,
    Output,
    Pass,
    Problem,
    Reduce,
)
from webrt.kernel.text import print_problem
from webrt.passes import costs, fuse_inline, fuse_layout
from webrt.passes.algebra import tidy
from webrt.passes.evaluate import evaluate_plan, evaluate_program
from webrt.passes.fuse import fuse
from webrt.passes.pipeline import finish
from webrt.passes.workbench import Workbench
from webrt.plan.plan import Home, ModelSymbol

S = symbol("s0")
I0, I1, I2 = symbol("i0"), symbol("i1"), symbol("i2")
ACC = Ref("acc", DType.F32)


def load(position: int, offset: Dim, dtype: DType = DType.F32) -> Expr:
    return Load(position, offset, dtype)


@dataclass
class Builder:
    """Builds a program over the symbol s0, one problem a call."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    inputs: list[Value] = field(default_factory=list)
    nodes: list[ProblemNode] = field(default_factory=list)

    def input(self, name: str, *shape: Dim, dtype: DType = DType.F32) -> Value:
        value = Value(name, dtype, shape)
        self.inputs.append(value)
        return value

    def weight(self, *shape: int) -> Value:
        data = self.rng.standard_normal(shape).astype(np.float32)
        return Value(f"w{len(self.nodes)}", DType.F32, shape, data)

    def _operands(self, inputs: tuple[Value, ...]) -> tuple[Operand, ...]:
        return tuple(
            Operand(
                v.dtype.storage if v.dtype is not DType.BOOL else v.dtype,
                dims.product(v.shape),
                v.data is not None,
            )
            for v in inputs
        )

    def _add(self, problem: Problem, inputs: tuple[Value, ...], *shape: Dim) -> Value:
        made = Value(f"t{len(self.nodes)}", problem.outputs[0].dtype, shape)
        self.nodes.append(ProblemNode(problem, inputs, (made,), f"node{len(self.nodes)}"))
        return made

    def map(self, shape: tuple[Dim, ...], expr: Expr, *inputs: Value) -> Value:
        offset = sum(
            (symbol(f"i{j}") * dims.product(shape[j + 1 :]) for j in range(len(shape))), start=0
        )
        output = Output(expr.dtype, dims.product(shape), offset, expr)
        return self._add(Map(shape, self._operands(inputs), (output,)), inputs, *shape)

    def view(self, value: Value, *shape: Dim) -> Value:
        size = dims.product(shape)
        output = Output(value.dtype, size, I0, load(0, I0, value.dtype))
        return self._add(Map((size,), self._operands((value,)), (output,)), (value,), *shape)

    def linear(self, x: Value, rows: Dim, k: int, n: int) -> Value:
        m_, k_, n_ = symbol("m"), symbol("k"), symbol("n")
        inputs = (x, self.weight(k, n))
        output = Output(DType.F32, rows * n, m_ * n + n_, ACC)
        problem = Contract(
            (), rows, n, k, self._operands(inputs),
            load(0, m_ * k + k_), load(1, k_ * n + n_), (output,),
        )  # fmt: skip
        return self._add(problem, inputs, rows, n)

    def sum(self, x: Value, rows: Dim, columns: Dim) -> Value:
        output = Output(DType.F32, rows, I0, Ref("p0", DType.F32))
        passes = (Pass("sum", load(0, I0 * columns + symbol("r0"))),)
        problem = Reduce((rows,), (columns,), self._operands((x,)), passes, (output,))
        return self._add(problem, (x,), rows)

    def rms_norm(self, x: Value, rows: Dim, columns: int) -> Value:
        at = I0 * columns + symbol("r0")
        x_at = load(0, at)
        mean = ex.call("mul", Ref("p0", DType.F32), ex.f32(1 / columns))
        scale = ex.call("inverse_sqrt", ex.call("add", mean, ex.f32(1e-6)))
        output = Output(DType.F32, rows * columns, at, ex.call("mul", x_at, scale), each=True)
        problem = Reduce(
            (rows,), (columns,), self._operands((x,)),
            (Pass("sum", ex.call("mul", x_at, x_at)),), (output,),
        )  # fmt: skip
        return self._add(problem, (x,), rows, columns)

    def attention(self, q: Value, k: Value, v: Value, batch: tuple[Dim, ...], d: int) -> Value:
        row = (symbol("b0") * batch[1] + symbol("b1")) * S
        q_, t, d_, e = (symbol(name) for name in "qtde")
        output = Output(DType.F32, dims.product(batch) * S * d, (row + q_) * d + e, ACC)
        score = ex.call("mul", Ref("score", DType.F32), ex.f32(0.5))
        problem = Attention(
            batch, S, S, d, d, self._operands((q, k, v)),
            load(0, (row + q_) * d + d_), load(1, (row + t) * d + d_), load(2, (row + t) * d + e),
            score, (output,),
        )  # fmt: skip
        return self._add(problem, (q, k, v), *batch, S, d)

    def program(self, *outputs: Value) -> Program:
        symbols = (ModelSymbol("s0", "sequence"),)
        names = tuple(f"y{j}" for j in range(len(outputs)))
        return Program(symbols, tuple(self.inputs), outputs, names, tuple(self.nodes), {})


def same_results(program: Program, s0: int = 5) -> Program:
    """Fuse; hold the fused program and its plan to the program's results; give the fused one."""
    rng = np.random.default_rng(1)
    feeds = {
        v.name: rng.standard_normal([dims.evaluate(d, {"s0": s0}) for d in v.shape]).astype(
            np.float32
        )
        for v in program.inputs
    }
    fused = fuse(program)
    expected = evaluate_program(program, feeds)
    found = evaluate_plan(finish(program), feeds)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)
    return fused


def add(x: Expr, y: Expr) -> Expr:
    return ex.call("add", x, y)


def test_bias_gelu_and_residual_become_the_epilogue_of_a_contract() -> None:
    b = Builder()
    x = b.input("x", 2, S, 8)
    y = b.view(b.linear(x, 2 * S, 8, 16), 2, S, 16)
    shape = (2, S, 16)
    at = (I0 * S + I1) * 16 + I2
    y = b.map(shape, add(load(0, at), load(1, I2)), y, b.weight(16))
    half = b.map(shape, ex.call("mul", load(0, at), ex.f32(0.7071)), y)
    erf = b.map(shape, ex.call("erf", load(0, at)), half)
    one = b.map(shape, add(load(0, at), ex.f32(1)), erf)
    gelu = b.map(shape, ex.call("mul", load(0, at), load(1, at)), y, one)
    z = b.view(b.linear(gelu, 2 * S, 16, 8), 2, S, 8)
    at8 = (I0 * S + I1) * 8 + I2
    z = b.map((2, S, 8), add(load(0, at8), load(1, at8)), z, x)
    fused = same_results(b.program(z))
    assert [type(n.problem) for n in fused.nodes] == [Contract, Contract]
    first = fused.nodes[0].problem
    assert str(first.outputs[0].offset) == "16*m + n"


def test_attention_stores_what_the_projection_reads() -> None:
    b = Builder()
    x = b.input("x", 2, S, 8)
    heads = []
    for _ in range(3):
        y = b.view(b.linear(x, 2 * S, 8, 8), 2, S, 2, 4)
        i3 = symbol("i3")
        heads.append(b.map((2, 2, S, 4), load(0, ((I0 * S + I2) * 2 + I1) * 4 + i3), y))
    out = b.attention(heads[0], heads[1], heads[2], (2, 2), 4)
    i3 = symbol("i3")
    back = b.view(b.map((2, S, 2, 4), load(0, ((I0 * 2 + I2) * S + I1) * 4 + i3), out), 2, S, 8)
    fused = same_results(b.program(b.linear(back, 2 * S, 8, 8)))
    assert [type(n.problem) for n in fused.nodes] == [
        Contract,
        Contract,
        Contract,
        Attention,
        Contract,
    ]
    attention, last = fused.nodes[3].problem, fused.nodes[4].problem
    assert isinstance(attention, Attention)
    assert isinstance(last, Contract)
    assert str(attention.query.offset) == "8*b0*s0 + 4*b1 + d + 8*q"
    assert str(last.a.offset) == "k + 8*m"
    assert len({n.problem for n in fused.nodes[:3]}) == 1


def test_a_sum_that_is_needed_again_is_stored_by_the_norm() -> None:
    b = Builder()
    x, y = b.input("x", S, 8), b.input("y", S, 8)
    at = I0 * 8 + I1
    both = b.map((S, 8), add(load(0, at), load(1, at)), x, y)
    normed = b.rms_norm(both, S, 8)
    z = b.linear(normed, S, 8, 8)
    out = b.map((S, 8), add(load(0, at), load(1, at)), z, both)
    fused = same_results(b.program(out))
    assert [type(n.problem) for n in fused.nodes] == [Reduce, Contract]
    assert len(fused.nodes[0].outputs) == 2


def test_pooling_becomes_one_reduction() -> None:
    b = Builder()
    x, mask = b.input("x", 2, S, 8), b.input("mask", 2, S)
    r0 = symbol("r0")
    masked = b.map(
        (2, S, 8), ex.call("mul", load(0, (I0 * S + I1) * 8 + I2), load(1, I0 * S + I1)), x, mask
    )
    wide = b.map((2, S, 8), load(0, I0 * S + I1), mask)
    sums = []
    for value in (masked, wide):
        reduced = Reduce(
            (2, 8), (S,), b._operands((value,)),
            (Pass("sum", load(0, (I0 * S + r0) * 8 + I1)),),
            (Output(DType.F32, 16, I0 * 8 + I1, Ref("p0", DType.F32)),),
        )  # fmt: skip
        sums.append(b._add(reduced, (value,), 2, 8))
    at = I0 * 8 + I1
    mean = b.map(
        (2, 8), ex.call("div", load(0, at), ex.call("max", load(1, at), ex.f32(1e-9))), *sums
    )
    fused = same_results(b.program(mean))
    assert [type(n.problem) for n in fused.nodes] == [Reduce]


def test_division_by_a_row_sum_is_stored_by_the_reduction() -> None:
    b = Builder()
    x = b.input("x", S, 8)
    total = b.sum(x, S, 8)
    y = b.map((S, 8), ex.call("div", load(0, I0 * 8 + I1), load(1, I0)), x, total)
    fused = same_results(b.program(y))
    assert [type(n.problem) for n in fused.nodes] == [Reduce]
    assert fused.nodes[0].problem.outputs[0].each


def test_outputs_that_are_inputs_and_duplicates_need_no_dispatch() -> None:
    b = Builder()
    x = b.input("x", S, 8)
    y = b.map((S, 8), ex.call("exp", load(0, I0 * 8 + I1)), x)
    built = finish(b.program(b.view(x, 8, S), y, b.view(y, 8 * S)))
    assert len(built.plan.steps) == 1
    assert [p.tensor for p in built.plan.outputs] == [0, 1, 1]
    assert [t.home for t in built.plan.tensors] == [Home.INPUT, Home.OUTPUT]
    assert [str(p.shape) for p in built.plan.outputs] == [
        "(8, <s0>)", "(<s0>, 8)", "(<8*s0>,)"
    ]  # fmt: skip


def test_no_kernel_binds_more_than_eight_buffers() -> None:
    b = Builder()
    inputs = [b.input(f"x{j}", S) for j in range(12)]
    total = inputs[0]
    for value in inputs[1:]:
        total = b.map((S,), add(load(0, I0), load(1, I0)), total, value)
    fused = same_results(b.program(total))
    assert len(fused.nodes) == 2
    for node in fused.nodes:
        assert len(node.inputs) + len(node.outputs) <= 8


def test_a_reader_that_would_take_in_too_much_is_left_alone() -> None:
    b = Builder()
    x = b.input("x", 1 << 16)
    long: Expr = load(0, I0)
    for j in range(40):
        long = ex.call("add", ex.call("mul", long, ex.f32(1 + j)), load(0, (1 << 16) - 1 - I0))
    y = b.map((1 << 16,), long, x)
    wide = [load(0, j + I0) for j in range(128)]
    while len(wide) > 1:
        wide = [ex.call("max", *pair) for pair in zip(wide[::2], wide[1::2], strict=True)]
    z = b.map((8,), wide[0], y)
    seen: list[int] = []

    def tidied(expr: Expr, space: Mapping[str, Dim]) -> Expr:
        seen.append(costs.size(expr))
        return tidy(expr, space)

    with mock.patch("webrt.passes.fuse_inline.tidy", tidied):
        fused = fuse(b.program(z))
    assert len(fused.nodes) == 2
    assert max(seen) < fuse_inline.MAX_TAKEN  # 20,735 where all was made, then refused


def test_moves_whose_indices_would_double_with_each_step_are_not_all_one() -> None:
    """As attention with relative positions shifts them; 2¹² times the first index at the end."""
    b = Builder()
    x, wide = b.input("x", S, S + 2), S + 3
    place = I0 * (S + 2) + I1
    shifted = dims.modulo(place, wide) * S + dims.floor_div(place, wide)
    value = x
    for _ in range(12):
        value = b.map((S, S + 2), load(0, dims.dim_min(shifted, S * (S + 2) - 1)), value)
    fused = same_results(b.program(value))
    assert 2 <= len(fused.nodes) <= 6
    assert max(len(print_problem(node.problem)) for node in fused.nodes) < 1 << 16


def test_each_layout_is_scored_once_however_often_a_reader_loads() -> None:
    b = Builder()
    x = b.input("x", 4, 6)
    y = b.map((4, 6), ex.call("exp", load(0, I0 * 6 + I1)), x)
    body: Expr = load(0, I1 * 6 + I0)
    for j in range(60):
        body = ex.call("max", ex.call("mul", body, ex.f32(j)), load(0, I1 * 6 + I0))
    z = b.map((6, 4), body, y)
    w = b.map((4, 6), ex.call("neg", load(0, I0 * 6 + I1)), y)
    scored: list[object] = []
    changed = fuse_layout._Change.__call__

    def counted(change: fuse_layout._Change, offset: Dim, space: dict[str, Dim]) -> Dim:
        scored.append(offset)
        return changed(change, offset, space)

    bench = Workbench(b.program(z, w))
    with mock.patch.object(fuse_layout._Change, "__call__", counted):
        fuse_layout.store_as_read(bench)
    assert 0 < len(scored) < 100  # 3,800 where every load was scored under every load's layout

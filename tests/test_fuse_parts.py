"""The tools of fusion one by one: layouts and their inverses, algebra, axes, split constants."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.graph.program import ProblemNode, Program
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Load
from webrt.kernel.problem import Contract, Map, Operand, Output, Pass, Reduce
from webrt.pack.format import MAX_CONSTANT_BYTES
from webrt.passes.algebra import fold, tidy
from webrt.passes.evaluate import evaluate_program
from webrt.passes.fuse_axes import collapse
from webrt.passes.fuse_merge import settle_reductions
from webrt.passes.layout import flat, invert
from webrt.passes.split import split_constants, split_products
from webrt.passes.workbench import Workbench

S = symbol("s0")
I0, I1, R0 = symbol("i0"), symbol("i1"), symbol("r0")


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Dim, dict[str, Dim]]:
    """A permuted mixed-radix offset; each index is one or two digits, extents may be s0."""
    factors: list[tuple[str, Dim, Dim]] = []  # digit of an index: name, value, extent
    space: dict[str, Dim] = {}
    for j in range(draw(st.integers(1, 3))):
        name, outer = f"i{j}", draw(st.sampled_from([1, 2, 3, S]))
        if draw(st.booleans()):
            inner = draw(st.integers(2, 4))
            space[name] = outer * inner
            factors.append((name, symbol(name) // inner, outer))
            factors.append((name, symbol(name) % inner, inner))
        else:
            space[name] = outer
            factors.append((name, symbol(name), outer))
    offset: Dim = 0
    for _, value, extent in draw(st.permutations(factors)):
        offset = offset * extent + value
    return offset, space


@given(layouts(), st.integers(1, 4))
@settings(max_examples=200)
def test_an_inverse_finds_every_point(layout: tuple[Dim, dict[str, Dim]], s0: int) -> None:
    offset, space = layout
    offset = dims.simplify(offset, space)
    inverse = invert(offset, space)
    assert inverse is not None
    point = inverse.at(symbol("x"), {"x": inverse.size})
    extents = {n: dims.evaluate(e, {"s0": s0}) for n, e in space.items()}
    seen = set()
    for values in itertools.product(*(range(e) for e in extents.values())):
        at = dict(zip(extents, values, strict=True)) | {"s0": s0}
        x = dims.evaluate(offset, at)
        seen.add(x)
        for name in space:
            assert dims.evaluate(point[name], {"x": x, "s0": s0}) == at[name]
    assert seen == set(range(dims.evaluate(inverse.size, {"s0": s0})))


@pytest.mark.parametrize(
    "offset", [I0 * 4, I0 + I1, I0 * 4 + I1 + 1, I0 * 3 + I1, (I0 + I1) // 2, I1 * 3 + I1]
)
def test_what_is_no_bijection_has_no_inverse(offset: Dim) -> None:
    assert invert(offset, {"i0": 3, "i1": 4}) is None


def test_a_transposed_offset_through_two_views_is_simple_again() -> None:
    """[b, h, q, e] read as rows b·q of columns h·e, stored in that order."""
    space: dict[str, Dim] = {"m": S * 2, "k": 12}
    m, k = symbol("m"), symbol("k")
    read = ((m // S) * 3 + k // 4) * S * 4 + (m % S) * 4 + k % 4
    inverse = invert(read, space)
    assert inverse is not None
    b, h, q, e = (symbol(n) for n in "bhqe")
    over: dict[str, Dim] = {"b": 2, "h": 3, "q": S, "e": 4}
    point = inverse.at(flat(over), over)
    assert point == {"m": b * S + q, "k": h * 4 + e}


BOOLEAN = ex.call("lt", Load("x", I0, DType.F32), ex.f32(0))
X = Load("x", I0, DType.F32)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (ex.call("mul", X, ex.f32(1)), X),
        (ex.call("add", ex.f32(0), X), X),
        (ex.call("max", X, ex.f32(float("-inf"))), X),
        (ex.call("add", ex.f32(2), ex.f32(3)), ex.f32(5)),
        (ex.cast(ex.cast(BOOLEAN, DType.I32), DType.F32), ex.cast(BOOLEAN, DType.F32)),
        (ex.call("ne", ex.cast(BOOLEAN, DType.I32), ex.i32(0)), BOOLEAN),
        (ex.call("and", BOOLEAN, ex.call("ge", ex.as_index(I0), ex.i32(0))), BOOLEAN),
        (ex.call("lt", ex.as_index(I0), ex.as_index(S)), ex.boolean(True)),
        (ex.call("gt", ex.as_index(I0), ex.as_index(S - 1)), ex.boolean(False)),
        (ex.call("eq", ex.as_index(I0 + 1), ex.as_index(I0 + 1)), ex.boolean(True)),
        (ex.call("eq", ex.as_index(I0), ex.as_index(S)), ex.boolean(False)),
        (ex.call("min", ex.as_index(I0), ex.as_index(S - 1)), ex.as_index(I0)),
        (ex.call("max", ex.as_index(I0), ex.i32(0)), ex.as_index(I0)),
    ],
)
def test_needless_operations_go(expr: Expr, expected: Expr) -> None:
    assert fold(expr, {"i0": S}) == expected


@pytest.mark.parametrize(
    "expr",
    [
        ex.call("lt", ex.as_index(I0), ex.i32(5)),
        ex.call("eq", ex.as_index(I0), ex.as_index(I1)),
        ex.call("min", ex.as_index(I0), ex.i32(3)),
        ex.call("mul", X, ex.f32(0)),
        ex.call("div", ex.f32(1), X),
    ],
)
def test_what_depends_on_values_stays(expr: Expr) -> None:
    assert fold(expr, {"i0": S, "i1": S}) == expr


def test_a_count_that_begins_apart_is_a_count() -> None:
    later = ex.as_index(dims.dim_max(I0 - 1, 0))
    apart = ex.select(ex.call("lt", ex.as_index(I0), ex.i32(1)), ex.i32(-1), later)
    space: dict[str, Dim] = {"i0": S}
    assert tidy(apart, space) == ex.as_index(I0 - 1)


def test_each_part_of_a_concatenation_begins_where_the_one_before_ends() -> None:
    def choice(below: int, first: Expr, rest: Expr) -> Expr:
        return ex.select(ex.call("lt", ex.as_index(I0), ex.i32(below)), first, rest)

    a, b, c = (Load(j, I0 - j * 4, DType.F32) for j in range(3))
    held_b = Load(1, dims.dim_max(I0 - 4, 0), DType.F32)
    held_c = Load(2, dims.dim_max(I0, 6) - 8, DType.F32)
    parts = choice(4, a, choice(8, held_b, held_c))
    space: dict[str, Dim] = {"i0": 12}
    assert tidy(parts, space) == choice(4, a, choice(8, b, c))


def test_axes_walked_together_are_one() -> None:
    offset = (I0 * S + I1) * 8 + symbol("i2")
    operand = Operand(DType.F32, S * 16)
    expr = ex.call("add", Load(0, offset, DType.F32), Load(1, symbol("i2"), DType.F32))
    problem = Map(
        (2, S, 8), (operand, Operand(DType.F32, 8)), (Output(DType.F32, S * 16, offset, expr),)
    )
    merged = collapse(problem)
    assert isinstance(merged, Map)
    assert merged.axes == (S * 2, 8)
    assert str(merged.outputs[0].offset) == "8*i0 + i1"


def program(nodes: list[ProblemNode], inputs: list[Value], *outputs: Value) -> Program:
    names = tuple(f"y{j}" for j in range(len(outputs)))
    return Program((), tuple(inputs), outputs, names, tuple(nodes), {})


def test_a_large_constant_is_split_at_whole_rows() -> None:
    table = np.arange(20 * 4, dtype=np.float32).reshape(20, 4)
    weight = Value("w", DType.F32, (20, 4), table)
    index, out = Value("x", DType.I32, (6,)), Value("y", DType.F32, (6, 4))
    at = dims.atom_dim(ex.Value(Load(0, I0, DType.I32))) * 4 + I1
    problem = Map(
        (6, 4), (Operand(DType.I32, 6), Operand(DType.F32, 80, True)),
        (Output(DType.F32, 24, I0 * 4 + I1, Load(1, at, DType.F32)),),
    )  # fmt: skip
    whole = program([ProblemNode(problem, (index, weight), (out,), "gather")], [index], out)
    bench = Workbench(whole)
    split_constants(bench, limit=8 * 4 * 4)
    closed = bench.close()
    parts = [v for v in closed.nodes[0].inputs if v.data is not None]
    assert [v.shape for v in parts] == [(32,), (32,), (16,)]
    feeds = {"x": np.array([0, 7, 8, 15, 16, 19], np.int32)}
    found = evaluate_program(closed, feeds)["y0"]
    np.testing.assert_array_equal(found, table[feeds["x"]])


@pytest.mark.parametrize("rows_first", [True, False])
def test_a_product_of_large_weights_is_cut(rows_first: bool) -> None:
    random = np.random.default_rng(0)
    table = random.standard_normal((20, 4) if rows_first else (4, 20)).astype(np.float32)
    weight = Value("w", DType.F32, table.shape, table)
    bias = Value("c", DType.F32, (20,), random.standard_normal(20).astype(np.float32))
    x, out = Value("x", DType.F32, (S, 4)), Value("y", DType.F32, (20, S))
    m, n, k = (symbol(name) for name in "mnk")
    at = n * 4 + k if rows_first else k * 20 + n
    total = ex.call("add", ex.Ref("acc", DType.F32), Load(2, n, DType.F32))
    problem = Contract(
        (), S, 20, 4, tuple(Operand(DType.F32, v.size, True) for v in (table, table, table)),
        Load(0, m * 4 + k, DType.F32), Load(1, at, DType.F32),
        (Output(DType.F32, S * 20, n * S + m, total),),
    )  # fmt: skip
    node = ProblemNode(problem, (x, weight, bias), (out,), "product")
    nodes, results = [node], [out]
    if rows_first:  # an embedding reads the same parts
        found = Value("e", DType.F32, (4,))
        row = Map((4,), (Operand(DType.F32, 80, True),),
                  (Output(DType.F32, 4, I0, Load(0, I0 + 9 * 4, DType.F32)),))  # fmt: skip
        nodes.append(ProblemNode(row, (weight,), (found,), "row"))
        results.append(found)
    bench = Workbench(program(nodes, [x], *results))
    assert bench.bindings(bench.nodes[0].problem) == 4
    assert split_products(bench, limit=8 * 4 * 4)
    assert not split_products(bench, limit=8 * 4 * 4)
    split_constants(bench, limit=8 * 4 * 4)
    closed = bench.close()
    assert [type(n.problem) for n in closed.nodes].count(Contract) == 3
    assert {v.name for n in closed.nodes for v in n.inputs if v.data is not None} == {
        "c", *(("w[0]", "w[1]", "w[2]") if rows_first else ("w[:, 0]", "w[:, 1]", "w[:, 2]"))
    }  # fmt: skip
    feeds = {"x": random.standard_normal((5, 4)).astype(np.float32)}
    answers = evaluate_program(closed, feeds)
    matrix = table.T if rows_first else table
    np.testing.assert_allclose(answers["y0"].T, feeds["x"] @ matrix + bias.data, rtol=1e-5)
    if rows_first:
        np.testing.assert_array_equal(answers["y1"], table[9])


def test_a_large_constant_binds_once_for_each_part() -> None:
    rows = MAX_CONSTANT_BYTES * 5 // 2 // 16
    weight = Value("w", DType.F32, (rows, 4), np.broadcast_to(np.float32(0), (rows, 4)))
    index, out = Value("x", DType.I32, (6,)), Value("y", DType.F32, (6,))
    at = dims.atom_dim(ex.Value(Load(0, I0, DType.I32))) * 4
    problem = Map(
        (6,), (Operand(DType.I32, 6), Operand(DType.F32, rows * 4, True)),
        (Output(DType.F32, 6, I0, Load(1, at, DType.F32)),),
    )  # fmt: skip
    bench = Workbench(
        program([ProblemNode(problem, (index, weight), (out,), "gather")], [index], out)
    )
    (node,) = bench.nodes.values()
    before = bench.bindings(node.problem)
    split_constants(bench)
    (node,) = bench.nodes.values()
    assert before == bench.bindings(node.problem) == 1 + 3 + 1


def test_a_sum_of_zeros_is_no_reduction() -> None:
    out = Value("y", DType.I32, (4,))
    problem = Reduce(
        (4,), (S,), (), (Pass("sum", Const(0, DType.I32)),),
        (Output(DType.I32, 4, I0, ex.call("add", ex.Ref("p0", DType.I32), ex.as_index(I0))),),
    )  # fmt: skip
    bench = Workbench(program([ProblemNode(problem, (), (out,), "sum")], [], out))
    assert settle_reductions(bench)
    closed = bench.close().nodes[0].problem
    assert closed == Map((4,), (), (Output(DType.I32, 4, I0, ex.as_index(I0)),))

"""Hypothesis strategies: dims, well-typed expressions, problems that run, and kernels to print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel import loop
from webrt.kernel.expr import Const, Expr, Load, Ref, as_index, call
from webrt.kernel.operations import ARITHMETIC, BITWISE, UNARY_FLOAT
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

FLOAT_OPS = ["add", "sub", "mul", "min", "max"]
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]


# Dims


@dataclass(frozen=True)
class Tree:
    """Integer arithmetic as it was asked for, before any normal form: what dims must agree with."""

    op: str
    parts: tuple[Tree, ...] = ()
    leaf: int | str = 0

    def dim(self) -> Dim:
        if self.op == "leaf":
            return self.leaf if isinstance(self.leaf, int) else symbol(self.leaf)
        a, b = (p.dim() for p in self.parts)
        match self.op:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "//":
                return dims.floor_div(a, b)
            case "%":
                return dims.modulo(a, b)
            case "min":
                return dims.dim_min(a, b)
        return dims.dim_max(a, b)

    def value(self, bindings: dict[str, int]) -> int:
        if self.op == "leaf":
            return self.leaf if isinstance(self.leaf, int) else bindings[self.leaf]
        a, b = (p.value(bindings) for p in self.parts)
        match self.op:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "//":
                return a // b
            case "%":
                return a % b
            case "min":
                return min(a, b)
        return max(a, b)


def _leaf(value: int | str) -> Tree:
    return Tree("leaf", (), value)


def trees(names: Sequence[str], leaves_at_most: int = 8) -> st.SearchStrategy[Tree]:
    """Arithmetic over `names`; divisors are positive integers or products of model symbols."""
    leaves = st.one_of(st.integers(-20, 20), st.sampled_from(list(names))).map(_leaf)
    model = [_leaf(n) for n in names if n.startswith("s")]
    divisors = st.integers(1, 16).map(_leaf)
    if model:
        scaled = st.tuples(st.sampled_from(model), divisors).map(lambda p: Tree("*", p))
        divisors = st.one_of(divisors, st.sampled_from(model), scaled)

    def extend(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        pairs = st.tuples(inner, inner)
        return st.one_of(
            st.builds(Tree, st.sampled_from(["+", "-", "*", "min", "max"]), pairs),
            st.builds(Tree, st.sampled_from(["//", "%"]), st.tuples(inner, divisors)),
        )

    return st.recursive(leaves, extend, max_leaves=leaves_at_most)


# Expressions


def constants(dtype: DType) -> st.SearchStrategy[Const]:
    match dtype:
        case DType.BOOL:
            return st.booleans().map(ex.boolean)
        case DType.I32:
            return st.integers(-(1 << 31), (1 << 31) - 1).map(ex.i32)
        case DType.U32:
            return st.integers(0, (1 << 32) - 1).map(lambda v: Const(v, DType.U32))
    width = 32 if dtype is DType.F32 else 16
    return st.floats(width=width, allow_nan=False).map(lambda v: Const(v, dtype))


@st.composite
def exprs(
    draw: st.DrawFn, dtype: DType, names: Sequence[str], lanes: int = 1, depth: int = 3
) -> Expr:
    """A well-typed expression that needn't run: any operation, any load, any reference."""
    flat = trees(names, 4).map(Tree.dim)
    choice = draw(st.integers(0, 3 if depth else 2))
    if choice == 0 and lanes == 1:
        return draw(constants(dtype))
    if choice == 1:
        if dtype is DType.I32 and lanes == 1 and draw(st.booleans()):
            return as_index(draw(flat))
        return Load(draw(st.integers(0, 3)), draw(flat), dtype, lanes)
    if choice <= 2:
        return Ref(draw(st.sampled_from(["p0", "acc", "row_1"])), dtype, lanes)

    def part(of: DType, wide: int = lanes) -> Expr:
        return draw(exprs(of, names, wide, depth - 1))

    other = draw(st.sampled_from([DType.F32, DType.F16, DType.I32, DType.U32]))
    kinds = ["select", "cast"]
    if lanes == 4:
        kinds += ["splat", "vec4"]
    elif dtype is not DType.BOOL:
        kinds += ["lane", "sum4"]
    kinds += ["compare", "logic", "not"] if dtype is DType.BOOL else ["binary", "unary"]
    match draw(st.sampled_from(kinds)):
        case "select":
            return ex.Call("select", (part(DType.BOOL), part(dtype), part(dtype)), dtype, lanes)
        case "cast":
            return ex.Call("cast", (part(other),), dtype, lanes)
        case "splat":
            return ex.Call("splat", (part(dtype, 1),), dtype, 4)
        case "vec4":
            return ex.Call("vec4", tuple(part(dtype, 1) for _ in range(4)), dtype, 4)
        case "lane":
            return ex.Call(f"lane{draw(st.integers(0, 3))}", (part(dtype, 4),), dtype)
        case "sum4":
            return ex.Call("sum4", (part(dtype, 4),), dtype)
        case "compare":
            op = draw(st.sampled_from(COMPARISONS))
            return ex.Call(op, (part(other), part(other)), DType.BOOL, lanes)
        case "logic":
            op = draw(st.sampled_from(["and", "or", "xor"]))
            return ex.Call(op, (part(DType.BOOL), part(DType.BOOL)), DType.BOOL, lanes)
        case "not":
            return ex.Call("not", (part(DType.BOOL),), DType.BOOL, lanes)
        case "binary":
            ops = ARITHMETIC if dtype.is_float else ARITHMETIC | BITWISE
            op = draw(st.sampled_from(sorted(ops)))
            return ex.Call(op, (part(dtype), part(dtype)), dtype, lanes)
    ops = sorted(UNARY_FLOAT if dtype.is_float else ["neg", "abs", "sign"])
    return ex.Call(draw(st.sampled_from(ops)), (part(dtype),), dtype, lanes)


# Kernels, to be printed


NAMES = ("wg0", "lane0", "s0", "row", "e_1")


@st.composite
def bodies(draw: st.DrawFn, depth: int = 2) -> tuple[loop.Stmt, ...]:
    return tuple(draw(statements(depth)) for _ in range(draw(st.integers(0, 3))))


@st.composite
def statements(draw: st.DrawFn, depth: int) -> loop.Stmt:
    dtype = draw(st.sampled_from([DType.F32, DType.I32]))
    lanes = draw(st.sampled_from([1, 4]))
    value = exprs(dtype, NAMES, lanes, 2)
    flat = trees(NAMES, 4).map(Tree.dim)
    kinds = ["let", "var", "assign", "store", "barrier", *(["for", "if"] if depth else [])]
    name = draw(st.sampled_from(["row", "sum_2", "barrier", "let"]))
    match draw(st.sampled_from(kinds)):
        case "let":
            return loop.Let(name, draw(value))
        case "var":
            return loop.Var(name, draw(value))
        case "assign":
            return loop.Assign(name, draw(value))
        case "store":
            memory = draw(st.sampled_from([0, 3, "tile"]))
            return loop.Store(memory, draw(flat), draw(value))
        case "for":
            step = draw(st.integers(1, 64))
            return loop.For("e", draw(flat), draw(flat), step, draw(bodies(depth - 1)))
        case "if":
            condition = draw(exprs(DType.BOOL, NAMES, 1, 1))
            return loop.If(condition, draw(bodies(depth - 1)), draw(bodies(depth - 1)))
    return loop.Barrier()


@st.composite
def kernels(draw: st.DrawFn) -> loop.Kernel:
    """A kernel that prints; it wouldn't run."""
    types = st.sampled_from([DType.F32, DType.I32, DType.U32])
    lanes = st.sampled_from([1, 4])
    count = draw(st.integers(0, 3))
    bindings = tuple(
        loop.Binding(f"x{j}", draw(types), draw(lanes), draw(st.booleans())) for j in range(count)
    )
    shared = tuple(
        loop.Shared(f"tile{j}", draw(types), draw(lanes), draw(st.integers(1, 999)))
        for j in range(draw(st.integers(0, 2)))
    )
    size = st.integers(1, 64)
    flat = trees(["s0", "s1"]).map(Tree.dim)
    symbols = draw(st.sampled_from([(), ("s0",), ("s0", "s11")]))
    workgroup = (draw(size), draw(size), draw(size))
    grid = (draw(flat), draw(flat), draw(flat))
    return loop.Kernel("main", bindings, symbols, shared, workgroup, grid, draw(bodies()))


# Problems that run


SYMBOLS = {"s0": 3, "s1": 8}
"""The values under which random problems are run."""


def sizes() -> st.SearchStrategy[Dim]:
    return st.sampled_from([1, 2, 3, 4, 5, 8, 12, symbol("s0"), symbol("s1"), symbol("s0") + 1])


def _row_major(draw: st.DrawFn, space: dict[str, Dim], subset: bool) -> tuple[Dim, Dim]:
    """A flat offset over the indices in some order, and the size; a bijection unless a subset."""
    order = draw(st.permutations(list(space)))
    if draw(st.integers(0, 2)):  # mostly in the natural order, as real layouts are
        order = list(space)
    if subset:
        order = [name for name in order if draw(st.integers(0, 3))]
    offset: Dim = 0
    size: Dim = 1
    for name in reversed(order):
        offset = offset + symbol(name) * size
        size = size * space[name]
    return offset, size


class _Operands:
    """The operands of a problem that is being drawn."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.made: list[Operand] = []

    def load(self, dtype: DType, space: dict[str, Dim], gathers: int = 2) -> Load:
        if len(self.made) >= 5:
            for j, operand in enumerate(self.made):
                if operand.dtype is dtype and operand.size == 1:
                    return Load(j, 0, dtype)
            self.made.append(Operand(dtype, 1))
            return Load(len(self.made) - 1, 0, dtype)
        offset, size = _row_major(self.draw, space, subset=True)
        if gathers and self.draw(st.integers(0, 5)) == 0:  # rows of a table of 6
            rows = self.load(DType.I32, space, gathers - 1)
            offset, size = ex.as_dim(rows) * size + offset, size * 6
        self.made.append(Operand(dtype, size, self.draw(st.booleans())))
        return Load(len(self.made) - 1, offset, dtype)

    def value(self, space: dict[str, Dim], refs: Sequence[Expr], depth: int = 2) -> Expr:
        """A smooth f32 expression of moderate size."""
        draw = self.draw
        choice = draw(st.integers(0, 5 if depth else 1))
        if choice == 0:
            return ex.f32(draw(st.sampled_from([0.5, -1.0, 2.0])))
        if choice == 1 or (choice == 2 and not refs):
            return self.load(DType.F32, space)
        if choice == 2:
            return draw(st.sampled_from(list(refs)))
        one = self.value(space, refs, depth - 1)
        if choice == 3:
            return call(draw(st.sampled_from(["tanh", "neg", "abs", "erf"])), one)
        other = self.value(space, refs, depth - 1)
        if choice == 4 and space:
            name = draw(st.sampled_from(list(space)))
            at = draw(st.integers(0, 5))
            condition = call("lt", as_index(symbol(name)), ex.i32(at))
            if draw(st.booleans()):
                condition = call("or", condition, self.load(DType.BOOL, space))
            return ex.select(condition, one, other)
        return call(draw(st.sampled_from(FLOAT_OPS)), one, other)

    def output(self, space: dict[str, Dim], refs: Sequence[Expr], each: bool = False) -> Output:
        offset, size = _row_major(self.draw, space, subset=False)
        value = self.value(space, refs)
        if space and self.draw(st.integers(0, 4)) == 0:
            name = self.draw(st.sampled_from(list(space)))
            value = ex.cast(as_index(symbol(name) * 3 - 4), DType.I32)
        return Output(value.dtype, size, offset, value, each)


@st.composite
def maps(draw: st.DrawFn) -> Map:
    axes = tuple(draw(st.lists(sizes(), max_size=4)))
    space = {f"i{j}": d for j, d in enumerate(axes)}
    operands = _Operands(draw)
    outputs = tuple(operands.output(space, ()) for _ in range(draw(st.integers(1, 2))))
    return Map(axes, tuple(operands.made), outputs)


@st.composite
def reduces(draw: st.DrawFn) -> Reduce:
    axes = tuple(draw(st.lists(sizes(), max_size=3)))
    reduced = tuple(draw(st.lists(sizes(), min_size=1, max_size=2)))
    rows = {f"i{j}": d for j, d in enumerate(axes)}
    space = rows | {f"r{j}": d for j, d in enumerate(reduced)}
    operands = _Operands(draw)
    passes: list[Pass] = []
    refs: list[Expr] = []
    for j in range(draw(st.integers(1, 3))):
        value = operands.value(space, refs)
        bounded = call("tanh", value)
        combine = draw(st.sampled_from(["sum", "max", "min", "prod"]))
        if draw(st.integers(0, 4)) == 0:
            last = symbol(f"r{len(reduced) - 1}")
            bounded, combine = as_index(last * 2 - 5), draw(st.sampled_from(["sum", "max", "min"]))
        passes.append(Pass(combine, bounded))
        if bounded.dtype is DType.F32:
            refs.append(Ref(f"p{j}", DType.F32))
    outputs = []
    for _ in range(draw(st.integers(1, 2))):
        each = draw(st.booleans())
        outputs.append(operands.output(space if each else rows, refs, each))
    return Reduce(axes, reduced, tuple(operands.made), tuple(passes), tuple(outputs))


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    batch = tuple(draw(st.lists(sizes(), max_size=2)))
    m, n, k = (draw(sizes()) for _ in range(3))
    outer = {f"b{j}": d for j, d in enumerate(batch)}
    operands = _Operands(draw)
    a = operands.value(outer | {"m": m, "k": k}, (), 1)
    b = operands.value(outer | {"k": k, "n": n}, (), 1)
    output = operands.output(outer | {"m": m, "n": n}, (Ref("acc", DType.F32),))
    return Contract(batch, m, n, k, tuple(operands.made), a, b, (output,))


@st.composite
def attentions(draw: st.DrawFn) -> Attention:
    batch = tuple(draw(st.lists(sizes(), max_size=2)))
    q, t, d, e = (draw(sizes()) for _ in range(4))
    outer = {f"b{j}": extent for j, extent in enumerate(batch)}
    operands = _Operands(draw)
    query = operands.value(outer | {"q": q, "d": d}, (), 1)
    key = operands.value(outer | {"t": t, "d": d}, (), 1)
    value = operands.value(outer | {"t": t, "e": e}, (), 1)
    score: Expr = call("mul", Ref("score", DType.F32), ex.f32(0.25))
    if draw(st.booleans()):
        kept = operands.load(DType.BOOL, outer | {"t": t})
        score = ex.select(kept, score, ex.f32(-3.4e38))
    output = operands.output(outer | {"q": q, "e": e}, (Ref("acc", DType.F32),))
    made = tuple(operands.made)
    return Attention(batch, q, t, d, e, made, query, key, value, score, (output,))


def problems() -> st.SearchStrategy[Problem]:
    return st.one_of(maps(), reduces(), contracts(), attentions())


def random_operands(
    problem: Problem, bindings: dict[str, int], seed: int = 0, rows: int = 6
) -> list[np.ndarray]:
    """Operands for a problem: floats around 0, integers below `rows`, mostly true bools."""
    generator = np.random.default_rng(seed)
    arrays: list[np.ndarray] = []
    for operand in problem.operands:
        size = dims.evaluate(operand.size, bindings)
        match operand.dtype:
            case DType.F32:
                arrays.append(generator.standard_normal(size).astype(np.float32))
            case DType.BOOL:
                arrays.append(generator.random(size) < 0.7)
            case _:
                arrays.append(generator.integers(0, rows, size).astype(np.int32))
    return arrays


def assert_close(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> None:
    """Equal outputs: floats within the error of a sum in another order."""
    assert len(expected) == len(found)
    for j, (x, y) in enumerate(zip(expected, found, strict=True)):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        if x.dtype.kind == "f":
            scale = float(np.abs(x).max(initial=1.0))
            worst = float(np.abs(x - y).max(initial=0.0))
            assert worst <= 2e-5 * scale, f"output {j} is off by {worst} of {scale}"
            assert not math.isnan(worst)
        else:
            np.testing.assert_array_equal(x, y)

"""Random well-typed loop IR: its WebAssembly always validates, and agrees with the interpreter.

Results are compared bit by bit (any NaN equals any other), so what is drawn is exact in any order
of rounding: products that may be fused and sums of lanes are of small whole numbers, divisors are
positive, and the functions of the library have tests of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import wasm_runner
from hypothesis import given, settings
from hypothesis import strategies as st

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import interpret, loop
from webrt.kernel.expr import (
    Call,
    Const,
    Expr,
    Index,
    Load,
    Ref,
    Value,
    as_index,
    f32,
    lanes_of,
)
from webrt.kernel.operations import PAIRS

F32, I32, U32, BOOL = DType.F32, DType.I32, DType.U32, DType.BOOL
UNITS, SPAN, SIZE, TILE = 5, 48, 4096, 64
MEMORIES = {F32: (0, 3), I32: (1, 4), U32: (2, 5)}
"""Position of the operand and of the output of a type; a bool is loaded and stored as u32."""

FLOAT_BINARY = ["add", "sub", "mul", "min", "max"]
INTEGER_BINARY = ["add", "sub", "mul", "div", "mod", "min", "max", "pow", "bit_and",
                  "bit_or", "bit_xor", "shift_left", "shift_right"]  # fmt: skip
TWO = ("pairs", "dot2")
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]
FLOAT_UNARY = ["neg", "abs", "sign", "floor", "ceil", "round", "sqrt"]
TYPES = [F32, I32, U32, BOOL]


@dataclass
class Names:
    """What a block may use: symbols with their ranges, lets and registers with their types."""

    ranges: dict[str, tuple[int, int]]
    values: list[Ref] = field(default_factory=list)
    registers: list[Ref] = field(default_factory=list)

    def inner(self) -> Names:
        return Names(dict(self.ranges), list(self.values), list(self.registers))


class Writer:
    """Draws one kernel."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.count = 0

    def pick(self, choices: list) -> object:  # type: ignore[type-arg]
        return self.draw(st.sampled_from(choices))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def fresh(self, hint: str) -> str:
        self.count += 1
        return f"{hint}_{self.count}"

    # Indices

    def affine(self, names: Names) -> tuple[Dim, int, int]:
        """A sum of a few symbols, with the range of its values."""
        total: Dim = self.number(-40, 40)
        low = high = total
        for _ in range(self.number(0, 3)):
            name = self.pick(sorted(names.ranges))
            factor = self.pick([1, 4, 8, -1, 3, 64, -16, 100])
            other = self.pick([None, None, "s0", "s1"])
            ends = [end * factor for end in names.ranges[name]]
            term = symbol(name) * factor
            if other is not None and other != name:
                term = term * symbol(other)
                ends = [e * o for e in ends for o in names.ranges[other]]
            total, low, high = total + term, low + min(ends), high + max(ends)
        return total, low, high

    def index(self, names: Names, length: int) -> Dim:
        """A dim in 0 … length - 1."""
        dim, low, high = self.affine(names)
        kind = self.number(0, 5)
        if kind == 0:
            divisor = self.pick([2, 3, 16, 7])
            dim, low, high = dims.floor_div(dim, divisor), low // divisor, high // divisor
        if kind == 1 or high - low >= length:
            return dims.modulo(dim, length)
        if kind == 2:
            return dims.dim_max(dims.dim_min(dim, length - 1), 0)
        return dim + self.number(-low, length - 1 - high)

    def place(self, names: Names, memory: int | str, lanes: int) -> Dim:
        if isinstance(memory, str):
            return self.index(names, TILE - lanes + 1)
        if memory < 3:
            return self.index(names, SIZE - lanes + 1)
        return symbol("wg0") * SPAN + self.index(names, SPAN - lanes + 1)

    # Expressions

    def leaf(self, names: Names, dtype: DType, lanes: int) -> Expr:
        known = [v for v in names.values + names.registers if v.dtype is dtype and v.lanes == lanes]
        kind = self.number(0, 3)
        if known and kind <= 1:
            return self.pick(known)  # type: ignore[return-value]
        if kind == 2 and lanes == 1:
            if dtype is I32 and self.number(0, 1):
                return as_index(self.affine(names)[0])
            return self.constant(dtype)
        stored = U32 if dtype is BOOL else dtype
        memory: int | str = self.pick(list(MEMORIES[stored]))
        if dtype is F32 and self.number(0, 3) == 0:
            memory = "tile"
        return Load(memory, self.place(names, memory, lanes), dtype, lanes)

    def constant(self, dtype: DType) -> Const:
        if dtype is F32:
            return f32(self.pick([0.0, 1.0, -2.5, 3e38, float("inf"), float("nan"), 0.1]))
        if dtype is BOOL:
            return Const(bool(self.number(0, 1)), BOOL)
        values = [0, 1, 2, 7, (1 << 31) - 1]
        values += [-1, -3, -(1 << 31)] if dtype is I32 else [(1 << 32) - 1]
        return Const(self.pick(values), dtype)

    def whole(self, names: Names, lanes: int) -> Expr:
        """A float that is a small whole number."""
        if lanes == 4 and self.number(0, 2) == 0:
            return Call("splat", (self.whole(names, 1),), F32, 4)
        return Load(0, self.place(names, 0, lanes), F32, lanes)

    def expr(self, names: Names, dtype: DType, lanes: int, depth: int = 3) -> Expr:
        if depth == 0 or self.number(0, 4) == 0:
            return self.leaf(names, dtype, lanes)

        def part(of: DType, wide: int | None = None) -> Expr:
            if wide is None:  # a scalar operand stands for four
                wide = 1 if lanes == 4 and self.number(0, 3) == 0 else lanes
            return self.expr(names, of, wide, depth - 1)

        def made(op: str, *args: Expr) -> Expr:
            """The call; where all operands are scalars, four copies of it."""
            width = max(lanes_of(a) for a in args)
            call = Call(op, args, dtype, width)
            return call if width == lanes else Call("splat", (call,), dtype, 4)

        other = self.pick(TYPES)
        kinds = ["select", "cast"]
        kinds += ["splat", "vec4"] if lanes == 4 else ["lane", "sum"]
        kinds += ["pairs"] * 2 if lanes == 4 and dtype is I32 else []
        kinds += {BOOL: ["compare", "logic", "not", "class"], F32: ["binary", "unary", "div"]}.get(
            dtype, ["binary", "unary"]
        )
        match self.pick(kinds):
            case "select":
                return made("select", part(BOOL), part(dtype), part(dtype))
            case "cast":
                return made("cast", part(other))
            case "splat":
                return Call("splat", (part(dtype, 1),), dtype, 4)
            case "vec4":
                return self.vector(names, dtype, depth)
            case "lane":
                return Call(f"lane{self.number(0, 3)}", (part(dtype, 4),), dtype)
            case "sum" if dtype is F32:
                return Call("sum4", (self.whole(names, 4),), dtype)
            case "sum" if dtype is not BOOL:
                return Call("sum4", (part(dtype, 4),), dtype)
            case "pairs":
                op = self.pick(sorted(PAIRS))
                return Call(op, tuple(part(I32, 4) for _ in range(1 + (op in TWO))), I32, 4)
            case "compare":
                return made(self.pick(COMPARISONS), part(other), part(other))
            case "logic":
                return made(self.pick(["and", "or", "xor"]), part(BOOL), part(BOOL))
            case "not":
                return made("not", part(BOOL))
            case "class":
                return made(self.pick(["is_nan", "is_inf"]), part(F32))
            case "div":
                positive = Call("add", (Call("abs", (w := part(F32),), F32, lanes_of(w)), f32(1)),
                                F32, lanes_of(w))  # fmt: skip
                op = self.pick(["div", "reciprocal", "inverse_sqrt", "fma"])
                if op == "div":
                    return made(op, part(F32), positive)
                if op == "fma":
                    return made(op, self.whole(names, lanes), self.whole(names, lanes), part(F32))
                return made(op, positive)
            case "binary":
                op = self.pick(FLOAT_BINARY if dtype is F32 else INTEGER_BINARY)
                return made(op, part(dtype), part(dtype))
            case "unary":
                return made(self.pick(FLOAT_UNARY[: 7 if dtype is F32 else 3]), part(dtype))
        return self.leaf(names, dtype, lanes)

    def vector(self, names: Names, dtype: DType, depth: int) -> Expr:
        """Four scalars: any, lanes of vectors, or a ramp of indices."""
        kind = self.number(0, 2)
        if kind == 0 and dtype is I32:
            start = self.affine(names)[0]
            return Call("vec4", tuple(as_index(start + self.number(0, 9)) for _ in "xyzw"), I32, 4)
        if kind == 1:
            sources = [self.expr(names, dtype, 4, depth - 1) for _ in range(self.number(1, 3))]
            lanes = [Call(f"lane{self.number(0, 3)}", (self.pick(sources),), dtype) for _ in "xyzw"]
            return Call("vec4", tuple(lanes), dtype, 4)
        return Call(
            "vec4", tuple(self.expr(names, dtype, 1, min(depth - 1, 1)) for _ in "xyzw"), dtype, 4
        )

    # Statements

    def block(self, names: Names, depth: int, length: int) -> tuple[loop.Stmt, ...]:
        body: list[loop.Stmt] = []
        for _ in range(self.number(1, length)):
            body += self.statement(names, depth)
        return tuple(body)

    def statement(self, names: Names, depth: int) -> list[loop.Stmt]:
        dtype, lanes = self.pick(TYPES), self.pick([1, 4])
        kinds = ["let", "index", "loaded", "var", "assign", "add", "store", "store", "tile"]
        kinds += ["for", "for", "if"] if depth else []
        match self.pick(kinds):
            case "let":
                name = self.fresh("let")
                expr = self.expr(names, dtype, lanes)
                names.values.append(Ref(name, dtype, lanes))
                return [loop.Let(name, expr)]
            case "index":
                name = self.fresh("at")
                dim, low, high = self.affine(names)
                names.ranges[name] = (low, high)
                return [loop.Let(name, as_index(dim))]
            case "loaded":
                name = self.fresh("index")
                loaded = dims.atom_dim(Value(Load(1, self.place(names, 1, 1), I32)))
                names.ranges[name] = (0, 99)
                return [loop.Let(name, Index(dims.modulo(loaded, 100)))]
            case "var":
                name = self.fresh("var")
                expr = self.expr(names, dtype, lanes, 1)
                names.registers.append(Ref(name, dtype, lanes))
                return [loop.Var(name, expr)]
            case "assign" if names.registers:
                register: Ref = self.pick(names.registers)  # type: ignore[assignment]
                expr = self.expr(names, register.dtype, register.lanes)
                if isinstance(expr, Call) and expr.op == "add":
                    expr = Call("sub", expr.args, expr.dtype, expr.lanes)
                return [loop.Assign(register.name, expr)]
            case "add":
                sums = [r for r in names.registers if r.dtype is F32]
                return [self.accumulate(names, self.pick(sums))] if sums else []
            case "store":
                stored = U32 if dtype is BOOL else dtype
                memory = MEMORIES[stored][1]
                place = self.place(names, memory, lanes)
                return [loop.Store(memory, place, self.expr(names, dtype, lanes))]
            case "tile":
                return [
                    loop.Store(
                        "tile", self.place(names, "tile", lanes), self.expr(names, F32, lanes)
                    )
                ]
            case "for":
                return [self.loop(names, depth)]
            case "if":
                condition = self.expr(names, BOOL, 1)
                otherwise = self.block(names.inner(), depth - 1, 2) if self.number(0, 1) else ()
                return [loop.If(condition, self.block(names.inner(), depth - 1, 3), otherwise)]
        return []

    def accumulate(self, names: Names, register: Ref) -> loop.Stmt:
        factors = (self.whole(names, register.lanes), self.whole(names, register.lanes))
        product = Call("mul", factors, F32, register.lanes)
        args = (register, product) if self.number(0, 1) else (product, register)
        return loop.Assign(register.name, Call("add", args, F32, register.lanes))

    def loop(self, names: Names, depth: int) -> loop.Stmt:
        name, step = self.fresh("k"), self.number(1, 3)
        start: Dim = self.number(-3, 6)
        low = high = start
        if self.number(0, 2) == 0:
            other = self.pick(["s0", "s1", "wg0"])
            start = start + symbol(other)
            low, high = (end + names.ranges[other][e] for e, end in enumerate((low, high)))
        trips: Dim = self.pick([0, 1, 2, 3, 4, symbol("s0"), symbol("s0") - 2, symbol("s1") - 4])
        most = trips if isinstance(trips, int) else 5
        inner = names.inner()
        inner.ranges[name] = (low, high + most * step)
        return loop.For(name, start, start + trips * step, step, self.block(inner, depth - 1, 5))


@st.composite
def kernels(draw: st.DrawFn) -> loop.Kernel:
    writer = Writer(draw)
    names = Names({"wg0": (0, UNITS - 1), "s0": (1, 5), "s1": (1, 5)})
    fill = loop.Store("tile", symbol("t") * 4, Call("splat", (f32(2.0),), F32, 4))
    body = (loop.For("t", 0, TILE // 4, 1, (fill,)), *writer.block(names, 3, 8))
    bindings = tuple(
        loop.Binding(f"x{j}", dtype, 1, j > 2) for j, dtype in enumerate([F32, I32, U32] * 2)
    )
    # Scratch memory before it begins somewhere: a first array, of another size.
    shared = (loop.Shared("first", I32, 1, 3), loop.Shared("tile", F32, 4, TILE // 4))
    return loop.Kernel("main", bindings, ("s0", "s1"), shared, (1, 1, 1), (UNITS, 1, 1), body)


def arrays(seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    inputs = [
        random.integers(-8, 9, SIZE).astype(np.float32),
        random.integers(-50, 150, SIZE).astype(np.int32),
        random.integers(0, 3, SIZE).astype(np.uint32),
    ]
    return inputs + [a[: UNITS * SPAN].copy() for a in inputs]


def same_bits(x: np.ndarray, y: np.ndarray) -> bool:
    """Equal, where a zero equals the other zero and a NaN any NaN."""
    return x.dtype == y.dtype and bool(((x == y) | ((x != x) & (y != y))).all())


@settings(max_examples=80)
@given(kernel=kernels(), s0=st.integers(1, 5), s1=st.integers(1, 5), seed=st.integers(0, 9))
def test_random_kernels_validate_and_agree(
    kernel: loop.Kernel, s0: int, s1: int, seed: int
) -> None:
    operands, bindings = arrays(seed), {"s0": s0, "s1": s1}
    expected = interpret.run(kernel, operands, bindings)
    for relaxed in (False, True):
        found = wasm_runner.run(kernel, operands, bindings, relaxed)
        for x, y in zip(expected, found, strict=True):
            assert same_bits(x, y)

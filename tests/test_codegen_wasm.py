"""Loop IR as WebAssembly: every operation, the corners of strength reduction, whole replays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import wasm_runner
from tolerances import assert_close
from wasm_runner import Machine

from webrt import dims
from webrt.codegen import abi, encoder, wasm, wasm_address
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.errors import CompileError
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
)
from webrt.kernel.operations import BITS, BITWISE, COMPARISON, LOGICAL
from webrt.kernel.reference import NUMPY

F32, I32, U32, BOOL = DType.F32, DType.I32, DType.U32, DType.BOOL
wg = symbol("wg0")
k, s0, s1 = symbol("k"), symbol("s0"), symbol("s1")

EDGES = {
    F32: [0, -0.0, 1, -1, 2.5, -2.5, 3.5, 0.5, 1e10, -1e10, np.inf, -np.inf, np.nan, 3e38, 1e-40,
          -7, 2147483648.0, 4294967040.0],
    I32: [0, 1, -1, 2, -2, 7, -7, 3, -3, 100, 2**31 - 1, -(2**31), 5, -5],
    U32: [0, 1, 2, 3, 7, 100, 2**31, 2**32 - 1, 2**31 - 1, 5],
    BOOL: [0, 1, 1, 0],
}  # fmt: skip
NUMBERS = [F32, I32, U32]
OPERATIONS: list[tuple[str, list[DType], DType]] = [
    *((op, [F32], F32) for op in ("floor", "ceil", "round", "sqrt", "inverse_sqrt", "reciprocal")),
    *((op, [t], t) for op in ("neg", "abs", "sign") for t in NUMBERS),
    *((op, [t, t], t) for op in ("add", "sub", "mul", "div", "min", "max") for t in NUMBERS),
    *((op, [t, t], t) for op in ("mod", "pow") for t in (I32, U32)),
    *((op, [t, t], t) for op in sorted(BITWISE) for t in (I32, U32)),
    *((op, [t], u) for op, u in BITS.items() for t in NUMBERS),
    *((op, [t, t], BOOL) for op in sorted(COMPARISON) for t in EDGES),
    *((op, [BOOL, BOOL], BOOL) for op in sorted(LOGICAL)),
    ("not", [BOOL], BOOL),
    *(("select", [BOOL, t, t], t) for t in EDGES),
    *(("cast", [t], u) for t, u in itertools.product(EDGES, EDGES)),
    *((op, [F32], BOOL) for op in ("is_nan", "is_inf")),
]
LIBRARY = [
    *((op, [F32], F32) for op in ("exp", "log", "tanh", "erf", "sin", "cos")),
    *((op, [F32, F32], F32) for op in ("pow", "mod")),
    ("fma", [F32, F32, F32], F32),
]


def binding(dtype: DType, writable: bool = False, lanes: int = 1) -> loop.Binding:
    return loop.Binding("x", dtype.storage, lanes, writable)


def kernel(
    body: Sequence[loop.Stmt],
    bindings: Sequence[loop.Binding],
    units: Dim = 1,
    shared: tuple[loop.Shared, ...] = (),
) -> loop.Kernel:
    grid = (units, 1, 1)
    return loop.Kernel("main", tuple(bindings), ("s0", "s1"), shared, (1, 1, 1), grid, tuple(body))


def of_operation(op: str, types: list[DType], out: DType, lanes: int, units: int) -> loop.Kernel:
    loads = tuple(Load(j, wg * lanes, t, lanes) for j, t in enumerate(types))
    store = loop.Store(len(types), wg * lanes, Call(op, loads, out, lanes))
    return kernel([store], [*map(binding, types), binding(out, True)], units)


def every_pair(types: list[DType]) -> list[np.ndarray]:
    values = [np.array(EDGES[t], NUMPY[t.storage]) for t in types]
    columns = [g.reshape(-1) for g in np.meshgrid(*values, indexing="ij")]
    return [np.resize(c, -(-c.size // 4) * 4) for c in columns]


def same(expected: np.ndarray, found: np.ndarray) -> None:
    np.testing.assert_array_equal(expected, found)  # a NaN equals a NaN, 0.0 equals -0.0


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(("op", "types", "out"), OPERATIONS)
def test_operations_at_their_edges(op: str, types: list[DType], out: DType, lanes: int) -> None:
    columns = every_pair(types)
    size = columns[0].size
    made = of_operation(op, types, out, lanes, size // lanes)
    arrays = [*columns, np.zeros(size, NUMPY[out.storage])]
    expected = interpret.run(made, arrays, {"s0": 1, "s1": 1})[-1]
    for relaxed in (False, True):
        same(expected, wasm_runner.run(made, arrays, {"s0": 1, "s1": 1}, relaxed)[-1])


@pytest.mark.parametrize("op", ["min", "max"])
@pytest.mark.parametrize("constant", [0.0, -2.5, float("inf"), float("nan")])
def test_extremes_with_constants_keep_nan(op: str, constant: float) -> None:
    (values,) = every_pair([F32])
    copies = Call("splat", (f32(constant),), F32, 4)
    orders = [(Load(0, wg * 4, F32, 4), copies), (f32(constant), Load(0, wg * 4, F32, 4))]
    body = [loop.Store(1 + j, wg * 4, Call(op, args, F32, 4)) for j, args in enumerate(orders)]
    made = kernel(body, [binding(F32), *[binding(F32, True)] * 2], values.size // 4)
    agree(made, [values, *[np.zeros(values.size, np.float32)] * 2])


def test_selects_that_are_extremes_keep_what_they_say_of_nan() -> None:
    columns = every_pair([F32, F32])
    a, b = (Load(j, wg * 4, F32, 4) for j in range(2))
    store = loop.Store(2, wg * 4, Call("select", (Call("lt", (a, b), BOOL, 4), b, a), F32, 4))
    made = kernel([store], [binding(F32), binding(F32), binding(F32, True)], columns[0].size // 4)
    agree(made, [*columns, np.zeros(columns[0].size, np.float32)])


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(("op", "types", "out"), LIBRARY)
def test_functions_of_the_library(op: str, types: list[DType], out: DType, lanes: int) -> None:
    random = np.random.default_rng(0)
    columns = [random.uniform(0.2, 3, 64).astype(np.float32) for _ in types]
    made = of_operation(op, types, out, lanes, 64 // lanes)
    arrays = [*columns, np.zeros(64, np.float32)]
    expected = interpret.run(made, arrays, {"s0": 1, "s1": 1})[-1]
    for relaxed in (False, True):
        found = wasm_runner.run(made, arrays, {"s0": 1, "s1": 1}, relaxed)[-1]
        assert_close(found, expected, F32)


def agree(made: loop.Kernel, arrays: Sequence[np.ndarray], **bindings: int) -> list[np.ndarray]:
    """Runs in wasm, relaxed and not, what the interpreter runs: the same results."""
    bindings = {"s0": 3, "s1": 2} | bindings
    expected = interpret.run(made, arrays, bindings)
    for relaxed in (False, True):
        for x, y in zip(expected, wasm_runner.run(made, arrays, bindings, relaxed), strict=True):
            same(x, y)
    return expected


def numbers(size: int) -> np.ndarray:
    return (np.arange(size) * 7 % 31 - 15).astype(np.float32)


# Between lanes


def x(at: Dim, lanes: int = 1, dtype: DType = F32) -> Load:
    return Load(0, at, dtype, lanes)


V = x(0, 4)
W = x(4, 4)


def lane(value: Expr, number: int) -> Expr:
    return Call(f"lane{number}", (value,), value.dtype)


VECTORS: dict[str, Expr] = {
    "constants": Call("vec4", (f32(1), f32(-2.5), f32(float("inf")), f32(1e39)), F32, 4),
    "one vector": Call("vec4", tuple(lane(V, j) for j in (3, 3, 0, 1)), F32, 4),
    "two vectors": Call("vec4", (lane(W, 1), lane(V, 2), lane(W, 3), lane(V, 0)), F32, 4),
    "three vectors": Call("vec4", (lane(W, 1), lane(V, 2), lane(x(9, 4), 3), f32(0)), F32, 4),
    "loads": Call("vec4", (x(5), x(50), x(17), x(2)), F32, 4),
    "copies": Call("vec4", (x(5),) * 4, F32, 4),
    "splat": Call("splat", (Call("add", (x(5), x(6)), F32),), F32, 4),
    "scalar operand": Call("mul", (V, x(3)), F32, 4),
    "scalar condition": Call("select", (Call("lt", (x(1), x(2)), BOOL), V, W), F32, 4),
    "scalar arm": Call("select", (Call("lt", (V, W), BOOL, 4), V, f32(7)), F32, 4),
    "sum": Call("splat", (Call("sum4", (V,), F32),), F32, 4),
    "ramp": Call("cast", (Call("vec4", tuple(Index(wg * 3 + j) for j in (2, 0, 5, 9)), I32, 4),),
                 F32, 4),
    "bools": Call("cast", (Call("vec4", tuple(Call("lt", (x(j), x(j + 1)), BOOL) for j in range(4)),
                                BOOL, 4),), F32, 4),
    "lane of bools": Call("splat", (Call("cast", (lane(Call("lt", (V, W), BOOL, 4), 2),), F32),),
                          F32, 4),
    "splat of bools": Call("select", (Call("splat", (Call("lt", (x(1), x(2)), BOOL),), BOOL, 4),
                                      V, W), F32, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_values_between_lanes(name: str) -> None:
    made = kernel([loop.Store(1, wg * 4, VECTORS[name])], [binding(F32), binding(F32, True)], 2)
    agree(made, [numbers(64), np.zeros(8, np.float32)])


# Loops and addresses


def summed(offset: Dim, start: Dim, stop: Dim, step: int = 1) -> list[loop.Stmt]:
    """The sum of x0 at `offset`, which depends on k."""
    register = Ref("sum", F32)
    add = loop.Assign("sum", Call("add", (register, x(offset)), F32))
    return [loop.Var("sum", f32(0)), loop.For("k", start, stop, step, (add,))]


LOOPS: dict[str, list[loop.Stmt]] = {
    "up": summed(k * 3 + wg, 0, 20),
    "down": summed(500 - k * 7 + wg, 0, 20),
    "step": summed(k * 2, 1, 50, 7),
    "symbolic coefficient": summed(k * s0 * 2 + k + s1, 0, 20),
    "negative symbolic coefficient": summed(400 - k * s0, 0, 20, 2),
    "symbolic start": summed(k * 4 + 3, s0 - 1, s0 * 5, 2),
    "negative start": summed(k * 5 + 100, -7, 9),
    "never": summed(k, s0 + 5, s0),
    "never, literally": summed(k, 5, 5),
    "once": summed(k * 2 + wg, 5, 6),
    "invariant": summed(wg * s0 + 5, 0, 7),
    "not affine": summed(k * k + dims.modulo(k, 3), 0, 20),
    "minimum of a product": summed(dims.dim_min(k * 3, s0 * 4), 0, 20),
    "quotients": summed(dims.floor_div(k * 3 - 20, 7) + 10 + dims.modulo(5 - k, s0), 0, 20),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops(name: str) -> None:
    body = [*LOOPS[name], loop.Store(1, wg, Ref("sum", F32))]
    made = kernel(body, [binding(F32), binding(F32, True)], 3)
    agree(made, [numbers(600), np.zeros(3, np.float32)])


def test_literals_far_apart_have_pointers_of_their_own() -> None:
    """Under a condition an access may be the only one that is in range."""
    far = 3 * wasm_address.WINDOW + 5
    near = Call("add", (x(k), x(k + 1)), F32)
    there = x(k - far, 1)
    inside = Call("ge", (as_index(k), as_index(far + s0 * 0)), BOOL)
    body = [
        loop.Var("sum", f32(0)),
        loop.For(
            "k", 0, far + 4, 1,
            (
                loop.Let("near", near),
                loop.If(
                    inside,
                    (loop.Assign("sum", Call("add", (Ref("sum", F32), there), F32)),),
                    (loop.Assign("sum", Call("max", (Ref("sum", F32), Ref("near", F32)), F32)),),
                ),
            ),
        ),
        loop.Store(1, 0, Ref("sum", F32)),
        loop.Store(1, 1, x(2 * wasm_address.WINDOW + 7)),
        loop.Store(1, 2, x(symbol("s0") * 20000 - 2 * wasm_address.WINDOW)),
    ]  # fmt: skip
    made = kernel(body, [binding(F32), binding(F32, True)])
    agree(made, [numbers(far + 8), np.zeros(3, np.float32)])


def test_lets_and_registers_of_a_loop_are_not_invariant() -> None:
    value = dims.atom_dim(Value(Ref("turn", I32)))
    body = [
        loop.Var("turn", Const(0, I32)),
        loop.For(
            "k", 0, 12, 1,
            (
                loop.Let("at", Index(k * 2 + 1)),
                loop.Let("folded", Index(dims.modulo(symbol("at") * 5, 17))),
                loop.Store(1, k, x(symbol("at") + s0)),
                loop.Store(1, k + 12, x(symbol("folded"))),
                loop.Store(1, k + 24, x(value * 2 + k)),
                loop.Assign("turn", Call("add", (Ref("turn", I32), Const(3, I32)), I32)),
                loop.Store(1, k + 36, x(value * 2 + k)),
            ),
        ),
    ]  # fmt: skip
    made = kernel(body, [binding(F32), binding(F32, True)])
    agree(made, [numbers(120), np.zeros(48, np.float32)])


def test_a_load_that_stands_in_two_loops_has_a_pointer_in_each() -> None:
    load = x(k * 2 + wg)
    store = loop.Store(1, wg * 20 + k, load)
    body = [loop.For("k", 0, s0, 1, (store,)), loop.For("k", s0, 20, 1, (store,))]
    body += [loop.Let("k", Index(wg * 0 + 3)), loop.Store(1, wg * 20 + 7, load)]
    made = kernel(body, [binding(F32), binding(F32, True)], 2)
    agree(made, [numbers(80), np.zeros(40, np.float32)])


def test_nested_loops_and_scratch_arrays() -> None:
    """A transpose by way of a workgroup array that lies behind another one."""
    i = symbol("i")
    value = Call("mul", (x(wg * 32 + i * 8 + k * 4, 4), f32(2)), F32, 4)
    body = [
        loop.For("i", 0, 4, 1, (
            loop.For("k", 0, 2, 1, (loop.Store("tile", i * 8 + k * 4, value),)),
        )),
        loop.Barrier(),
        loop.For("k", 0, 8, 1, (
            loop.For("i", 0, 4, 1, (
                loop.Store(1, wg * 32 + k * 4 + i, Load("tile", i * 8 + k, F32)),
            )),
        )),
    ]  # fmt: skip
    shared = (loop.Shared("first", BOOL, 1, 5), loop.Shared("tile", F32, 4, 8))
    made = kernel(body, [binding(F32), binding(F32, True)], 3, shared)
    assert wasm.scratch_bytes(made) == 32 + 128
    agree(made, [numbers(96), np.zeros(96, np.float32)])


def test_a_function_is_called_once_for_equal_operands_of_a_block() -> None:
    """But again in the next turn, and where an operand is a register or memory."""
    value = Call("log", (Call("cast", (Index(k + 1),), F32),), F32)
    register = Ref("sum", F32)
    again = Call("exp", (Call("mul", (register, f32(-0.01)), F32),), F32)
    twice = Call("add", (value, Call("mul", (value, again), F32)), F32)
    body = [
        loop.Var("sum", f32(1)),
        loop.For("k", 0, 9, 1, (
            loop.Assign("sum", Call("add", (register, twice), F32)),
            loop.Assign("sum", Call("add", (register, again), F32)),
            loop.Assign("sum", Call("add", (register, again), F32)),
        )),
        loop.Store(0, 0, register),
    ]  # fmt: skip
    made, array = kernel(body, [binding(F32, True)]), np.zeros(1, np.float32)
    expected = interpret.run(made, [array], {"s0": 1, "s1": 1})[0]
    for relaxed in (False, True):
        found = wasm_runner.run(made, [array], {"s0": 1, "s1": 1}, relaxed)[0]
        assert_close(found, expected, F32, 20)


def test_no_multiplication_in_an_innermost_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the loop of a tile of a product: bumps of b, each row and the counter, one comparison."""
    names: list[str] = []
    emit, begin = encoder.Function.emit, encoder.Function.loop

    def record(self: encoder.Function, name: str, *lanes: int) -> None:
        names.append(name)
        emit(self, name, *lanes)

    def restart(self: encoder.Function) -> None:
        names.clear()
        begin(self)

    monkeypatch.setattr(encoder.Function, "emit", record)
    monkeypatch.setattr(encoder.Function, "loop", restart)
    monkeypatch.setattr(wasm, "replay", lambda _: None)
    wasm.module([_product(16, 8, 24)], relaxed=True)
    inner = names[: names.index("i32.lt_s") + 1]
    assert inner == ["f32x4.relaxed_madd"] * 8 + ["i32.add"] * 6 + ["i32.lt_s"]


def _product(m: int, n: int, depth: int) -> loop.Kernel:
    """Tiles of 4 × 8 of A·B, B in panels of 8 columns."""
    panels = n // 8
    body: list[loop.Stmt] = [
        loop.Let("row", Index(dims.floor_div(wg, panels) * 4)),
        loop.Let("panel", Index(dims.modulo(wg, panels))),
    ]
    inner: list[loop.Stmt] = []
    row, panel = symbol("row"), symbol("panel")
    for j in range(2):
        inner.append(loop.Let(f"b{j}", Load(1, (panel * depth + k) * 8 + j * 4, F32, 4)))
    for i in range(4):
        factor = Call("splat", (Load(0, (row + i) * depth + k, F32),), F32, 4)
        inner.append(loop.Let(f"a{i}", factor))
        for j in range(2):
            acc = Ref(f"acc{i}_{j}", F32, 4)
            body.append(loop.Var(acc.name, Call("splat", (f32(0),), F32, 4)))
            product = Call("mul", (Ref(f"a{i}", F32, 4), Ref(f"b{j}", F32, 4)), F32, 4)
            inner.append(loop.Assign(acc.name, Call("add", (acc, product), F32, 4)))
    body.append(loop.For("k", 0, depth, 1, tuple(inner)))
    for i in range(4):
        for j in range(2):
            at = (row + i) * n + panel * 8 + j * 4
            body.append(loop.Store(2, at, Ref(f"acc{i}_{j}", F32, 4)))
    return kernel(body, [binding(F32), binding(F32), binding(F32, True)], m // 4 * panels)


def test_a_tiled_product() -> None:
    a, b = numbers(16 * 24).reshape(16, 24), numbers(24 * 32).reshape(24, 32)
    panels = b.reshape(24, 4, 8).transpose(1, 0, 2)
    made = _product(16, 32, 24)
    found = agree(made, [a, panels, np.zeros(16 * 32, np.float32)])[-1]
    same(found.reshape(16, 32), a @ b)


def test_types_that_cpus_do_not_have_are_refused() -> None:
    store = loop.Store(0, 0, Load(0, 0, DType.F16))
    with pytest.raises(CompileError, match="f32, i32, u32 and bool: found f16"):
        wasm.module([kernel([store], [loop.Binding("x", DType.F16, 1, True)])])


# Replay


def _increment(entry: str, size: int) -> loop.Kernel:
    """y[u] = x[size - 1 - u] + 1, so that a unit reads what another one wrote before."""
    return loop.Kernel(
        entry, (binding(F32), binding(F32, True)), (), (), (1, 1, 1), (size, 1, 1),
        (loop.Store(1, wg, Call("add", (x(size - 1 - wg), f32(1)), F32)),),
    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 7, 300])
def test_replays_are_in_order_and_can_be_repeated(workers: int, size: int) -> None:
    """A chain of 40 steps to and fro between two buffers, of which every one waits."""
    machine = Machine(wasm.module([_increment("main", size)]), workers > 1)
    places = [machine.put(np.zeros(size, np.float32).tobytes()) for _ in range(2)]
    symbols = machine.put(bytes(4))
    args = [machine.put(abi.arguments(p, symbols)) for p in (places, places[::-1])]
    steps = [abi.ProgramStep(0, args[j % 2], size, j > 0) for j in range(40)]
    program = abi.program(steps)
    at = machine.put(program)
    scratch = [machine.reserve(16) for _ in range(workers)]
    for run in range(1, 6):
        machine.replay(at, scratch)
        found = machine.get(places[0], np.dtype(np.float32), size)
        same(found, np.full(size, 40.0 * run, np.float32))
        assert machine.get(at, np.dtype(np.uint8), len(program)).tobytes() == program


@pytest.mark.parametrize("workers", [1, 2])
def test_steps_that_do_not_wait_and_empty_ones(workers: int) -> None:
    """Ten independent steps of two kernels, one without units, then one that waits for them."""
    kernels = [_increment("one", 50), _increment("all", 500)]
    machine = Machine(wasm.module(kernels), workers > 1)
    symbols = machine.put(bytes(4))
    start = machine.put(numbers(500).tobytes())
    middle, end = machine.reserve(2000), machine.reserve(2000)
    steps = []
    for j in range(10):
        part = abi.arguments([start + j * 200, middle + (9 - j) * 200], symbols)
        steps.append(abi.ProgramStep(0, machine.put(part), 50, False))
    whole = machine.put(abi.arguments([middle, end], symbols))
    steps += [abi.ProgramStep(1, whole, 0, True), abi.ProgramStep(1, whole, 500, True)]
    machine.replay(machine.put(abi.program(steps)), [machine.reserve(16) for _ in range(workers)])
    same(machine.get(end, np.dtype(np.float32), 500), numbers(500) + 2)


def test_an_empty_program_ends() -> None:
    for workers in (1, 2):
        machine = Machine(wasm.module([]), workers > 1)
        machine.replay(machine.put(abi.program([])), [machine.reserve(16)] * workers)

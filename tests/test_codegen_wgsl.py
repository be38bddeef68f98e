"""The WGSL printer: what it prints compiles, and computes what loop IR means."""

from __future__ import annotations

import math
import re
from pathlib import Path

import gpu
import numpy as np
import pytest
from tolerances import assert_close

from webrt import resources
from webrt.codegen import shaderlib
from webrt.codegen.wgsl import HALF, generate
from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.errors import UsageError
from webrt.kernel import loop
from webrt.kernel.expr import (
    Const,
    Expr,
    Index,
    Load,
    Ref,
    as_dim,
    as_index,
    call,
    cast,
    f32,
    i32,
    lanes_of,
)
from webrt.kernel.interpret import run as interpret
from webrt.kernel.loop import Binding, Kernel, Let, Store
from webrt.kernel.operations import BITWISE
from webrt.resources import shader_dir

LANE = symbol("lane0")
I32, U32, F32 = DType.I32, DType.U32, DType.F32


@pytest.fixture(
    params=["lavapipe", pytest.param("swiftshader", marks=pytest.mark.swiftshader)], autouse=True
)
def driver(request: pytest.FixtureRequest) -> str:
    """Every test here runs on both software adapters."""
    DRIVER[0] = request.param
    return DRIVER[0]


DRIVER = ["lavapipe"]


def elementwise(dtype: DType, result: DType, exprs: list[Expr], count: int) -> Kernel:
    """One workgroup; lane i stores exprs[j] at j·count + i; operand 0 is `x0`."""
    body = tuple(
        Store(1, LANE * lanes_of(e) + j * count * lanes_of(e), e) for j, e in enumerate(exprs)
    )
    bindings = (Binding("x0", dtype, 1, False), Binding("x1", result, 1, True))
    return Kernel("test", bindings, (), (), (count, 1, 1), (1, 1, 1), body)


def evaluate(kernel: Kernel, array: np.ndarray, result: DType, size: int) -> np.ndarray:
    """The output on the device, checked against the interpreter."""
    program = gpu.Program(kernel, [array], [(result, size)], {}, DRIVER[0])
    program.run()
    (actual,) = program.read()
    return actual


X = Load(0, LANE, F32)
XI = Load(0, LANE, I32)

UNARY = {
    "exp": np.exp,
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf),
    "sin": np.sin,
    "cos": np.cos,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
}


def test_functions_of_floats() -> None:
    x = np.array(
        [0, -0.5, 0.5, 1.5, 2.5, -2.5, 1e-6, -1e-4, 3.1, -3.1, 8.9, -8.9, 0.1, -0.9, 5.0, 0.01],
        np.float32,
    )
    kernel = elementwise(F32, F32, [call(op, X) for op in UNARY], len(x))
    got = evaluate(kernel, x, F32, len(x) * len(UNARY)).reshape(len(UNARY), len(x))
    for (op, oracle), actual in zip(UNARY.items(), got, strict=True):
        expected = oracle(x.astype(np.float64))
        loose = 60 if op == "exp" else 1  # WGSL grants it 3 + 2·|x| ULP
        assert_close(actual, expected, F32, loose)


def test_functions_of_positive_floats() -> None:
    x = np.array([1e-6, 0.25, 1.0, 2.0, 3.7, 1e6, 100.0, 0.9], np.float32)
    ops = ["log", "sqrt", "inverse_sqrt", "reciprocal"]
    kernel = elementwise(F32, F32, [call(op, X) for op in ops], len(x))
    got = evaluate(kernel, x, F32, len(x) * 4).reshape(4, len(x))
    wide = x.astype(np.float64)
    for actual, expected in zip(
        got, [np.log(wide), np.sqrt(wide), wide**-0.5, 1 / wide], strict=True
    ):
        assert_close(actual, expected, F32)


@pytest.mark.parametrize("op", ["tanh", "erf"])
def test_saturates_far_out(op: str) -> None:
    x = np.array([100.0, -100.0, 1e30, -1e30], np.float32)
    four = call(op, call("splat", X))
    got = evaluate(elementwise(F32, F32, [call("lane2", four)], 4), x, F32, 4)
    assert_close(got, np.array([1.0, -1.0, 1.0, -1.0]), F32)


@pytest.mark.parametrize("op", ["sin", "cos"])
def test_large_angles(op: str) -> None:
    x = np.linspace(-5000, 5000, 200, dtype=np.float32)
    four = call("lane1", call(op, call("splat", X)))
    got = evaluate(elementwise(F32, F32, [call(op, X), four], 200), x, F32, 400)
    oracle = getattr(np, op)(x.astype(np.float64))
    assert np.abs(got - np.tile(oracle, 2)).max() <= 1e-6


@pytest.mark.parametrize("op", ["tanh", "erf"])
def test_library_functions_are_within_3e_7(op: str) -> None:
    x = np.linspace(-6, 6, 200, dtype=np.float32)
    four = call("lane3", call(op, call("splat", X)))
    got = evaluate(elementwise(F32, F32, [call(op, X), four], 200), x, F32, 400)
    oracle = np.vectorize(math.erf if op == "erf" else math.tanh)
    assert np.abs(got - np.tile(oracle(x.astype(np.float64)), 2)).max() <= 3e-7


def test_exp_underflows_to_zero() -> None:
    x = np.array([-3.4028235e38, -1e30, -200.0, -3e38], np.float32)
    got = evaluate(elementwise(F32, F32, [call("exp", X)], 4), x, F32, 4)
    assert np.abs(got).max() < 1e-37


def test_classes_by_bits() -> None:
    bits = np.array([0x7FC00000, 0xFF800000, 0x7F800000, 0x3F800000, 0xFFC00001, 0], np.uint32)
    exprs = [call("is_nan", X), call("is_inf", X)]
    kernel = elementwise(F32, U32, exprs, 6)
    got = evaluate(kernel, bits.view(np.float32), U32, 12)
    assert got.tolist() == [1, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("dtype", [I32, U32])
def test_bits_of_integers(dtype: DType) -> None:
    bits = np.array([0, 1, 0x80000000, 0xFFFFFFFF, 0x12345678, 0x7FFFFFFF, 33, 5], np.uint32)
    x = bits.view(np.int32 if dtype is I32 else np.uint32)
    one, five = Load(0, LANE, dtype), Const(5, dtype)
    ops = sorted(BITWISE)
    exprs = [call(op, one, five) for op in ops]
    exprs += [call("lane3", call(op, call("splat", one), five)) for op in ops]
    got = evaluate(elementwise(dtype, dtype, exprs, 8), x, dtype, 8 * len(exprs))
    oracle = {
        "bit_and": x & 5, "bit_or": x | 5, "bit_xor": x ^ 5, "shift_left": x << 5,
        "shift_right": x >> 5,
    }  # fmt: skip
    assert got.tolist() == np.concatenate([oracle[op] for op in ops] * 2).tolist()
    counts = [call(op, Const(-3 % (1 << 31), dtype), one) for op in ("shift_left", "shift_right")]
    got = evaluate(elementwise(dtype, dtype, counts, 8), x, dtype, 16)
    number, count = np.array(-3 % (1 << 31), x.dtype), x & 31
    assert got.tolist() == [*(number << count).tolist(), *(number >> count).tolist()]


def test_the_same_bits_as_another_type() -> None:
    x = np.array([1.5, -2.0, 3e-38, 0.0], np.float32)
    back = [call("bits_f32", call(op, X)) for op in ("bits_i32", "bits_u32", "bits_f32")]
    back.append(call("lane1", call("bits_f32", call("bits_u32", call("splat", X)))))
    assert evaluate(elementwise(F32, F32, back, 4), x, F32, 16).tolist() == x.tolist() * 4
    got = evaluate(elementwise(F32, I32, [call("bits_i32", X)], 4), x, I32, 4)
    assert got.tolist() == x.view(np.int32).tolist()


CONSTANTS = [
    0.0, 1.0, -1.5, 0.1, 1 / 3, 3.4028234663852886e38, -3.4028234663852886e38, 1e-30, 16777217.0,
    2.0**-126, 65504.0, 1e38, math.inf, -math.inf,
]  # fmt: skip


def test_float_literals_keep_their_bits() -> None:
    kernel = elementwise(F32, F32, [f32(c) for c in CONSTANTS], 1)
    got = evaluate(kernel, np.zeros(1, np.float32), F32, len(CONSTANTS))
    assert got.tobytes() == np.array(CONSTANTS, np.float32).tobytes()


def test_nan_literal() -> None:
    got = evaluate(elementwise(F32, F32, [f32(math.nan)], 1), np.zeros(1, np.float32), F32, 1)
    assert np.isnan(got).all()


def test_integer_literals() -> None:
    values = [0, -1, 2**31 - 1, -(2**31), 65536]
    kernel = elementwise(I32, I32, [i32(v) for v in values], 1)
    assert evaluate(kernel, np.zeros(1, np.int32), I32, 5).tolist() == values


def test_integer_division_and_modulo() -> None:
    x = np.array([-7, -6, -1, 0, 1, 5, 6, 7], np.int32)
    exprs = [
        call("div", XI, i32(3)),  # to zero
        call("mod", XI, i32(3)),  # floor
        call("mod", XI, i32(-3)),
        as_index(as_dim(XI) // 3),  # floor
        as_index(as_dim(XI) % 3),
    ]
    got = evaluate(elementwise(I32, I32, exprs, 8), x, I32, 40).reshape(5, 8)
    expected = [np.fix(x / 3), x % 3, x % -3, x // 3, x % 3]
    np.testing.assert_array_equal(got, np.array(expected, np.int32))


def test_a_let_that_may_be_negative_divides_down() -> None:
    below = Let("below", Index(LANE - 3))
    quotient = Store(1, LANE, Index(symbol("below") // 2))
    kernel = elementwise(I32, I32, [], 4)
    kernel = Kernel("t", kernel.bindings, (), (), (4, 1, 1), (1, 1, 1), (below, quotient))
    assert evaluate(kernel, np.zeros(4, np.int32), I32, 4).tolist() == [-2, -1, -1, 0]


def test_casts() -> None:
    x = np.array([-2.7, -0.5, 0.0, 0.5, 2.7, 100.0], np.float32)
    exprs = [cast(X, I32), cast(cast(X, DType.BOOL), I32), cast(cast(cast(X, I32), F32), I32)]
    got = evaluate(elementwise(F32, I32, exprs, 6), x, I32, 18).reshape(3, 6)
    assert got.tolist() == [[-2, 0, 0, 0, 2, 100], [1, 1, 0, 1, 1, 1], [-2, 0, 0, 0, 2, 100]]


def test_logic_and_select() -> None:
    x = np.array([-1.0, 0.0, 0.5, 2.0], np.float32)
    low, high = call("lt", X, f32(0.25)), call("ge", X, f32(0.0))
    exprs = [call(op, low, high) for op in ("and", "or", "xor", "eq")] + [call("not", low)]
    got = evaluate(elementwise(F32, U32, exprs, 4), x, U32, 20).reshape(5, 4)
    a, b = x < 0.25, x >= 0
    np.testing.assert_array_equal(got, np.array([a & b, a | b, a ^ b, a == b, ~a], np.uint32))


def vectors() -> list[Expr]:
    """Four-lane values that mix vectors and scalars in every way that WGSL distinguishes."""
    v = Load(0, LANE * 4, F32, 4)
    s = Load(0, LANE * 4 + 1, F32)
    whole = cast(v, I32)
    return [
        call("add", v, s),
        call("mul", s, v),
        call("max", v, s),
        call("fma", v, s, v),
        call("select", call("lt", v, s), v, s),
        call("select", call("lt", s, f32(0.0)), v, call("splat", s)),
        call("vec4", s, call("lane0", v), call("sum4", v), call("lane3", v)),
        cast(call("mod", whole, call("splat", i32(3))), F32),
        cast(call("ge", v, call("splat", f32(0.0))), F32),
        call("mod", v, s),
        call("div", v, f32(2.0)),
        call("erf", v),
    ]


@pytest.mark.parametrize("lanes", [1, 4], ids=["scalars", "vectors"])
def test_four_lanes(lanes: int) -> None:
    x = np.random.default_rng(0).normal(size=32).astype(np.float32) * 3
    exprs = vectors()
    body = tuple(Store(1, LANE * 4 + 32 * j, e) for j, e in enumerate(exprs))
    bindings = (Binding("x0", F32, lanes, True), Binding("x1", F32, lanes, True))
    kernel = Kernel("test", bindings, (), (), (8, 1, 1), (1, 1, 1), body)
    size = 32 * len(exprs)
    _, expected = interpret(kernel, [x, np.zeros(size, np.float32)], {})
    assert_close(evaluate(kernel, x, F32, size), expected, F32)


def test_scalar_access_to_a_vector_binding() -> None:
    x = np.arange(16, dtype=np.float32)
    bindings = (Binding("x0", F32, 4, False), Binding("x1", F32, 4, True))
    reverse = Store(1, LANE * -1 + 15, X)
    kernel = Kernel("t", bindings, (), (), (16, 1, 1), (1, 1, 1), (reverse,))
    np.testing.assert_array_equal(evaluate(kernel, x, F32, 16), x[::-1])


def test_halves() -> None:
    x = np.array([0.5, -2.0, 100.0, 0.1], np.float16)
    half = Load(0, LANE, DType.F16)
    exprs = [call("add", half, Const(1.5, DType.F16)), call("tanh", half)]
    text = generate(elementwise(DType.F16, DType.F16, exprs, 4))
    assert text.startswith("enable f16;\n\nalias half = f16;\n")
    assert "f16" not in text.removeprefix(HALF)
    kernel = elementwise(DType.F16, F32, [cast(e, F32) for e in exprs], 4)
    if DRIVER[0] == "swiftshader":
        assert "shader-f16" not in gpu.device("swiftshader").features
        return
    got = evaluate(kernel, x, F32, 8)
    expected = np.concatenate([x + np.float16(1.5), np.tanh(x)]).astype(np.float32)
    assert_close(got, expected, DType.F16)


def test_loops_branches_and_workgroup_memory() -> None:
    """Each of 8 lanes adds up what the lanes from its own on have put in workgroup memory."""
    total = loop.Var("total", f32(0.0))
    part = Load("parts", symbol("j"), F32)
    body = (
        Store("parts", LANE, X),
        loop.Barrier(),
        total,
        loop.For(
            "j", LANE, symbol("s1"), 1,
            (loop.Assign("total", call("add", Ref("total", F32), part)),),
        ),
        loop.If(
            call("lt", as_index(LANE), i32(6)),
            (Store(1, LANE, Ref("total", F32)),),
            (Store(1, LANE, f32(-1.0)),),
        ),
    )  # fmt: skip
    bindings = (Binding("x0", F32, 1, False), Binding("x1", F32, 1, True))
    shared = (loop.Shared("parts", F32, 1, 8),)
    kernel = Kernel("t", bindings, ("s1",), shared, (8, 1, 1), (1, 1, 1), body)
    x = np.arange(8, dtype=np.float32)
    program = gpu.Program(kernel, [x], [(F32, 8)], {"s1": 8}, DRIVER[0])
    program.run()
    expected = [x[j:].sum() if j < 6 else -1.0 for j in range(8)]
    np.testing.assert_array_equal(program.read()[0], expected)


@pytest.mark.parametrize(
    "path",
    sorted(shader_dir().rglob("*.wgsl")),
    ids=lambda p: p.relative_to(shader_dir()).as_posix(),
)
def test_hand_written_shaders_compile_as_they_stand(path: Path) -> None:
    gpu.device(DRIVER[0]).create_shader_module(code=path.read_text(encoding="utf-8"))


def test_every_library_function_is_where_the_table_says() -> None:
    for function in shaderlib.FUNCTIONS:
        assert f"fn {function}(" in shaderlib.source({function})


def test_shaders_lie_in_the_package_or_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "webrt")
    with pytest.raises(UsageError, match="shaders/ is missing"):
        resources.shader_dir()
    (tmp_path / "webrt" / "_shaders").mkdir(parents=True)
    assert resources.shader_dir() == tmp_path / "webrt" / "_shaders"
    (tmp_path / "web").mkdir()
    assert resources.web_dir() == tmp_path / "web"


def test_no_function_of_the_library_branches_on_the_way() -> None:
    """SwiftShader's compiler takes minutes and 10 GB for some tens of && in one kernel."""
    for path in sorted((shader_dir() / "lib").glob("*.wgsl")):
        code = re.sub(r"//.*", "", path.read_text())
        assert not re.search(r"&&|\|\|", code), path.name

"""Contract on CPUs: every schedule of a random problem computes what the oracle does."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import strategies
import wasm_runner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_lower_contract import B, contract, contracts, feeds
from tolerances import assert_close

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.errors import CompileError
from webrt.kernel import loop
from webrt.kernel.expr import Expr, Load, Ref, as_dim, as_index, call, cast, f32, i32, loads, select
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Contract, Operand, Output
from webrt.kernel.reference import NUMPY, Array, evaluate_problem
from webrt.kernel.text import print_kernel
from webrt.lower import lower
from webrt.lower.common import exprs_of, statements_of
from webrt.lower.cpu.guards import unclamped
from webrt.lower.cpu.panels import repack
from webrt.schedule import CpuLimits, default, from_json, space, to_json
from webrt.schedule.cpu.contract import CpuContractSchedule

F32, I32 = DType.F32, DType.I32
M, N, K = (symbol(name) for name in ("m", "n", "k"))
ACC = Ref("acc", F32)
LIMITS = CpuLimits()


def run(
    problem: Contract,
    schedule: CpuContractSchedule,
    arrays: list[Array],
    bindings: dict[str, int],
    machine: str = "interpreter",
) -> list[Array]:
    """The outputs as the kernel computes them, of operands that were packed in panels first."""
    repacked, panels = repack(problem, schedule)
    packed = list(arrays)
    for panel in panels:
        (packed[panel.operand],) = evaluate_problem(panel.problem, [arrays[panel.operand]], {})
    kernel = lower(repacked, schedule)
    if machine == "interpreter":
        return run_problem(kernel, repacked, packed, bindings)
    threads = 2 if machine == "threads" else 1
    return wasm_runner.run_problem(
        kernel, repacked, packed, bindings, machine == "relaxed", threads
    )


def check(
    problem: Contract,
    schedule: CpuContractSchedule,
    bindings: dict[str, int],
    machines: tuple[str, ...] = ("interpreter",),
    arrays: list[Array] | None = None,
) -> None:
    arrays = feeds(problem, bindings) if arrays is None else arrays
    expected = evaluate_problem(problem, arrays, bindings)
    length = dims.evaluate(problem.k, bindings)
    for machine in machines:
        result = run(problem, schedule, arrays, bindings, machine)
        for output, actual, wanted in zip(problem.outputs, result, expected, strict=True):
            if output.dtype is DType.BOOL:  # the sign of a sum that is about zero may differ
                assert np.mean(actual != wanted) < 0.02
            else:
                assert_close(actual, wanted, output.dtype, length, scale=4.0)


def first(problem: Contract) -> CpuContractSchedule:
    schedule = default(problem, LIMITS)
    assert isinstance(schedule, CpuContractSchedule)
    return schedule


def small(schedule: CpuContractSchedule) -> CpuContractSchedule:
    """The schedule with blocks so small that a small problem has several of each."""
    return CpuContractSchedule(
        schedule.rows, schedule.columns, schedule.unroll, schedule.rows * 2, schedule.columns * 2,
        8 if schedule.k_block else 0, schedule.panels, schedule.pack_a, schedule.pack_b,
    )  # fmt: skip


@st.composite
def schedules(draw: st.DrawFn, problem: Contract) -> CpuContractSchedule:
    """A schedule of the space, often with small blocks, or any other: all of them are legal."""
    schedule = draw(st.sampled_from(space(problem, LIMITS)))
    assert isinstance(schedule, CpuContractSchedule)
    choice = draw(st.sampled_from(["space", "small", "any"]))
    if choice != "any":
        return schedule if choice == "space" else small(schedule)
    rows, columns = draw(st.integers(1, 6)), draw(st.sampled_from([4, 8, 12]))
    unroll, flags = draw(st.sampled_from([1, 2, 3, 4])), [draw(st.booleans()) for _ in range(3)]
    depth = unroll * draw(st.sampled_from([4, 8])) if any(flags) or draw(st.booleans()) else 0
    blocks = rows * draw(st.integers(1, 3)), columns * draw(st.integers(1, 3))
    return CpuContractSchedule(rows, columns, unroll, *blocks, depth, *flags)


@settings(max_examples=50)
@given(contracts(), st.data())
def test_random_problems_and_schedules(
    problem: tuple[Contract, dict[str, int]], data: st.DataObject
) -> None:
    one, bindings = problem
    check(one, data.draw(schedules(one)), bindings)


@pytest.mark.parametrize("pack_a", [False, True])
@pytest.mark.parametrize("row_block", [6, 18])
def test_rows_that_sixes_leave_over(row_block: int, pack_a: bool) -> None:
    depth = 8 if pack_a else 0
    schedule = CpuContractSchedule(6, 8, 2, row_block, 8, depth, True, pack_a, False)
    dynamic = contract(symbol("s0"), 9, 16)
    for m in range(1, 50):
        check(dynamic, schedule, {"s0": m}, ("wasm",))
        if m < 20:
            check(contract(m, 9, 16), schedule, {}, ("wasm",))


@settings(max_examples=50)
@given(contracts(), st.data())
def test_random_problems_in_wasm(
    problem: tuple[Contract, dict[str, int]], data: st.DataObject
) -> None:
    one, bindings = problem
    machines = (data.draw(st.sampled_from(["wasm", "relaxed", "threads"])),)
    check(one, data.draw(schedules(one)), bindings, machines)


@settings(max_examples=60)
@given(strategies.contracts(), st.sampled_from(["interpreter", "wasm"]), st.data())
def test_random_expressions(problem: Contract, machine: str, data: st.DataObject) -> None:
    bindings = strategies.SYMBOLS
    arrays = strategies.random_operands(problem, bindings)
    expected = evaluate_problem(problem, arrays, bindings)
    found = run(problem, data.draw(schedules(problem)), arrays, bindings, machine)
    strategies.assert_close(expected, found)


EVERY = contract(symbol("s0"), 24, 22, turn_b=True)
RAGGED = contract(symbol("s0"), 21, 19, turn_a=True, prologue=True)


@pytest.mark.parametrize("problem", [EVERY, RAGGED], ids=["every", "ragged"])
@pytest.mark.parametrize("rows", [1, 3, 4, 19, 70])
def test_every_schedule_of_a_problem(problem: Contract, rows: int) -> None:
    for schedule in space(problem, LIMITS):
        assert isinstance(schedule, CpuContractSchedule)
        check(problem, small(schedule), {"s0": rows}, ("wasm",))


@pytest.mark.parametrize("size", [1, 3, 6, 8, 19])
@pytest.mark.parametrize("turn_b", [False, True])
def test_every_extent_may_be_a_symbol(size: int, turn_b: bool) -> None:
    batch = (symbol("s3"),)
    problem = contract(symbol("s0"), symbol("s1"), symbol("s2"), batch, turn_b=turn_b)
    bindings = {"s0": 5, "s1": size, "s2": size + 1, "s3": 2}
    for schedule in space(problem, LIMITS)[::9]:
        assert isinstance(schedule, CpuContractSchedule)
        check(problem, small(schedule), bindings, ("interpreter", "wasm"))


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 13, 24])
@pytest.mark.parametrize("k", [1, 7, 256])
def test_literal_sizes(m: int, n: int, k: int) -> None:
    """Rows, columns and k that no tile, panel or step divides."""
    problem = contract(m, n, k, epilogue="gelu")
    check(problem, first(problem), {}, ("interpreter", "wasm"))


@pytest.mark.parametrize("epilogue", ["none", "bias", "gelu", "residual", "two"])
@pytest.mark.parametrize("heads", [1, 3])
def test_epilogues(epilogue: str, heads: int) -> None:
    """A bias, an activation, a residual, two outputs, an output of [heads, m, n / heads]."""
    problem = contract(symbol("s0"), 24, 20, (symbol("s1"),), epilogue=epilogue, heads=heads)
    check(problem, first(problem), {"s0": 7, "s1": 2}, ("interpreter", "relaxed"))


def test_three_projections_of_one_value() -> None:
    """q, k and v: three outputs of [rows, 8] each, of which a column belongs to one."""
    a, b = Load(0, M * 16 + K, F32), Load(1, K * 24 + N, F32)
    bias = call("add", ACC, Load(2, N, F32))
    inputs = (Operand(F32, symbol("s0") * 16), Operand(F32, 16 * 24, True), Operand(F32, 24, True))
    rows = symbol("s0")
    outputs = tuple(
        Output(F32, rows * 24, (N // 8 + j) % 3 * (rows * 8) + M * 8 + N % 8, e)
        for j, e in enumerate([bias, call("mul", bias, f32(0.5)), call("neg", bias)])
    )
    problem = Contract((), rows, 24, 16, inputs, a, b, outputs)
    check(problem, first(problem), {"s0": 6}, ("interpreter", "wasm"))


def convolution(filters: int, channels: int, side: int, last: bool) -> Contract:
    """3 × 3 with padding, as an implicit gemm: pixels are columns, or rows with `last`."""
    pixels, taps = side * side, channels * 9
    pixel, filter_ = (M, N) if last else (N, M)
    y, x = pixel // side + K % 9 // 3 - 1, pixel % side + K % 3 - 1
    inside: Expr | None = None
    for at in (y, x):
        for test in (call("ge", as_index(at), i32(0)), call("lt", as_index(at), i32(side))):
            inside = test if inside is None else call("and", inside, test)
    assert inside is not None
    y, x = (dims.dim_min(dims.dim_max(at, 0), side - 1) for at in (y, x))
    image_at = (B * channels + K // 9) * pixels + y * side + x
    image = select(inside, Load(0, image_at, F32), f32(0.0))
    weight = Load(1, filter_ * taps + K, F32)
    operands = (
        Operand(F32, symbol("s0") * channels * pixels),
        Operand(F32, filters * taps, True),
        Operand(F32, filters, True),
    )
    result = call("max", call("add", ACC, Load(2, filter_, F32)), f32(0.0))
    offset = (B * filters + filter_) * pixels + pixel
    output = Output(F32, symbol("s0") * filters * pixels, offset, result)
    m, n = (pixels, filters) if last else (filters, pixels)
    a, b = (image, weight) if last else (weight, image)
    return Contract((symbol("s0"),), m, n, taps, operands, a, b, (output,))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("filters", "side"), [(1, 6), (3, 8), (12, 6), (12, 8)])
def test_convolution(last: bool, filters: int, side: int) -> None:
    problem = convolution(filters, 2, side, last)
    check(problem, first(problem), {"s0": 2})
    for schedule in space(problem, LIMITS)[::4]:
        assert isinstance(schedule, CpuContractSchedule)
        check(problem, schedule, {"s0": 2}, ("wasm",))


@pytest.mark.parametrize("channels", [8, 3])
@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (4, 5), (3, 9)])
def test_lines_of_images_of_any_size(channels: int, rows: int, columns: int) -> None:
    """Windows of 3 × 5 every other pixel, some of them beside the image."""
    height, width = symbol("s0"), symbol("s1")
    tap, channel = K // channels, K % channels
    y, x = 2 * (M // width) + tap // 5 - 4, 2 * (M % width) + tap % 5 - 6
    edges = ((y, height), (x, width))
    checks = [call("ge", as_index(at), i32(0)) for at, _ in edges]
    checks += [call("lt", as_index(at), as_index(extent)) for at, extent in edges]
    inside = functools.reduce(lambda a, b: call("and", a, b), checks)
    y, x = (dims.dim_min(dims.dim_max(at, 0), extent - 1) for at, extent in edges)
    image = select(inside, Load(0, (y * width + x) * channels + channel, F32), f32(0.0))
    pixels, taps = height * width, 15 * channels
    operands = (Operand(F32, pixels * channels), Operand(F32, 4 * taps, True))
    output = Output(F32, pixels * 4, M * 4 + N, ACC)
    problem = Contract((), pixels, 4, taps, operands, image, Load(1, K * 4 + N, F32), (output,))
    for schedule in (first(problem), replace(first(problem), k_block=20)):
        assert "line" in print_kernel(lower(problem, schedule))
        check(problem, schedule, {"s0": rows, "s1": columns})


def test_pixels_of_a_row_are_loaded_four_by_four() -> None:
    """Pixels of a row are neighbours though each is clamped; taps of a filter are none."""

    def wide_loads(side: int, last: bool) -> list[Load]:
        problem = convolution(4, 2, side, last)
        body = lower(problem, first(problem)).body
        found = [e for s in statements_of(body) for x in exprs_of(s) for e in loads(x)]
        return [e for e in found if e.memory == 0 and e.lanes == 4]

    assert len(wide_loads(8, False)) == len(wide_loads(6, False)) == 1
    assert len(wide_loads(8, True)) == 0


@pytest.mark.parametrize("channels", [8, 6, 5, 3])
@pytest.mark.parametrize("k_block", [0, 20])
@pytest.mark.parametrize("step", [1, 2])
def test_what_is_the_same_in_a_tap_is_computed_once(channels: int, k_block: int, step: int) -> None:
    """A channel is the last digit of k: a tap is copied without division or guard, or cleared.

    Taps that are neighbours are copied together.
    """
    tap, channel = K // channels, K % channels
    y, x = M // 6 + tap // 3 - 1, M % 6 + step * (tap % 3) - 1
    checks = [call(op, as_index(at), i32(edge)) for at in (y, x) for op, edge in EDGES]
    inside = functools.reduce(lambda a, b: call("and", a, b), checks)
    y, x = (dims.dim_min(dims.dim_max(at, 0), 5) for at in (y, x))
    image = select(inside, Load(0, (y * 6 + x) * channels + channel, F32), f32(0.0))
    taps = 9 * channels
    operands = (Operand(F32, 36 * channels), Operand(F32, 4 * taps, True))
    output = Output(F32, 144, M * 4 + N, ACC)
    weight = Load(1, K * 4 + N, F32)
    problem = Contract((), 36, 4, taps, operands, image, weight, (output,))
    schedule = replace(first(problem), k_block=k_block or first(problem).k_block)
    check(problem, schedule, {})
    fills = [
        s
        for s in statements_of(lower(problem, schedule).body)
        if isinstance(s, loop.For | loop.If)
        and any(isinstance(t, loop.Store) and "tile_a" in str(t.memory) for t in s.body)
    ]
    read = [e for s in fills for t in s.body for x in exprs_of(t) for e in loads(x)]
    assert fills
    assert "//" not in str(fills)
    assert "select" not in str(fills)
    assert max(e.lanes for e in read) == (
        4 if step == 1 or channels == 8 or (not k_block and channels > 4) else 1
    )


EDGES = (("ge", 0), ("lt", 6))


def test_a_clamp_goes_where_its_guard_decides_it() -> None:
    at, size = M - 1, symbol("s0")
    clamped = dims.dim_min(dims.dim_max(at, 0), size - 1)
    low, high = call("ge", as_index(at), i32(0)), call("lt", as_index(at), as_index(size))
    load, bare = Load(0, clamped, F32), Load(0, at, F32)
    both = call("and", low, high)
    assert unclamped(select(both, load, f32(0))) == select(both, bare, f32(0))
    half = Load(0, dims.dim_min(at, size - 1), F32)
    assert unclamped(select(low, load, f32(0))) == select(low, half, f32(0))
    assert unclamped(select(both, f32(0), load)) == select(both, f32(0), load)
    assert unclamped(load) == load


def test_rows_gathered_from_a_table() -> None:
    """a's rows lie where another operand says."""
    a = Load(1, as_dim(Load(0, M, I32)) * 20 + K, F32)
    operands = (Operand(I32, symbol("s0")), Operand(F32, 120), Operand(F32, 20 * 12, True))
    output = Output(F32, symbol("s0") * 12, M * 12 + N, ACC)
    problem = Contract((), symbol("s0"), 12, 20, operands, a, Load(2, K * 12 + N, F32), (output,))
    random = np.random.default_rng(0)
    arrays: list[Array] = [random.integers(0, 6, 9).astype(np.int32)]
    arrays += [random.normal(size=size).astype(np.float32) for size in (120, 240)]
    for schedule in space(problem, LIMITS)[::4]:
        assert isinstance(schedule, CpuContractSchedule)
        check(problem, schedule, {"s0": 9}, ("interpreter", "wasm"), arrays)


def test_weights_that_are_scaled_on_the_way() -> None:
    """b = cast(x1[k, n] - zero[n]) · scale[n]: the i32 constant lies in panels."""
    integer = call("sub", Load(1, K * 13 + N, I32), Load(2, N, I32))
    b = call("mul", cast(integer, F32), Load(3, N, F32))
    operands = (
        Operand(F32, symbol("s0") * 9), Operand(I32, 9 * 13, True), Operand(I32, 13),
        Operand(F32, 13),
    )  # fmt: skip
    output = Output(F32, symbol("s0") * 13, M * 13 + N, ACC)
    problem = Contract((), symbol("s0"), 13, 9, operands, Load(0, M * 9 + K, F32), b, (output,))
    random = np.random.default_rng(0)
    arrays: list[Array] = [
        random.integers(-9, 9, dims.evaluate(o.size, {"s0": 6})).astype(NUMPY[o.dtype])
        for o in operands
    ]
    assert repack(problem, first(problem))[1]
    for schedule in space(problem, LIMITS)[::4]:
        assert isinstance(schedule, CpuContractSchedule)
        check(problem, schedule, {"s0": 6}, ("interpreter", "wasm"), arrays)


@pytest.mark.parametrize("dtype", [DType.I32, DType.U32])
def test_integers(dtype: DType) -> None:
    operands = (Operand(dtype, 45), Operand(dtype, 72, True))
    output = Output(dtype, 40, M * 8 + N, Ref("acc", dtype))
    a, b = Load(0, M * 9 + K, dtype), Load(1, K * 8 + N, dtype)
    problem = Contract((), 5, 8, 9, operands, a, b, (output,))
    random = np.random.default_rng(0)
    arrays: list[Array] = [random.integers(0, 99, o.size).astype(NUMPY[dtype]) for o in operands]
    check(problem, first(problem), {}, ("interpreter", "wasm"), arrays)


def test_halves_are_refused() -> None:
    operands = (Operand(DType.F16, 4), Operand(F32, 4, True))
    output = Output(F32, 4, M * 2 + N, ACC)
    a = cast(Load(0, M * 2 + K, DType.F16), F32)
    problem = Contract((), 2, 2, 2, operands, a, Load(1, K * 2 + N, F32), (output,))
    with pytest.raises(CompileError, match="no f16"):
        lower(problem, first(problem))


# Spaces


def shapes() -> list[Contract]:
    rows: list[Dim] = [1, 2, 3, 4, 16, 384, symbol("s0"), symbol("s0") * symbol("s1")]
    return [contract(m, n, k) for m in rows for n in (1, 6, 64, 50257) for k in (1, 384, 3072)]


@pytest.mark.parametrize("limits", [LIMITS, CpuLimits(32, 65536, 1 << 20)], ids=["x86", "arm"])
def test_a_space_is_small_and_starts_with_the_default(limits: CpuLimits) -> None:
    for problem in (*shapes(), EVERY, RAGGED, convolution(8, 3, 5, False)):
        schedules = space(problem, limits)
        assert schedules[0] == default(problem, limits)
        assert 1 <= len(set(schedules)) == len(schedules) <= 64
        assert limits is not LIMITS or len(schedules) > 1


def test_tiles_fit_the_registers() -> None:
    problem = contract(symbol("s0"), 384, 384)
    for limits in (LIMITS, CpuLimits(registers=32)):
        found = space(problem, limits)
        assert len(found) > 8
        for schedule in found:
            assert isinstance(schedule, CpuContractSchedule)
            assert schedule.vectors <= 1.5 * limits.registers
            assert schedule == found[0] or schedule.vectors >= limits.registers * 3 // 8


def test_schedules_survive_json() -> None:
    for problem in (EVERY, RAGGED):
        for schedule in space(problem, LIMITS):
            assert from_json(to_json(schedule)) == schedule


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0}, {"columns": 6}, {"rows": "8"}, {"panels": 1}, {"unroll": 3, "k_block": 256},
        {"unroll": 2, "k_block": 6},
        {"row_block": 6}, {"column_block": 20}, {"pack_a": True}, {"column_block": 8192},
    ],
    ids=str,
)  # fmt: skip
def test_malformed_schedules_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"tile|block|is no"):
        from_json({**to_json(CpuContractSchedule(4, 8)), **change})

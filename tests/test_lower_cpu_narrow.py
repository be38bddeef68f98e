"""Contracts on CPUs whose weights have 8 bits or less: integers are exact, for any shape."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import wasm_runner
from hypothesis import given, settings
from hypothesis import strategies as st

from webrt.kernel import ranges
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Contract, Problem, specialise
from webrt.kernel.reference import Array, evaluate_problem
from webrt.kernel.text import parse_problem, print_kernel, print_problem
from webrt.lower import lower
from webrt.lower.cpu.panels import repack
from webrt.schedule import CpuLimits, default, space
from webrt.schedule.cpu.contract import CpuContractSchedule
from webrt.schedule.cpu.narrow import narrow

LIMITS = CpuLimits()


@dataclass(frozen=True)
class Weights:
    """How b is made of words of `bits`; `zero`, `scale`: none, one, or one a column (and block)."""

    integer: bool
    bits: int
    signed: bool
    zero: str = "none"
    scale: str = "none"
    block: int = 0


def contract(weights: Weights, n: int, k: int) -> Problem:
    """Rows of k times weights whose words hold neighbouring columns."""
    per, bits = 32 // weights.bits, weights.bits
    words = -(-n // per)
    word = f"x1.i32[{words}*k + (n // {per})]"
    high = f"shift_left({word}, int(-{bits}*(n % {per}) + {32 - bits}))"
    b = f"i32(shift_right(bits_u32({high}), {32 - bits}_u32))"
    if weights.signed:
        b = f"shift_right({high}, {32 - bits})"
    blocks = -(-k // weights.block) if weights.block else 1
    at = f"{n}*(k // {weights.block}) + n" if blocks > 1 else "n"
    lines: list[str] = []

    def column(dtype: str) -> str:
        lines.append(f"  in x{2 + len(lines)}: constant {dtype}[{n * blocks}]")
        return f"x{1 + len(lines)}.{dtype}[{at}]"

    dtype = "i32" if weights.integer else "f32"
    if not weights.integer:
        b = f"f32({b})"
    if weights.zero != "none":
        literal = "77" if weights.integer else "8.0"
        b = f"({b} - {literal if weights.zero == 'one' else column(dtype)})"
    if weights.scale != "none":
        b = f"{b} * {'0.125' if weights.scale == 'one' else column(dtype)}"
    span = " from -255 to 255" if weights.integer else ""
    return parse_problem(
        f"contract\n  over m < s0, n < {n}, k < {k}\n  in x0: {dtype}[{k}*s0]{span}\n"
        f"  in x1: constant i32[{k * words}]\n"
        + "".join(f"{line}\n" for line in lines)
        + f"  a = x0.{dtype}[{k}*m + k]\n  b = {b}\n"
        f"  out x{2 + len(lines)}: {dtype}[{n}*s0] at {n}*m + n = acc.{dtype} + acc.{dtype}\n"
    )


def feeds(problem: Problem, rows: int, seed: int) -> list[Array]:
    random = np.random.default_rng(seed)
    found = []
    for j, operand in enumerate(problem.operands):
        size = operand.size if isinstance(operand.size, int) else rows * problem.k  # type: ignore
        if j == 1:
            found.append(random.integers(-(1 << 31), 1 << 31, size).astype(np.int32))
        elif str(operand.dtype) == "i32":
            found.append(random.integers(-255, 256, size).astype(np.int32))
        else:
            found.append(random.normal(size=size).astype(np.float32))
    return found


def check(
    problem: Problem, schedule: CpuContractSchedule, rows: int, machine: str, seed: int = 0
) -> None:
    """The kernel of the repacked problem against the problem's definition."""
    arrays = feeds(problem, rows, seed)
    bindings = {"s0": rows}
    expected = evaluate_problem(problem, arrays, bindings)[0]
    assert isinstance(problem, Contract)
    repacked, (panel,) = repack(problem, schedule)
    assert repack(repacked, schedule) == (repacked, ())
    packed = list(arrays)
    (packed[1],) = evaluate_problem(panel.problem, [arrays[1]], {}, strict=True)
    kernel = lower(repacked, schedule)
    if machine == "interpreter":
        (found,) = run_problem(kernel, repacked, packed, bindings)
    else:
        relaxed, threads = machine == "relaxed", 2 if machine == "threads" else 1
        (found,) = wasm_runner.run_problem(kernel, repacked, packed, bindings, relaxed, threads)
    if found.dtype == np.int32:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@st.composite
def weights(draw: st.DrawFn) -> Weights:
    one = st.sampled_from(["none", "one", "column"])
    if draw(st.booleans()):
        return Weights(True, draw(st.sampled_from([8, 8, 4])), draw(st.booleans()), draw(one))
    bits, block = draw(st.sampled_from([8, 4])), draw(st.sampled_from([0, 16, 32, 64]))
    return Weights(False, bits, draw(st.booleans()), draw(one), draw(one), block)


SMALL = (
    CpuContractSchedule(4, 8, 2, 8, 16, 32, True, True, False),
    CpuContractSchedule(4, 8, 1, 8, 16, 64, True, True, True),
    CpuContractSchedule(1, 12, 3, 2, 24, 96, True, True, True),
)
"""Blocks so small that a small problem has several of each."""


@settings(max_examples=60, deadline=None)
@given(weights(), st.data())
def test_random_weights(made: Weights, data: st.DataObject) -> None:
    k, n = data.draw(st.sampled_from([3, 16, 37, 130])), data.draw(st.sampled_from([4, 7, 21, 40]))
    rows = data.draw(st.sampled_from([1, 2, 5, 9, 17]))
    problem = contract(made, n, k)
    if data.draw(st.booleans()):
        problem = specialise(problem, {"s0": rows})
    schedules = (
        *SMALL,
        default(problem, LIMITS),
        data.draw(st.sampled_from(space(problem, LIMITS))),
    )
    schedule = data.draw(st.sampled_from(schedules))
    assert isinstance(schedule, CpuContractSchedule)
    machine = data.draw(st.sampled_from(["interpreter", "plain", "relaxed", "threads"]))
    check(problem, schedule, rows, machine, data.draw(st.integers(0, 9)))


def test_a_block_of_k_holds_whole_turns() -> None:
    """Of 128 values and a loop unrolled three times, the second block's first k is no turn's."""
    problem = contract(Weights(False, 8, False), 4, 130)
    check(problem, SMALL[2], 9, "interpreter")


@pytest.mark.parametrize("block", [4, 8, 24, 48])
def test_blocks_of_any_size(block: int) -> None:
    """Panels hold those of whole steps; others are unpacked as they are read."""
    problem = contract(Weights(False, 8, False, "column", "column", block), 7, 96)
    assert isinstance(problem, Contract)
    assert (narrow(problem) is None) == (block != 48)
    if block == 48:
        check(problem, SMALL[0], 9, "plain")
        return
    arrays, kernel = feeds(problem, 9, 0), lower(problem, default(problem, LIMITS))
    (found,) = wasm_runner.run_problem(kernel, problem, arrays, {"s0": 9})
    (expected,) = evaluate_problem(problem, arrays, {"s0": 9})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("rows", [1, 7, 8, 33])
@pytest.mark.parametrize("bits", [4, 8])
def test_few_rows_and_many_take_different_ways(rows: int, bits: int) -> None:
    problem = contract(Weights(False, bits, False, "one", "column", 32), 24, 96)
    schedule = default(problem, LIMITS)
    assert isinstance(schedule, CpuContractSchedule)
    assert schedule.pack_b
    check(problem, schedule, rows, "relaxed")


def test_the_largest_products_are_exact() -> None:
    """-255 and 255 times -128, at every k: sums of pairs that don't fit 16 bits."""
    problem = contract(Weights(True, 8, True, "one"), 8, 64)
    schedule = SMALL[0]
    a = np.repeat(np.array([-255, 255], np.int32), 64)
    words = np.full(128, np.int32(-0x7F7F7F80))  # bytes of 0x80
    expected = evaluate_problem(problem, [a, words], {"s0": 2})
    repacked, (panel,) = repack(problem, schedule)
    packed = evaluate_problem(panel.problem, [words], {})
    for relaxed in (False, True):
        kernel = lower(repacked, schedule)
        found = wasm_runner.run_problem(kernel, repacked, [a, *packed], {"s0": 2}, relaxed)
        np.testing.assert_array_equal(found, expected)


def test_panels_hold_no_more_bits_than_the_model() -> None:
    for made, size in ((Weights(True, 8, True), 8), (Weights(False, 4, False, "one"), 4)):
        problem = contract(made, 64, 128)
        _, (panel,) = repack(problem, default(problem, LIMITS))
        assert panel.problem.outputs[0].size == 64 * 128 * size // 32


def test_integers_need_a_span() -> None:
    """What isn't known to fit 16 bits is multiplied in 32."""
    problem = contract(Weights(True, 8, True), 16, 32)
    assert narrow(problem) is not None  # type: ignore[arg-type]
    for span in (None, (-40000, 0), (0, 65535)):
        first, *others = problem.operands
        wide = replace(problem, operands=(replace(first, span=span), *others))
        assert narrow(wide) is None  # type: ignore[arg-type]
        schedule = default(wide, LIMITS)
        assert "dot2" not in print_kernel(lower(repack(wide, schedule)[0], schedule))


def test_spans_are_read_as_they_are_printed() -> None:
    problem = contract(Weights(True, 8, True), 16, 32)
    text = print_problem(problem)
    assert "in x0: i32[32*s0] from -255 to 255" in text
    assert parse_problem(text) == problem
    for wrong in ("from 3 to 2", "from 0", "from a to b", "from 0 to 1 to 2"):
        with pytest.raises(ValueError, match=r"expected|doesn't go"):
            parse_problem(text.replace("from -255 to 255", wrong))


def test_ranges_of_expressions() -> None:
    quantised = "i32(u32(min(max(round(x0.f32[i0] / 0.5) + 3.0, 0.0), 255.0)))"
    known = {
        f"{quantised} - 128": (-128, 127),
        f"select(i0 < 3, {quantised}, -7)": (-7, 255),
        "i32(mod(x1.u32[i0], 256_u32))": (0, 255),
        "shift_right(x2.i32[i0], 24)": (-128, 127),
        "x2.i32[i0] + 1": ranges.I32,
        "i32(x0.f32[i0])": ranges.I32,
        "x2.i32[i0] * 2": ranges.I32,
    }
    for text, expected in known.items():
        problem = parse_problem(
            "map\n  over i0 < 9\n  in x0: f32[9]\n  in x1: u32[9]\n  in x2: i32[9]\n"
            f"  out x3: i32[9] at i0 = {text}\n".replace("i0 < 3,", "int(i0) < 3,")
        )
        assert ranges.of(problem.outputs[0].expr, lambda _: None) == expected, text

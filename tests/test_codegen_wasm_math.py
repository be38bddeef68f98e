"""The wasm library in units in the last place against float64, over all floats and its corners."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import wasmtime
from wasm_runner import Machine

from webrt.codegen import abi, wasm_math
from webrt.codegen.encoder import I32, V128, Function, Module

Floats = np.ndarray
MAX = float(np.finfo(np.float32).max)
COUNT = 1 << 16

FUNCTIONS: dict[str, Callable[..., Floats]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "sin": np.sin,
    "cos": np.cos,
    "pow": np.power,
    "fmod": np.fmod,
}
BOUND = {
    "exp": 3.3, "log": 0.9, "tanh": 3.2, "erf": 3.8, "sin": 3.6, "cos": 3.6, "pow": 1.3, "fmod": 0,
}  # fmt: skip
"""What the docstrings say, and a little for numbers that nobody tried."""
RANGES = {
    "exp": [(-105, 90), (-1, 1)],
    "log": [(0.5, 2), (0, 100)],
    "tanh": [(-10, 10), (-1, 1)],
    "erf": [(-4.2, 4.2), (-1, 1)],
    "sin": [(-10, 10), (-1e5, 1e5)],
    "cos": [(-10, 10), (-1e5, 1e5)],
}
CORNERS = [
    0, 1, 2, 3, 0.5, 2.5, 1e-45, 1e-40, 1.17549435e-38, 7.0, 40.0, 88.722839, 88.7228391,
    87.3365, 103.97208, 103.97209, 150, 8388607, 16777215, 16777216, 1e10, 1e30, MAX, np.inf,
]  # fmt: skip
SPECIAL = np.array([*CORNERS, *(-c for c in CORNERS), np.nan], np.float32)


def _loop(into: Function, operands: int, emit: Callable[[], None]) -> None:
    """Apply what `emit` emits from the first addresses to the third, for the fourth's bytes."""
    at = into.local(I32)
    into.loop()
    for operand in (2, *range(operands)):
        into.get(operand)
        into.get(at)
        into.emit("i32.add")
        if operand != 2:
            into.access("v128.load")
    emit()
    into.access("v128.store")
    into.get(at)
    into.i32(16)
    into.emit("i32.add")
    into.tee(at)
    into.get(3)
    into.emit("i32.lt_u")
    into.br_if(0)
    into.end()


@functools.cache
def machine(relaxed: bool) -> Machine:
    """Every function as `NAME`, called in a loop, and as `NAME_inline`."""
    module = Module(abi.TYPES)
    for name in FUNCTIONS:
        operands = 2 if name in wasm_math.BINARY else 1
        called = module.function([I32] * 4, export=name)
        made = wasm_math.function(module, name, relaxed)
        _loop(called, operands, functools.partial(called.call, made))
        inline = module.function([I32] * 4, export=f"{name}_inline")
        _loop(inline, operands, functools.partial(wasm_math.inline, inline, name, relaxed))
    return Machine(module.encode())


@pytest.fixture(autouse=True, scope="module")
def _free_machines() -> Iterator[None]:
    yield
    machine.cache_clear()  # at exit wasmtime could no longer free them


def apply(name: str, relaxed: bool, *operands: Floats) -> Floats:
    on = machine(relaxed)
    on.next = abi.FIRST_ADDRESS
    size = operands[0].size
    padded = [np.resize(o.astype(np.float32), -(-size // 4) * 4) for o in operands]
    places = [on.put(p.tobytes()) for p in padded]
    out = on.reserve(padded[0].nbytes)
    run = on.exports[0][name]
    assert isinstance(run, wasmtime.Func)
    run(on.stores[0], places[0], places[-1], out, padded[0].nbytes)
    return on.get(out, np.dtype(np.float32), size)


def expected(name: str, *operands: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return FUNCTIONS[name](*(o.astype(np.float64) for o in operands))


def ulps(found: Floats, wanted: Floats) -> Floats:
    """How far `found` is from the float64 `wanted`; infinite where only one is special."""
    with np.errstate(all="ignore"):
        nearest = wanted.astype(np.float32)
        step = np.spacing(np.minimum(np.abs(nearest), np.float32(MAX))).astype(np.float64)
        error: Floats = np.abs(found.astype(np.float64) - wanted) / step
    special = ~np.isfinite(nearest)
    same = (found == nearest) | (np.isnan(found) & np.isnan(nearest))
    error[special] = np.where(same[special], 0, np.inf)
    return np.where(~special & ~np.isfinite(found), np.inf, error)


def check(name: str, relaxed: bool, *operands: Floats) -> None:
    found, wanted = apply(name, relaxed, *operands), expected(name, *operands)
    error = ulps(found, wanted)
    worst = int(np.argmax(error))
    assert error[worst] <= BOUND[name], (
        f"{name} of {[float(o[worst]) for o in operands]}: "
        f"{found[worst]} for {wanted[worst]}, off by {error[worst]:.2f} ulp"
    )


def inputs(name: str, seed: int) -> list[Floats]:
    """Floats of all exponents, and denser where the function is not flat."""
    rng = np.random.default_rng(seed)
    every = rng.integers(0, 1 << 32, COUNT, dtype=np.uint32).view(np.float32)
    ranges = RANGES.get(name, [(-40, 40)])
    arrays = [every, *(rng.uniform(*r, COUNT).astype(np.float32) for r in ranges)]
    if name in ("sin", "cos"):
        return [a[~(np.abs(a) > 1e5)] for a in arrays]
    return arrays


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("name", wasm_math.UNARY)
def test_unary_functions(name: str, relaxed: bool) -> None:
    for operand in inputs(name, 1):
        check(name, relaxed, operand)
    reduced = name in ("sin", "cos")
    check(name, relaxed, SPECIAL[~(np.abs(SPECIAL) > 1e5)] if reduced else SPECIAL)


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("name", wasm_math.BINARY)
def test_binary_functions(name: str, relaxed: bool) -> None:
    rng = np.random.default_rng(2)
    for operand in inputs(name, 3):
        check(name, relaxed, operand, rng.permutation(operand))
    check(name, relaxed, *(g.ravel() for g in np.meshgrid(SPECIAL, SPECIAL)))


@pytest.mark.parametrize("relaxed", [False, True])
def test_powers_that_are_neither_zero_nor_infinite(relaxed: bool) -> None:
    rng = np.random.default_rng(4)
    near = np.exp(rng.uniform(-0.3, 0.3, COUNT)).astype(np.float32)
    check("pow", relaxed, near, rng.uniform(-290, 290, COUNT).astype(np.float32))
    base = rng.uniform(-20, 20, COUNT).astype(np.float32)
    check("pow", relaxed, base, np.round(rng.uniform(-29, 29, COUNT)).astype(np.float32))


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_code_in_line_is_the_function(name: str, relaxed: bool) -> None:
    operands = [
        inputs(name, seed)[0] for seed in (range(5, 7) if name in wasm_math.BINARY else [5])
    ]
    size = min(o.size for o in operands)
    operands = [o[:size] for o in operands]
    called = apply(name, relaxed, *operands)
    inline = apply(f"{name}_inline", relaxed, *operands)
    np.testing.assert_array_equal(called.view(np.uint32), inline.view(np.uint32))


def test_results_where_functions_end() -> None:
    def of(name: str, *values: float) -> list[float]:
        return [float(v) for v in apply(name, False, np.array(values, np.float32))]

    assert of("exp", -np.inf, -104.0, 0.0, 89.0, np.inf) == [0, 0, 1, np.inf, np.inf]
    assert of("exp", -103.0)[0] > 0
    assert of("log", 0.0, -0.0, 1.0, np.inf) == [-np.inf, -np.inf, 0, np.inf]
    assert np.isnan(of("log", -1.0, -1e-45, -np.inf, np.nan)).all()
    assert of("tanh", -np.inf, -9.5, 9.5, np.inf) == [-1, -1, 1, 1]
    assert of("erf", -np.inf, -4.0, 4.0, np.inf) == [-1, -1, 1, 1]
    for name in ("exp", "tanh", "erf", "sin", "cos"):
        assert np.isnan(of(name, np.nan)).all()
    assert np.isnan(of("sin", np.inf)).all()


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "cos"])
def test_never_beyond_one(name: str) -> None:
    rng = np.random.default_rng(8)
    every = rng.integers(0, 1 << 32, 4 * COUNT, dtype=np.uint32).view(np.float32)
    found = apply(name, True, np.concatenate([every, rng.uniform(2, 10, COUNT).astype(np.float32)]))
    assert np.nanmax(np.abs(found)) <= 1.0
    if name in ("sin", "cos"):
        assert np.isnan(found[: every.size]).sum() == (~np.isfinite(every)).sum()


def test_a_function_is_made_once() -> None:
    module = Module(abi.TYPES)
    exp = wasm_math.function(module, "exp", False)
    assert wasm_math.function(module, "exp", False) is exp
    assert wasm_math.function(module, "exp", True) is not exp
    assert (exp.params, exp.results) == abi.UNARY
    assert (wasm_math.function(module, "pow", False).params, (V128,)) == abi.BINARY


def test_constants_and_locals_of_code_in_line_are_shared() -> None:
    module = Module(abi.TYPES)
    body = module.function([V128], [V128])
    body.get(0)
    wasm_math.inline(body, "exp", True)
    count = len(body.types)
    wasm_math.inline(body, "exp", True)
    assert len(body.types) == count
    wasmtime.Module.validate(wasmtime.Engine(), module.encode())

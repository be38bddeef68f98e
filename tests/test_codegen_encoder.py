"""The wasm encoder: what it refuses, what its bytes are, and that engines take them."""

from __future__ import annotations

import pytest
import wasmtime

from webrt.codegen import abi
from webrt.codegen.encoder import (
    F32,
    I32,
    EncodingError,
    Function,
    Module,
    signed,
    unsigned,
)
from webrt.codegen.opcodes import OPCODES, Immediate, Type


def function(*params: Type, results: tuple[Type, ...] = ()) -> Function:
    return Module().function(params, results)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "00"), (63, "3f"), (64, "c000"), (-1, "7f"), (-64, "40"), (-65, "bf7f"),
     (1 << 31, "8080808008"), (-(1 << 31), "8080808078"), (624485, "e58e26")],
)  # fmt: skip
def test_signed_numbers(value: int, expected: str) -> None:
    assert signed(value).hex() == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "00"), (127, "7f"), (128, "8001"), (624485, "e58e26")]
)
def test_unsigned_numbers(value: int, expected: str) -> None:
    assert unsigned(value).hex() == expected


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("functions", [0, 300])
def test_the_memory_of_any_module_has_its_flags_in_one_place(functions: int, shared: bool) -> None:
    module = Module(abi.TYPES)
    for _ in range(functions):
        module.table.append(module.function(*abi.KERNEL).index)
    code = module.encode(shared)
    assert code[abi.MEMORY_FLAGS_OFFSET] == (abi.SHARED if shared else abi.UNSHARED)
    assert code[: abi.MEMORY_FLAGS_OFFSET] == Module(abi.TYPES).encode()[: abi.MEMORY_FLAGS_OFFSET]


def _missing(f: Function) -> None:
    f.i32(1)
    f.emit("i32.add")


def _wrong(f: Function) -> None:
    f.f32(1)
    f.i32(1)
    f.emit("i32.add")


def _wrong_vector(f: Function) -> None:
    f.f32(1)
    f.emit("i32x4.splat")


def _wrong_local(f: Function) -> None:
    f.f32(1)
    f.set(0)


def _left_over(f: Function) -> None:
    f.i32(1)
    f.body()


def _from_outside(f: Function) -> None:
    f.i32(1)
    f.block()
    f.set(0)


def _block_leaves(f: Function) -> None:
    f.block()
    f.i32(1)
    f.end()


def _no_else(f: Function) -> None:
    f.i32(1)
    f.if_(I32)
    f.i32(1)
    f.end()


def _arms_differ(f: Function) -> None:
    f.i32(1)
    f.i32x4(0)
    f.get(0)
    f.select()


def _needless_lane(f: Function) -> None:
    f.get(0)
    f.emit("i32.eqz", 3)


def _no_offset(f: Function) -> None:
    f.get(0)
    f.emit("i32.load")


@pytest.mark.parametrize(
    "write",
    [_missing, _wrong, _wrong_vector, _wrong_local, _left_over, _from_outside, _block_leaves,
     _no_else, _arms_differ, _needless_lane, _no_offset],
)  # fmt: skip
def test_what_would_not_validate_raises(write: object) -> None:
    assert callable(write)
    with pytest.raises(EncodingError):
        write(function(I32))


def _push(f: Function, kind: Type) -> None:
    if kind is I32:
        f.i32(16)
    elif kind is F32:
        f.f32(1.5)
    else:
        f.f32x4(1.5)


@pytest.mark.parametrize("name", OPCODES)
def test_every_instruction_has_the_types_that_its_entry_says(name: str) -> None:
    """An engine validates a function that does nothing else."""
    op = OPCODES[name]
    module = Module(abi.TYPES)
    made = module.function((), () if op.result is None else (op.result,), export="main")
    for kind in op.params:
        _push(made, kind)
    if op.immediate is Immediate.MEMORY:
        made.access(name, 1 << 31)
    elif op.immediate is Immediate.LANE:
        made.emit(name, 3)
    elif op.immediate is Immediate.LANES:
        made.emit(name, *range(16, 32))
    else:
        made.emit(name)
    config = wasmtime.Config()
    config.wasm_threads = True
    config.wasm_relaxed_simd = True
    config.shared_memory = True
    wasmtime.Module.validate(wasmtime.Engine(config), module.encode(shared=True))


def test_constants_that_loops_hold_and_numbers_at_the_edges() -> None:
    module = Module(abi.TYPES)
    made = module.function((), (F32, F32, I32), export="main")
    made.holds = True
    made.f32x4(2.0)
    made.f32x4(2.0)
    made.emit("f32x4.add")
    made.emit("f32x4.extract_lane", 3)
    made.f32(1e300)  # no f32: infinite
    made.i32(0xFFFFFFFF)
    assert len(made.held) == 1
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, 65536)))
    linker = wasmtime.Linker(engine)
    linker.define(store, "env", "memory", memory)
    exports = linker.instantiate(store, wasmtime.Module(engine, module.encode())).exports(store)
    main = exports["main"]
    assert isinstance(main, wasmtime.Func)
    assert main(store) == [4.0, float("inf"), -1]
